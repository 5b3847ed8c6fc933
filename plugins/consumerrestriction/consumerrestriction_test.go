package consumerrestriction_test

import (
	"fmt"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/consumerrestriction"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func start(t testing.TB) (g *gateway.Gateway, route func(plugin string)) {
	g = gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumerGroup, "staff", `{"plugins":{}}`)
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","group_id":"staff","plugins":{"key-auth":{"key":"jack"}}}`)
	g.Put(conf.KindConsumer, "jill", `{"username":"jill","plugins":{"key-auth":{"key":"jill"}}}`)
	g.Put(conf.KindService, "s1", `{"plugins":{}}`)
	node := gateway.Upstream(t)
	return g, func(plugin string) {
		g.Put(conf.KindRoute, "r1", fmt.Sprintf(`{"uri":"/*","service_id":"s1","plugins":{"key-auth":{},"consumer-restriction":%s},"upstream":{"nodes":{%q:1}}}`, plugin, node))
		g.Put(conf.KindRoute, "open", fmt.Sprintf(`{"uri":"/open","plugins":{"consumer-restriction":%s},"upstream":{"nodes":{%q:1}}}`, plugin, node))
	}
}

func TestRestrictions(t *testing.T) {
	g, route := start(t)
	f := func(plugin, method, key string, status int, message string) {
		t.Helper()
		route(plugin)
		path := "/"
		if key == "" {
			path = "/open"
		}
		resp, body := g.Do(method, path, "", "apikey: "+key)
		if resp.StatusCode != status || message != "" && body != `{"message":"`+message+`"}`+"\n" {
			t.Errorf("%s for %s %q: %d %s, want %d %s", plugin, method, key, resp.StatusCode, body, status, message)
		}
	}
	const forbidden = "The consumer_name is forbidden."
	f(`{"whitelist":["jack"]}`, "GET", "jack", 200, "")
	f(`{"whitelist":["jack"]}`, "GET", "jill", 403, forbidden)
	f(`{"blacklist":["jack"]}`, "GET", "jack", 403, forbidden)
	f(`{"blacklist":["jack"]}`, "GET", "jill", 200, "")
	f(`{"blacklist":["jack"],"whitelist":["jack"]}`, "GET", "jack", 403, forbidden)
	f(`{"blacklist":["jack"]}`, "GET", "", 401, "The request is rejected, please check the consumer_name for this request")
	f(`{"blacklist":["jack"],"rejected_code":418,"rejected_msg":"no \"tea\" / <b>"}`, "GET", "jack", 418, `no \"tea\" / <b>`)

	byMethod := `{"allowed_by_methods":[{"user":"jack","methods":["POST","GET"]},{"user":"jack","methods":["PUT"]}]}`
	f(byMethod, "POST", "jack", 200, "")
	f(byMethod, "PUT", "jack", 403, forbidden)
	f(byMethod, "PUT", "jill", 200, "")
	f(`{"whitelist":["jack"],"allowed_by_methods":[{"user":"jack","methods":["POST"]}]}`, "GET", "jack", 200, "")
	f(`{"whitelist":["jack"],"allowed_by_methods":[{"user":"jill","methods":["GET"]}]}`, "GET", "jill", 403, forbidden)

	f(`{"type":"consumer_group_id","whitelist":["staff"]}`, "GET", "jack", 200, "")
	f(`{"type":"consumer_group_id","blacklist":["staff"]}`, "GET", "jack", 403, "The consumer_group_id is forbidden.")
	f(`{"type":"consumer_group_id","blacklist":["staff"]}`, "GET", "jill", 401, "The request is rejected, please check the consumer_group_id for this request")
	f(`{"type":"route_id","whitelist":["r1"]}`, "GET", "jack", 200, "")
	f(`{"type":"route_id","blacklist":["r1"]}`, "GET", "jack", 403, "The route_id is forbidden.")
	f(`{"type":"route_id","whitelist":["open"]}`, "GET", "", 200, "")
	f(`{"type":"service_id","whitelist":["s1"]}`, "GET", "jack", 200, "")
	f(`{"type":"service_id","whitelist":["s2"]}`, "GET", "jack", 403, "The service_id is forbidden.")
	f(`{"type":"service_id","whitelist":["s1"]}`, "GET", "", 401, "The request is rejected, please check the service_id for this request")
}

// A consumer may carry the plugin itself.
func TestOnAConsumer(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"key-auth":{}}`)
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"jack"},"consumer-restriction":{"type":"route_id","whitelist":["2"]}}}`)
	if resp, body := g.Get("/", "apikey: jack"); resp.StatusCode != 403 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin string) {
		t.Helper()
		if g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"consumer-restriction":`+plugin+`}}`) == nil {
			t.Errorf("%s was accepted", plugin)
		}
	}
	f(`{}`)
	f(`{"whitelist":[]}`)
	f(`{"type":"label","whitelist":["a"]}`)
	f(`{"whitelist":["a"],"rejected_code":100}`)
	f(`{"allowed_by_methods":[{"user":"a","methods":["FETCH"]}]}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/consumer-restriction.md") }
