package prometheus_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/meter"
	_ "github.com/sluicegw/sluice/plugins/prometheus"
	"github.com/sluicegw/sluice/test/gateway"
)

// waitFor scrapes until a line begins with want: the log phase runs behind the
// response.
func waitFor(t *testing.T, want string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		var b strings.Builder
		meter.Default.WriteMetrics(&b)
		if strings.Contains("\n"+b.String(), "\n"+want) {
			return b.String()
		}
		if time.Now().After(deadline) {
			t.Fatalf("no line begins with %s in\n%s", want, b.String())
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	meter.Default.Configure(meter.Options{})
	up := gateway.Upstream(t)
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/a/*","name":"first","plugins":{"prometheus":{}},"upstream":{"nodes":{%q:1}}}`, up))
	g.Put(conf.KindRoute, "2", fmt.Sprintf(`{"uri":"/b","name":"second","host":"b.example","plugins":{"prometheus":{"prefer_name":true}},"upstream":{"nodes":{%q:1}}}`, up))
	g.Put(conf.KindRoute, "3", fmt.Sprintf(`{"uri":"/c","upstream":{"nodes":{%q:1}}}`, up))
	g.Get("/c")
	g.Get("/a/x")
	g.Get("/a/y")
	g.Get("/b", "Host: b.example")
	const rest = `request_type="traditional_http",request_llm_model="",llm_model=""`
	waitFor(t, `apisix_http_status{code="200",route="1",matched_uri="/a/*",matched_host="",service="",consumer="",node="127.0.0.1",`+rest+`,response_source="upstream"} 2`)
	text := waitFor(t, `apisix_http_status{code="200",route="second",matched_uri="/b",matched_host="b.example",service="",consumer="",node="127.0.0.1",`)
	if strings.Contains(text, `route="3"`) {
		t.Error("a route without the plugin is counted")
	}
	if !strings.Contains(text, `apisix_http_latency_count{type="upstream",route="1",service="",consumer="",node="127.0.0.1",`+rest+`} 2`) {
		t.Errorf("no latency of the upstream:\n%s", text)
	}
}

func TestGlobalRuleStandsBackForRoutes(t *testing.T) {
	meter.Default.Configure(meter.Options{})
	up := gateway.Upstream(t)
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"prometheus":{}}}`)
	g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/a","name":"first","plugins":{"prometheus":{"prefer_name":true}},"upstream":{"nodes":{%q:1}}}`, up))
	g.Put(conf.KindPluginMetadata, "prometheus", `{"disabled_labels":{"http_status":["matched_uri","node"]}}`)
	g.Get("/a")
	g.Get("/none")
	waitFor(t, `apisix_http_status{code="404",route="",matched_uri="",`)
	text := waitFor(t, `apisix_http_status{code="200",route="first",matched_uri="",matched_host="",service="",consumer="",node="",`)
	if strings.Contains(text, `route="1"`) {
		t.Errorf("the request was counted twice:\n%s", text)
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/prometheus.md") }
