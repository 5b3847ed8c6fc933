package acl_test

import (
	"fmt"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/acl"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func start(t testing.TB) (g *gateway.Gateway, consumer func(labels string), route func(plugin string)) {
	g = gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	return g, func(labels string) {
			g.Put(conf.KindConsumer, "jack", `{"username":"jack",`+labels+`"plugins":{"key-auth":{"key":"jack"}}}`)
		}, func(plugin string) {
			g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"key-auth":{},"acl":%s},"upstream":{"nodes":{%q:1}}}`, plugin, node))
			g.Put(conf.KindRoute, "open", fmt.Sprintf(`{"uri":"/open","plugins":{"acl":%s},"upstream":{"nodes":{%q:1}}}`, plugin, node))
		}
}

const forbidden = `{"message":"The consumer is forbidden."}` + "\n"

func TestLabels(t *testing.T) {
	g, consumer, route := start(t)
	f := func(plugin, labels string, status int) {
		t.Helper()
		if labels != "" {
			labels = `"labels":` + labels + ","
		}
		consumer(labels)
		route(plugin)
		resp, body := g.Get("/", "apikey: jack")
		if resp.StatusCode != status || status == 403 && body != forbidden {
			t.Errorf("%s for %s: %d %s, want %d", plugin, labels, resp.StatusCode, body, status)
		}
	}
	allow := `{"allow_labels":{"team":["platform","web"],"role":["root"]}}`
	f(allow, `{"team":"platform"}`, 200)
	f(allow, `{"team":"web"}`, 200)
	f(allow, `{"team":"sales","role":"root"}`, 200)
	f(allow, `{"team":"sales"}`, 403)
	f(allow, `{"group":"platform"}`, 403)
	f(allow, `{"team":"platform2"}`, 403)
	f(allow, "", 403)
	f(allow, `{"team":"sales,web"}`, 200)
	f(allow, `{"team":"sales,webs"}`, 403)
	f(allow, `{"team":"[\"sales\",\"web\"]"}`, 200)
	f(allow, `{"team":"[\"sales\",[\"web\"]]"}`, 403)
	f(allow, `{"team":"[\"web\""}`, 403)
	deny := `{"deny_labels":{"role":["guest"]}}`
	f(deny, `{"role":"guest"}`, 403)
	f(deny, `{"role":"a,guest"}`, 403)
	f(deny, `{"role":"user"}`, 200)
	f(deny, "", 200)
	f(`{"deny_labels":{"role":["guest"]},"allow_labels":{"team":["web"]}}`, `{"team":"web","role":"guest"}`, 403)
}

func TestAnswers(t *testing.T) {
	g, consumer, route := start(t)
	consumer("")
	route(`{"allow_labels":{"a":["b"]},"rejected_code":451,"rejected_msg":"not you"}`)
	if resp, body := g.Get("/", "apikey: jack"); resp.StatusCode != 451 || body != `{"message":"not you"}`+"\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := g.Get("/open"); resp.StatusCode != 401 || body != `{"message":"Missing authentication."}`+"\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin string) {
		t.Helper()
		if g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"acl":`+plugin+`}}`) == nil {
			t.Errorf("%s was accepted", plugin)
		}
	}
	f(`{}`)
	f(`{"allow_labels":{}}`)
	f(`{"allow_labels":{"a":[]}}`)
	f(`{"allow_labels":{"a":["b"]},"rejected_code":100}`)
	f(`{"allow_labels":{"a":["b"]},"external_user_label_field_parser":"segmented_text"}`)
	f(`{"allow_labels":{"a":["b"]},"external_user_label_field_parser":"segmented_text","external_user_label_field_separator":"("}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/acl.md") }
