package build_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"
)

// named is a back end that answers with its name.
func named(t *testing.T, name string) string {
	return gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) })
}

func TestWhatARouteRefersToMayComeLaterAndGo(t *testing.T) {
	a, b := named(t, "a"), named(t, "b")
	g := gateway.Start(t, gateway.Options{})
	want := func(step string, status int, body string) {
		t.Helper()
		resp, got := g.Get("/")
		if resp.StatusCode != status || body != "" && got != body {
			t.Errorf("%s: %d %.40q, want %d %q", step, resp.StatusCode, got, status, body)
		}
	}
	node := func(addr string) string { return fmt.Sprintf(`{"nodes":{%q:1}}`, addr) }

	want("no route", 404, "")
	g.Put(conf.KindRoute, "1", `{"uri":"/","upstream_id":"u"}`)
	want("upstream unknown", 502, "")
	g.Put(conf.KindUpstream, "u", node(a))
	want("upstream came", 200, "a")
	g.Put(conf.KindUpstream, "u", node(b))
	want("upstream changed", 200, "b")
	g.Put(conf.KindUpstream, "u", `{"nodes":[]}`)
	want("upstream without nodes", 503, "")
	g.Delete(conf.KindUpstream, "u")
	want("upstream gone", 502, "")

	g.Put(conf.KindRoute, "1", `{"uri":"/","service_id":"s"}`)
	want("service unknown", 404, "")
	g.Put(conf.KindService, "s", `{"upstream":`+node(a)+`}`)
	want("service came", 200, "a")
	g.Put(conf.KindService, "s", `{"upstream":`+node(b)+`}`)
	want("service changed", 200, "b")
	g.Put(conf.KindUpstream, "u", node(a))
	g.Put(conf.KindService, "s", `{"upstream_id":"u"}`)
	want("service with upstream_id", 200, "a")
	g.Put(conf.KindRoute, "1", `{"uri":"/","service_id":"s","upstream":`+node(b)+`}`)
	want("the route's upstream wins", 200, "b")

	g.Put(conf.KindRoute, "1", `{"uri":"/","service_id":"s","plugin_config_id":"p"}`)
	want("plugin config unknown", 503, "")
	g.Put(conf.KindPluginConfig, "p", `{"plugins":{}}`)
	want("plugin config came", 200, "a")
	g.Delete(conf.KindPluginConfig, "p")
	want("plugin config gone", 503, "")
	g.Delete(conf.KindRoute, "1")
	want("route gone", 404, "")
}

func TestARouteWithoutHostsTakesThoseOfItsService(t *testing.T) {
	a := named(t, "a")
	g := gateway.Start(t, gateway.Options{})
	status := func(host string) int {
		resp, _ := g.Get("/", "Host: "+host)
		return resp.StatusCode
	}
	g.Put(conf.KindService, "s", fmt.Sprintf(`{"hosts":["one.com"],"upstream":{"nodes":{%q:1}}}`, a))
	g.Put(conf.KindRoute, "1", `{"uri":"/","service_id":"s"}`)
	if status("one.com") != 200 || status("two.com") != 404 {
		t.Errorf("one.com %d, two.com %d", status("one.com"), status("two.com"))
	}
	g.Put(conf.KindService, "s", fmt.Sprintf(`{"hosts":["two.com"],"upstream":{"nodes":{%q:1}}}`, a))
	if status("one.com") != 404 || status("two.com") != 200 {
		t.Errorf("after the change: one.com %d, two.com %d", status("one.com"), status("two.com"))
	}
	g.Put(conf.KindService, "s", fmt.Sprintf(`{"upstream":{"nodes":{%q:1}}}`, a))
	if status("one.com") != 200 || status("other.com") != 200 {
		t.Errorf("without hosts: one.com %d, other.com %d", status("one.com"), status("other.com"))
	}
	g.Put(conf.KindRoute, "1", `{"uri":"/","service_id":"s","status":0}`)
	if got := status("one.com"); got != 404 {
		t.Errorf("a disabled route answers %d", got)
	}
}

func TestAFullBatchReplacesEverything(t *testing.T) {
	snaps := 0
	b := build.New(build.Options{Clock: loop.Clock, Publish: func(*req.Snapshot) { snaps++ }})
	route := func(id string, rev int64) conf.Object {
		return conf.Object{Kind: conf.KindRoute, ID: id, Rev: rev, Value: []byte(`{"uri":"/` + id + `","upstream":{"nodes":{"127.0.0.1:1":1}}}`)}
	}
	if r := b.Apply(&conf.Batch{Full: true, Rev: 5, Objects: []conf.Object{route("a", 1), route("b", 2)}}); len(r) != 0 {
		t.Fatal(r)
	}
	kept := b.Table().Get("a")
	b.Apply(&conf.Batch{Full: true, Rev: 9, Objects: []conf.Object{route("a", 1), route("c", 8)}})
	if b.Table().Len() != 2 || b.Table().Get("b") != nil || b.Table().Get("c") == nil {
		t.Errorf("the table has %d routes", b.Table().Len())
	}
	if b.Table().Get("a") != kept {
		t.Error("an object with the same revision was built again")
	}
	if b.Rev() != 9 {
		t.Errorf("revision %d, want 9", b.Rev())
	}
}

func TestABrokenObjectKeepsItsFormerVersion(t *testing.T) {
	b := build.New(build.Options{Clock: loop.Clock})
	put := func(rev int64, value string) []build.Refusal {
		return b.Apply(&conf.Batch{Rev: rev, Objects: []conf.Object{{Kind: conf.KindRoute, ID: "a", Rev: rev, Value: []byte(value)}}})
	}
	put(1, `{"uri":"/good","upstream":{"nodes":{"127.0.0.1:1":1}}}`)
	for _, bad := range []string{
		`not json`,
		`{"uri":"/x","upstream":{"nodes":{"127.0.0.1:1":1},"scheme":"kafka"}}`,
		`{"uri":"/x","vars":[["a","nonsense","b"]],"upstream":{"nodes":{"127.0.0.1:1":1}}}`,
		`{"uri":"/x","remote_addr":"300.1.1.1","upstream":{"nodes":{"127.0.0.1:1":1}}}`,
	} {
		r := put(2, bad)
		if len(r) != 1 || r[0].ID != "a" {
			t.Errorf("%s: refusals %v", bad, r)
			continue
		}
		if e := b.Table().Get("a"); e == nil || e.URIs[0] != "/good" {
			t.Errorf("%s: the former version is gone", bad)
		}
	}
}

func TestDomainNodesFollowTheirAddresses(t *testing.T) {
	a := named(t, "a")
	g := gateway.Start(t, gateway.Options{})
	// localhost stands for whatever the resolver says; without one the node is
	// left out and the upstream has none.
	port := a[strings.LastIndexByte(a, ':')+1:]
	g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/","upstream":{"nodes":{"name.test:%s":1}}}`, port))
	if resp, _ := g.Get("/"); resp.StatusCode != 503 {
		t.Errorf("without an address: %d, want 503", resp.StatusCode)
	}
}
