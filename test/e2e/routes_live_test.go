package e2e

import (
	"fmt"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// An operator creates, changes and removes a route by the Admin API and sees
// each step in the traffic.
func TestRouteLifeByAdminAPI(t *testing.T) {
	t.Parallel()
	blue, green := backend.Start(t, backend.OK("blue")), backend.Start(t, backend.OK("green"))
	g := gateway.Start(t, gateway.Options{})

	if a := g.Get("/shop"); a.Status != 404 || a.Text() != `{"error_msg":"404 Route Not Found"}`+"\n" && a.Text() != `{"error_msg":"404 Route Not Found"}` {
		t.Errorf("without a route: status %d, body %q", a.Status, a.Body)
	}
	if a := g.Admin("PUT", "/upstreams/1", gateway.Nodes(blue.Addr)); a.Status != 201 || a.Field("key") != "/apisix/upstreams/1" {
		t.Errorf("new upstream: status %d, body %s", a.Status, a.Body)
	}
	if a := g.Admin("PUT", "/routes/1", map[string]any{"uri": "/shop", "upstream_id": "1"}); a.Status != 201 {
		t.Errorf("new route: status %d, body %s", a.Status, a.Body)
	}
	if a := g.WaitStatus("/shop", 200); a.Text() != "blue" {
		t.Errorf("body is %q", a.Body)
	}

	if a := g.Put("/upstreams/1", gateway.Nodes(green.Addr)); a.Status != 200 {
		t.Errorf("existing upstream: status %d", a.Status)
	}
	g.WaitAnswer("/shop", func(a gateway.Answer) bool { return a.Text() == "green" })

	if a := g.Admin("PATCH", "/routes/1", map[string]any{"uri": "/market"}); a.Status != 200 {
		t.Errorf("PATCH: status %d, body %s", a.Status, a.Body)
	}
	g.WaitStatus("/market", 200)
	g.WaitStatus("/shop", 404)

	if a := g.Admin("GET", "/routes/1", nil); a.Status != 200 || a.Field("value.uri") != "/market" {
		t.Errorf("GET one: status %d, body %s", a.Status, a.Body)
	}
	if a := g.Admin("GET", "/routes", nil); a.Status != 200 || a.Field("total") != 1.0 {
		t.Errorf("GET list: status %d, body %s", a.Status, a.Body)
	}
	if a := g.Admin("DELETE", "/upstreams/1", nil); a.Status != 400 {
		t.Errorf("DELETE of an upstream in use: status %d, body %s", a.Status, a.Body)
	}
	if a := g.Admin("DELETE", "/routes/1", nil); a.Status != 200 || a.Field("deleted") != "1" {
		t.Errorf("DELETE: status %d, body %s", a.Status, a.Body)
	}
	g.WaitStatus("/market", 404)
	if a := g.Admin("DELETE", "/routes/1", nil); a.Status != 404 {
		t.Errorf("second DELETE: status %d, body %s", a.Status, a.Body)
	}
}

// The same steps written straight into etcd.
func TestRouteLifeByEtcd(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	c := etcdserver.Client(t, "http://"+g.EtcdAddr, nil, "", "")

	etcdserver.Put(t, c, "/apisix/upstreams/u", fmt.Sprintf(`{"nodes":{"%s":1},"type":"roundrobin"}`, b.Addr))
	etcdserver.Put(t, c, "/apisix/routes/r", `{"uri":"/one","upstream_id":"u"}`)
	g.WaitStatus("/one", 200)
	etcdserver.Put(t, c, "/apisix/routes/r", `{"uri":"/two","upstream_id":"u"}`)
	g.WaitStatus("/two", 200)
	g.WaitStatus("/one", 404)
	etcdserver.Put(t, c, "/apisix/routes/r", `{"uri":"/two","upstream_id":"u","status":0}`)
	g.WaitStatus("/two", 404)
	etcdserver.Put(t, c, "/apisix/routes/r", `{"uri":"/two","upstream_id":"u"}`)
	g.WaitStatus("/two", 200)
	etcdserver.Delete(t, c, "/apisix/routes/r")
	g.WaitStatus("/two", 404)
}

// A value that cannot be used is skipped and named; what served before goes on.
func TestBrokenEtcdValues(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	c := etcdserver.Client(t, "http://"+g.EtcdAddr, nil, "", "")
	node := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, b.Addr)

	etcdserver.Put(t, c, "/apisix/routes/", "init_dir")
	etcdserver.Put(t, c, "/apisix/routes/good", `{"uri":"/good",`+node+`}`)
	g.WaitStatus("/good", 200)
	broken := []string{
		`this is not JSON`,
		`{"uri":"/good"`,
		`{"uri":42,` + node + `}`,
		`{"uri":"/other","no_such_field":1,` + node + `}`,
		`{"upstream":{"nodes":{}}}`,
		`[]`,
		``,
	}
	for i, v := range broken {
		etcdserver.Put(t, c, "/apisix/routes/good", v)
		// A valid object written later shows that the broken one has been
		// looked at.
		mark := fmt.Sprintf("/mark%d", i)
		etcdserver.Put(t, c, "/apisix/routes/mark", `{"uri":"`+mark+`",`+node+`}`)
		g.WaitStatus(mark, 200)
		if a := g.Get("/good"); a.Status != 200 {
			t.Errorf("after %q: the last good version answers %d", v, a.Status)
		}
	}
	g.WaitLog("good", 0)

	etcdserver.Put(t, c, "/apisix/routes/new", `{"uri":`)
	etcdserver.Put(t, c, "/apisix/routes/good", `{"uri":"/better",`+node+`}`)
	g.WaitStatus("/better", 200)
	g.WaitStatus("/good", 404)
}
