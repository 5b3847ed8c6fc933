package e2e

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// What an operator types wrong is answered by 400 and the name of the field.
func TestAdminAPIBadInput(t *testing.T) {
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	f := func(name, method, path, body string, status int, says string) {
		t.Helper()
		a := g.Admin(method, path, body)
		if a.Status != status || !strings.Contains(a.Text(), says) {
			t.Errorf("%s: status %d, want %d, with %q in %s", name, a.Status, status, says, a.Body)
		}
	}
	const node = `"upstream":{"nodes":{"127.0.0.1:1":1}}`
	f("no JSON", "PUT", "/routes/1", `{"uri": `, 400, "invalid request body")
	f("no object", "PUT", "/routes/1", `[1]`, 400, "error_msg")
	f("empty", "PUT", "/routes/1", ``, 400, "error_msg")
	f("wrong type", "PUT", "/routes/1", `{"uri": 5, `+node+`}`, 400, "uri")
	f("unknown field", "PUT", "/routes/1", `{"uri": "/", "frobnicate": 1, `+node+`}`, 400, "frobnicate")
	f("wrong nested type", "PUT", "/upstreams/1", `{"nodes":{"127.0.0.1:1":1},"keepalive_pool":{"size":"many"}}`, 400, "size")
	f("bad method", "PUT", "/routes/1", `{"uri": "/", "methods": ["FETCH"], `+node+`}`, 400, "methods")
	f("bad weight", "PUT", "/upstreams/1", `{"nodes":{"127.0.0.1:1":-1}}`, 400, "nodes")
	f("bad timeout", "PUT", "/upstreams/1", `{"nodes":{"127.0.0.1:1":1},"timeout":{"connect":0,"send":1,"read":1}}`, 400, "connect")
	f("neither uri nor uris", "PUT", "/routes/1", `{`+node+`}`, 400, "error_msg")
	f("dangling reference", "PUT", "/routes/1", `{"uri": "/", "upstream_id": "nobody"}`, 400, "nobody")
	f("id against path", "PUT", "/routes/1", `{"id": "2", "uri": "/", `+node+`}`, 400, "id")
	f("bad id", "PUT", "/routes/a%20b", `{"uri": "/", `+node+`}`, 400, "id")
	f("unknown resource", "GET", "/rouets", ``, 404, "rouets")
	f("unknown plugin", "PUT", "/routes/1", `{"uri": "/", "plugins": {"no-such-plugin": {}}, `+node+`}`, 400, "no-such-plugin")
	f("plugin's field", "PUT", "/routes/1", `{"uri": "/", "plugins": {"proxy-rewrite": {"uri": 7}}, `+node+`}`, 400, "uri")
	f("Lua", "PUT", "/routes/1", `{"uri": "/", "filter_func": "function(vars) return true end", `+node+`}`, 400, "filter_func")
	f("missing", "GET", "/routes/404", ``, 404, "Key not found")
	f("POST with id", "POST", "/routes/1", `{"uri": "/", `+node+`}`, 400, "error_msg")

	a, err := g.Do("GET", "http://"+g.AdminAddr+"/apisix/admin/routes", nil)
	if err != nil || a.Status != 401 || !strings.Contains(a.Text(), "missing apikey") {
		t.Errorf("without a key: status %d, error %v, body %s", a.Status, err, a.Body)
	}
	a, err = g.Do("GET", "http://"+g.AdminAddr+"/apisix/admin/routes", nil, "X-API-KEY", "guess")
	if err != nil || a.Status != 401 || !strings.Contains(a.Text(), "wrong apikey") {
		t.Errorf("with a wrong key: status %d, error %v, body %s", a.Status, err, a.Body)
	}
	if a := g.Admin("GET", "/routes", nil); a.Field("total") != 0.0 {
		t.Errorf("something was stored: %s", a.Body)
	}
}
