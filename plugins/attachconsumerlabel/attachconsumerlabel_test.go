package attachconsumerlabel_test

import (
	"net/http"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/attachconsumerlabel"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func start(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","labels":{"department":"devops","company":"acme,inc."},"plugins":{"key-auth":{"key":"jack"}}}`)
	g.Put(conf.KindConsumer, "jill", `{"username":"jill","plugins":{"key-auth":{"key":"jill"}}}`)
	g.Put(conf.KindConsumer, "nobody", `{"username":"nobody"}`)
	return g
}

const plugins = `{"key-auth":{"anonymous_consumer":"nobody"},"attach-consumer-label":{"headers":{
	"X-Consumer-Department":"$department","X-Company":"$company","X-Role":"$role"}}}`

func TestLabels(t *testing.T) {
	g := start(t)
	node := gateway.Upstream(t)
	g.Route(node, plugins)
	f := func(key string, want http.Header) {
		t.Helper()
		_, body := g.Get("/", "apikey: "+key, "X-Role: admin", "X-Company: forged", "X-Consumer-Department: forged")
		seen := gateway.Saw(t, body).Header
		for _, name := range []string{"X-Role", "X-Company", "X-Consumer-Department"} {
			if seen.Get(name) != want.Get(name) || len(seen[name]) != len(want[name]) {
				t.Errorf("%s: %s is %q, want %q", key, name, seen[name], want[name])
			}
		}
	}
	f("jack", http.Header{"X-Company": {"acme,inc."}, "X-Consumer-Department": {"devops"}})
	f("jill", nil)
	f("", nil)
	g.Route(node, `{"attach-consumer-label":{"headers":{"X-Role":"$role"}}}`)
	_, body := g.Get("/", "X-Role: admin")
	if gateway.Saw(t, body).Header["X-Role"] != nil {
		t.Error("a client without a consumer set the field")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin string) {
		t.Helper()
		if g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"attach-consumer-label":`+plugin+`}}`) == nil {
			t.Errorf("%s was accepted", plugin)
		}
	}
	f(`{}`)
	f(`{"headers":{}}`)
	f(`{"headers":{"X-A":"role"}}`)
	f(`{"headers":{"X A":"$role"}}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/attach-consumer-label.md") }
