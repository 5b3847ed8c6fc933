package admin

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func TestValidateConfigs(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"POST", "/configs/validate", `{}`, 200, `{}`},
		{"POST", "/configs/validate", `{"routes":[{"id":"1","uri":"/a","service_id":"nowhere"}],"consumers":[{"username":"a"},{"id":"a/credentials/k","plugins":{}}],"secrets":[{"id":"vault/1"}],"plugin_metadata":[{"id":"http-logger"}],"plugins":[{"name":"x"}]}`, 200, `{}`},
		{"POST", "/configs/validate", `{"routes":[{"id":"1","uri":"/a"},{"id":"1","uri":"/b"},{"id":"3"}]}`, 400,
			`{"error_msg":"Configuration validation failed","errors":[
			{"resource_type":"routes","resource_id":"1","index":1,"error":"found duplicate id 1 in routes"},
			{"resource_type":"routes","resource_id":"3","index":2,"error":"invalid routes at index 2, err: invalid configuration: property \"uri\" is required"}]}`},
		{"POST", "/configs/validate", `{"consumers":[{"username":"a"},{"username":"a"}]}`, 400, `~found duplicate username a in consumers`},
		{"POST", "/configs/validate", `{"routes_conf_version":"1"}`, 400, `~routes_conf_version must be a number, got string`},
		{"POST", "/configs/validate", `{"routes":{}}`, 400, `~routes must be an array, got object`},
		{"POST", "/configs/validate", `{"routes":[1]}`, 400, `~expected object, got number`},
		{"POST", "/configs/validate", `{"secrets":[{"id":"x"}]}`, 400, `~invalid secret id: x`},
		{"POST", "/configs/validate", `{"secrets":[{"id":"x/1"}]}`, 400, `~invalid secret manager: x`},
		{"POST", "/configs/validate", `{"plugin_metadata":[{"id":"x"}]}`, 400, `~invalid plugin name`},
		{"POST", "/configs/validate", ``, 400, `{"error_msg":"invalid request body: empty request body"}`},
		{"POST", "/configs/validate", `[`, 400, `~invalid request body`},
	})
	r := b.send("POST", base+"/configs/validate", "routes:\n  - id: 1\n    uri: /a\n", "Content-Type", "application/yaml")
	if r.status != 200 {
		t.Errorf("YAML: %v", r)
	}
	r = b.send("POST", base+"/configs/validate", "routes: [\n", "Content-Type", "application/yaml")
	if r.status != 400 || !strings.Contains(r.text, "invalid yaml request body") {
		t.Errorf("broken YAML: %v", r)
	}
}

// Section 2.6 of the contract: what the ingress controller speaks.
func TestStandalone(t *testing.T) {
	var batches []conf.Batch
	var refuseBatch error
	configs := NewMemoryConfigs(func(_ context.Context, batch conf.Batch) error {
		if refuseBatch != nil {
			return refuseBatch
		}
		batches = append(batches, batch)
		return nil
	})
	b := newBench(t, func(o *Options) { o.Configs, o.Store = configs, nil })
	const empty = `{"secrets_conf_version":0,"plugin_metadata_conf_version":0,"protos_conf_version":0,"ssls_conf_version":0,
		"upstreams_conf_version":0,"services_conf_version":0,"plugin_configs_conf_version":0,"consumer_groups_conf_version":0,
		"consumers_conf_version":0,"global_rules_conf_version":0,"routes_conf_version":0,"stream_routes_conf_version":0,"plugins_conf_version":0}`
	b.run([]step{
		{"GET", "/configs", ``, 200, empty},
		{"HEAD", "/configs", ``, 200, ``},
		{"PUT", "/configs", `{}`, 400, `{"error_msg":"missing digest header"}`},
		{"GET", "/routes", ``, 404, ``},
		{"GET", "/plugins/list", ``, 200, ``},
	})
	put := func(digest, body string, status int, want string) reply {
		t.Helper()
		r := b.send("PUT", base+"/configs", body, "X-Digest", digest)
		if r.status != status || !strings.Contains(r.text, want) {
			t.Errorf("PUT %s: %d %s, want %d %s", digest, r.status, r.text, status, want)
		}
		return r
	}
	const first = `{"routes":[{"id":"1","uri":"/a"},{"id":"2","uri":"/b","modifiedIndex":5}],"consumers":[{"username":"c"},{"id":"c/credentials/k","plugins":{}}]}`
	r := put("d1", first, 202, "")
	if r.header.Get("X-Digest") != "d1" || r.header.Get("X-Last-Modified") != "1700000000" || r.text != "" {
		t.Errorf("%v", r)
	}
	put("d1", `{`, 400, "invalid request body")
	put("d1", `{"routes":[]}`, 204, "")
	put("d2", `{"routes":[{"id":"1"}]}`, 400, `invalid routes at index 0, err: invalid configuration: property \"uri\" is required`)
	put("d2", `{"routes_conf_version":0}`, 400, `routes_conf_version must be greater than or equal to (1)`)
	put("d2", `{"routes_conf_version":true}`, 400, `routes_conf_version must be a number`)
	put("d2", ``, 400, `empty request body`)
	r = b.send("PUT", base+"/configs?dry_run=true", `{"routes":[{"id":"1","uri":"/z"},{"id":"9","uri":"/"}],"consumers_conf_version":1}`, "X-Digest", "d2")
	if r.status != 200 || !strings.Contains(r.text, `"routes":{"conf_version":2,"created":1,"updated":1,"deleted":1}`) {
		t.Errorf("trial: %v", r)
	}
	// Equal version: untouched. Absent: emptied and one higher. Above: replaced.
	put("d2", `{"routes_conf_version":7,"routes":[{"id":"1","uri":"/a"},{"id":"2","uri":"/changed","modifiedIndex":5},{"id":"3","uri":"/c"}],"consumers_conf_version":1}`, 202, "")
	b.run([]step{{"GET", "/configs", ``, 200, `~"routes_conf_version":7`}, {"GET", "/configs", ``, 200, `~"consumers_conf_version":1`},
		{"GET", "/configs", ``, 200, `~"upstreams_conf_version":2`}, {"GET", "/configs", ``, 200, `~"X-Digest":"d2"`}})
	r = b.send("GET", base+"/configs", "", "Accept", "application/yaml")
	if r.header.Get("Content-Type") != "application/yaml" || !strings.Contains(r.text, "routes_conf_version: 7\n") || r.header.Get("X-Digest") != "d2" {
		t.Errorf("YAML: %v", r)
	}
	refuseBatch = errors.New("the data process is gone")
	put("d3", `{}`, 503, "the data process is gone")
	refuseBatch = nil
	put("d3", `{}`, 202, "")

	if len(batches) != 3 {
		t.Fatalf("%d batches", len(batches))
	}
	rev := func(i int, kind conf.Kind, id string) int64 {
		for _, o := range batches[i].Objects {
			if o.Kind == kind && o.ID == id {
				return o.Rev
			}
		}
		return -1
	}
	f := func(i int, kind conf.Kind, id string, want int64) {
		t.Helper()
		if got := rev(i, kind, id); got != want {
			t.Errorf("batch %d: %s %s has revision %d, want %d", i, kind, id, got, want)
		}
	}
	f(0, conf.KindRoute, "1", 1)
	f(1, conf.KindRoute, "1", 1) // same content
	f(1, conf.KindRoute, "2", 1) // same modifiedIndex
	f(1, conf.KindRoute, "3", 2)
	f(1, conf.KindConsumer, "c", 1)
	f(1, conf.KindCredential, "c/credentials/k", 1)
	f(2, conf.KindRoute, "1", -1)
}
