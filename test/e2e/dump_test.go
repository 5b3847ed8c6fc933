package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// kindOf is the collection of a key of the dump as `gw status` counts it, ""
// for a key that is no object.
func kindOf(key string) string {
	dir, id, _ := strings.Cut(key, "/")
	switch {
	case id == "" || dir == "data_plane" || dir == "node_status" || strings.Contains(key, "graphql_cost"):
		return ""
	case dir == "consumers" && strings.Contains(id, "/credentials/"):
		return "credentials"
	}
	return dir
}

// singular is how refusals name the kinds.
var singular = map[string]string{
	"routes": "route", "services": "service", "upstreams": "upstream", "consumers": "consumer", "credentials": "credential", "ssls": "ssl",
	"global_rules": "global_rule", "plugin_configs": "plugin_config", "consumer_groups": "consumer_group", "plugin_metadata": "plugin_metadata",
	"protos": "proto", "stream_routes": "stream_route", "secrets": "secret",
}

// statusReport is what the test reads of `gw status --json`.
type statusReport struct {
	Process struct {
		Objects map[string]int `json:"objects"`
	} `json:"process"`
	Configuration struct {
		Rev, Served int64
		Refused     []struct {
			Kind   string `json:"kind"`
			ID     string `json:"id"`
			Reason string `json:"reason"`
		} `json:"refused"`
	} `json:"configuration"`
}

// An APISIX prefix that grew over years is taken over: every object of it is
// served or refused by its name, and the requests that APISIX answered are
// answered.
func TestAPISIXDump(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	etcd := externalEtcd(t, false)
	d := apisixDump(t, b.Addr)
	written := map[string]int{}
	objects := 0
	for _, key := range d.keys {
		etcdserver.Put(t, etcd.Client(), "/apisix/"+key, d.values[key])
		if kind := kindOf(key); kind != "" {
			written[kind]++
			objects++
		}
	}
	if objects < 300 || len(written) != len(singular) {
		t.Fatalf("the dump has %d objects of %d kinds", objects, len(written))
	}
	g := gateway.Start(t, gateway.Options{
		Etcd: map[string]any{"host": []any{etcd.Endpoint}},
		Set:  map[string]any{"apisix.data_encryption.keyring": []any{shippedKey, "edd1c9f0985e76a2"}},
	})

	var st statusReport
	if !gateway.Poll(20*time.Second, func() bool {
		out, _ := g.Command("status", "--json", "-c", g.Config).Output()
		st = statusReport{}
		return json.Unmarshal(out, &st) == nil && st.Configuration.Rev > 0 && st.Configuration.Served == st.Configuration.Rev
	}) {
		t.Fatalf("the configuration is not served:\n%s", statusText(g))
	}
	refused := map[string]int{}
	named := map[string]string{}
	for _, r := range st.Configuration.Refused {
		kind := collection(r.Kind)
		refused[kind]++
		dir := kind
		if kind == "credentials" {
			dir = "consumers"
		}
		named[dir+"/"+r.ID] = r.Reason
	}
	for _, kind := range slices.Sorted(maps.Keys(written)) {
		if served := st.Process.Objects[kind]; served+refused[kind] != written[kind] {
			t.Errorf("%s: %d were written, %d are served and %d refused", kind, written[kind], served, refused[kind])
		}
	}
	for key, why := range d.refused {
		if reason, ok := named[key]; !ok || !strings.Contains(reason, why) {
			t.Errorf("%s should be refused for %q: %q", key, why, reason)
		}
	}
	for key, reason := range named {
		if _, ok := d.refused[key]; !ok {
			t.Errorf("%s is refused: %s", key, reason)
		}
	}
	for _, p := range d.probes {
		a, err := g.Do(p.method, "http://"+g.Proxy+p.path, nil, p.headers...)
		if err != nil || a.Status != p.status {
			t.Errorf("%s %s %q: status %d, want %d; %v %.200s", p.method, p.path, p.headers, a.Status, p.status, err, a.Body)
		}
	}
	// What an administrator's tools list is what was written, but for the one
	// that is no JSON.
	a := g.Admin(http.MethodGet, "/routes", nil)
	if total, _ := a.Field("total").(float64); int(total) != written["routes"]-1 {
		t.Errorf("the Admin API lists %v of %d routes", a.Field("total"), written["routes"])
	}
	if t.Failed() {
		t.Logf("%s", statusText(g))
	}
}

// collection is the directory of a kind.
func collection(kind string) string {
	for dir, name := range singular {
		if name == kind {
			return dir
		}
	}
	return kind
}
