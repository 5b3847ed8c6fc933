package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// The places in which APISIX's behaviour surprises, each by its name, seen
// from outside.
func TestTraps(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	other := backend.Start(t, backend.OK("other"))
	g := gateway.Start(t, gateway.Options{})
	c := etcdserver.Client(t, "http://"+g.EtcdAddr, nil, "", "")
	node := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, b.Addr)
	otherNode := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, other.Addr)
	put := func(t *testing.T, path, body string) {
		t.Helper()
		if a := g.Admin("PUT", path, body); a.Status > 201 {
			t.Fatalf("PUT %s: %d %s", path, a.Status, a.Body)
		}
	}
	refused := func(t *testing.T, path, body, says string) {
		t.Helper()
		if a := g.Admin("PUT", path, body); a.Status != 400 || !strings.Contains(a.Text(), says) {
			t.Errorf("PUT %s: %d %s, want 400 with %q", path, a.Status, a.Body, says)
		}
	}

	needsPlugin := func(t *testing.T, name string) {
		t.Helper()
		if a := g.Admin("GET", "/plugins/"+name, nil); a.Status != 200 {
			t.Skipf("no plugin %s is built in", name)
		}
	}

	t.Run("placeholder keys init_dir are no resources and are written by us", func(t *testing.T) {
		resp, err := c.Get(t.Context(), "/apisix/routes/")
		if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "init_dir" {
			t.Errorf("etcd holds %v, error %v", resp, err)
		}
		if a := g.Admin("GET", "/routes", nil); a.Field("total") != 0.0 {
			t.Errorf("total is %v", a.Field("total"))
		}
	})
	t.Run("deleted is a string", func(t *testing.T) {
		put(t, "/routes/d", `{"uri":"/d",`+node+`}`)
		if a := g.Admin("DELETE", "/routes/d", nil); a.Field("deleted") != "1" {
			t.Errorf("deleted is %#v", a.Field("deleted"))
		}
	})
	t.Run("page without page_size does not page", func(t *testing.T) {
		for i := range 12 {
			put(t, fmt.Sprintf("/routes/p%d", i), fmt.Sprintf(`{"uri":"/p%d",%s}`, i, node))
		}
		listed := func(query string) int {
			l, _ := g.Admin("GET", "/routes"+query, nil).Field("list").([]any)
			return len(l)
		}
		if n := listed("?page=2"); n != 12 {
			t.Errorf("page alone lists %d of 12", n)
		}
		if n := listed("?page=2&page_size=10"); n != 2 {
			t.Errorf("the second page of ten has %d", n)
		}
		if a := g.Admin("GET", "/routes?page=1&page_size=5", nil); a.Status != 400 {
			t.Errorf("page_size 5: status %d", a.Status)
		}
	})
	t.Run("priority is local to a position in the tree", func(t *testing.T) {
		put(t, "/routes/exact", `{"uri":"/prio/exact","priority":-10,`+node+`}`)
		put(t, "/routes/prefix", `{"uri":"/prio/*","priority":100,`+otherNode+`}`)
		put(t, "/routes/hosted", `{"uri":"/prio/*","host":"prio.example","priority":-100,`+node+`}`)
		g.WaitStatus("/prio/any", 200)
		g.WaitAnswer("/prio/exact", func(a gateway.Answer) bool { return a.Text() == "hello" })
		g.WaitAnswer("/prio/any", func(a gateway.Answer) bool { return a.Text() == "hello" }, "Host", "prio.example")
		if a := g.Get("/prio/any"); a.Text() != "other" {
			t.Errorf("without a host: %q", a.Body)
		}
	})
	t.Run("a host wildcard covers any depth", func(t *testing.T) {
		put(t, "/routes/wild", `{"uri":"/wild","host":"*.wild.example",`+node+`}`)
		g.WaitStatus("/wild", 200, "Host", "a.b.c.wild.example")
		g.WaitStatus("/wild", 200, "Host", "A.WILD.example:8080")
		if a := g.Get("/wild", "Host", "wild.example"); a.Status != 404 {
			t.Errorf("the bare domain: status %d", a.Status)
		}
	})
	t.Run("passive checks need active ones", func(t *testing.T) {
		refused(t, "/upstreams/passive", `{"nodes":{"127.0.0.1:1":1},"checks":{"passive":{"unhealthy":{"http_failures":1}}}}`, "active")
	})
	t.Run("POST ids are twenty digits", func(t *testing.T) {
		a := g.Admin("POST", "/routes", `{"uri":"/post",`+node+`}`)
		id, _ := a.Field("value.id").(string)
		if a.Status != 201 || !regexp.MustCompile(`^0[0-9]{19}$`).MatchString(id) {
			t.Errorf("status %d, id %q: %s", a.Status, id, a.Body)
		}
	})
	t.Run("PATCH null deletes and arrays replace", func(t *testing.T) {
		put(t, "/routes/patch", `{"uri":"/patch","desc":"x","methods":["GET","POST"],`+node+`}`)
		a := g.Admin("PATCH", "/routes/patch", `{"desc":null,"methods":["PUT"]}`)
		methods, _ := a.Field("value.methods").([]any)
		if a.Status != 200 || a.Field("value.desc") != nil || len(methods) != 1 || methods[0] != "PUT" {
			t.Errorf("status %d: %s", a.Status, a.Body)
		}
	})
	t.Run("consumers and credentials share a prefix", func(t *testing.T) {
		needsPlugin(t, "key-auth")
		put(t, "/consumers/jack", `{"username":"jack"}`)
		put(t, "/consumers/jack/credentials/one", `{"plugins":{"key-auth":{"key":"jacks-key"}}}`)
		if a := g.Admin("GET", "/consumers", nil); a.Field("total") != 1.0 {
			t.Errorf("consumers: %s", a.Body)
		}
		if a := g.Admin("GET", "/consumers/jack/credentials", nil); a.Field("total") != 1.0 {
			t.Errorf("credentials: %s", a.Body)
		}
		if a := g.Admin("PUT", "/consumers/nobody/credentials/one", `{"plugins":{"key-auth":{"key":"k"}}}`); a.Status != 404 {
			t.Errorf("credential of nobody: status %d", a.Status)
		}
	})
	t.Run("a service's hosts are those of a route without host", func(t *testing.T) {
		put(t, "/services/s", `{"hosts":["service.example"],`+node+`}`)
		put(t, "/routes/of-service", `{"uri":"/of-service","service_id":"s"}`)
		g.WaitStatus("/of-service", 200, "Host", "service.example")
		if a := g.Get("/of-service", "Host", "elsewhere.example"); a.Status != 404 {
			t.Errorf("another host: status %d", a.Status)
		}
		put(t, "/services/s", `{"hosts":["moved.example"],`+node+`}`)
		g.WaitStatus("/of-service", 200, "Host", "moved.example")
		g.WaitStatus("/of-service", 404, "Host", "service.example")
	})
	t.Run("retries default to the number of nodes minus one", func(t *testing.T) {
		put(t, "/routes/retry", fmt.Sprintf(`{"uri":"/retry","upstream":{"nodes":{%q:1,%q:1,%q:1}}}`, backend.Refused(t), backend.Refused(t), b.Addr))
		g.WaitStatus("/retry", 200)
		for range 6 {
			if a := g.Get("/retry"); a.Status != 200 {
				t.Errorf("two of three nodes are dead: status %d", a.Status)
			}
		}
		put(t, "/routes/retry0", fmt.Sprintf(`{"uri":"/retry0","upstream":{"retries":0,"nodes":{%q:1,%q:1}}}`, backend.Refused(t), b.Addr))
		g.WaitAnswer("/retry0", func(a gateway.Answer) bool { return a.Status == 200 || a.Status == 502 })
		got := map[int]int{}
		for range 10 {
			got[g.Get("/retry0").Status]++
		}
		if got[502] != 5 || got[200] != 5 {
			t.Errorf("without retries: %v", got)
		}
	})
	t.Run("no limit on the body's size by default", func(t *testing.T) {
		put(t, "/routes/large", `{"uri":"/large",`+node+`}`)
		g.WaitStatus("/large", 200)
		a, err := g.Do("POST", "http://"+g.Proxy+"/large", make([]byte, 8<<20))
		if err != nil || a.Status != 200 {
			t.Errorf("8 MiB: status %d, error %v", a.Status, err)
		}
	})
	t.Run("regexes are PCRE", func(t *testing.T) {
		put(t, "/routes/pcre", `{"uri":"/pcre","vars":[["arg_n","~~","^(?!0)[0-9]+$"]],`+node+`}`)
		g.WaitStatus("/pcre?n=10", 200)
		if a := g.Get("/pcre?n=010"); a.Status != 404 {
			t.Errorf("a negative look-ahead is ignored: status %d", a.Status)
		}
	})
	t.Run("Lua is refused with the alternative named", func(t *testing.T) {
		refused(t, "/routes/lua", `{"uri":"/lua","filter_func":"function(vars) return vars.arg_a == '1' end",`+node+`}`, "vars")
		refused(t, "/routes/lua", `{"uri":"/lua","script":"return 1",`+node+`}`, "script")
		refused(t, "/routes/lua", `{"uri":"/lua","plugins":{"serverless-pre-function":{"functions":["return 1"]}},`+node+`}`, "serverless-pre-function")
		etcdserver.Put(t, c, "/apisix/routes/lua", `{"uri":"/lua","filter_func":"function(vars) return true end",`+node+`}`)
		etcdserver.Put(t, c, "/apisix/routes/after-lua", `{"uri":"/after-lua",`+node+`}`)
		g.WaitStatus("/after-lua", 200)
		if a := g.Get("/lua"); a.Status != 404 {
			t.Errorf("a route with Lua that came from etcd answers %d", a.Status)
		}
		if !strings.Contains(g.Log(), "filter_func") {
			t.Error("the log does not name filter_func")
		}
	})
	t.Run("secret fields are stored encrypted", func(t *testing.T) {
		needsPlugin(t, "key-auth")
		put(t, "/consumers/anna", `{"username":"anna","plugins":{"key-auth":{"key":"annas-clear-key"}}}`)
		resp, err := c.Get(t.Context(), "/apisix/consumers/anna")
		if err != nil || len(resp.Kvs) != 1 || strings.Contains(string(resp.Kvs[0].Value), "annas-clear-key") {
			t.Errorf("etcd holds %s, error %v", resp.Kvs, err)
		}
		if a := g.Admin("GET", "/consumers/anna", nil); a.Field("value.plugins.key-auth.key") != "annas-clear-key" {
			t.Errorf("GET shows %s", a.Body)
		}
	})
	t.Run("404 for a missing service and 503 for a missing plugin_config", func(t *testing.T) {
		etcdserver.Put(t, c, "/apisix/routes/no-service", `{"uri":"/no-service","service_id":"gone"}`)
		etcdserver.Put(t, c, "/apisix/routes/no-config", `{"uri":"/no-config","plugin_config_id":"gone",`+node+`}`)
		g.WaitStatus("/no-config", 503)
		g.WaitStatus("/no-service", 404)
		etcdserver.Put(t, c, "/apisix/services/gone", `{`+node+`}`)
		etcdserver.Put(t, c, "/apisix/plugin_configs/gone", `{"plugins":{}}`)
		g.WaitStatus("/no-service", 200)
		g.WaitStatus("/no-config", 200)
	})
	t.Run("502 for an unknown upstream_id and 503 without any", func(t *testing.T) {
		etcdserver.Put(t, c, "/apisix/routes/no-upstream", `{"uri":"/no-upstream","upstream_id":"gone"}`)
		g.WaitStatus("/no-upstream", 502)
		etcdserver.Put(t, c, "/apisix/routes/none", `{"uri":"/none","plugins":{"proxy-rewrite":{"uri":"/x"}}}`)
		g.WaitStatus("/none", 503)
	})
	t.Run("HEAD is not implied by GET", func(t *testing.T) {
		put(t, "/routes/get-only", `{"uri":"/get-only","methods":["GET"],`+node+`}`)
		g.WaitStatus("/get-only", 200)
		a, err := g.Do(http.MethodHead, "http://"+g.Proxy+"/get-only", nil)
		if err != nil || a.Status != 404 {
			t.Errorf("HEAD: status %d, error %v", a.Status, err)
		}
	})
	t.Run("the control API shows the item as APISIX does", func(t *testing.T) {
		a, err := g.Do("GET", "http://"+g.ControlAddr+"/v1/route/get-only", nil)
		if err != nil || a.Status != 200 || a.Field("key") != "/apisix/routes/get-only" || a.Field("modifiedIndex") == nil {
			t.Errorf("status %d, error %v: %s", a.Status, err, a.Body)
		}
	})
}
