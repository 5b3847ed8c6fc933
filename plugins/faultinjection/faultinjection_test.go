package faultinjection_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/faultinjection"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestAbort(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, abort string, status int, body string, headers ...string) {
		t.Helper()
		g.Route(up, `{"fault-injection":{"abort":`+abort+`}}`)
		resp, got := g.Get("/a?name=jack&age=30", headers...)
		if resp.StatusCode != status || status != 200 && body != "" && got != body {
			t.Errorf("%s: %d %q", name, resp.StatusCode, got)
		}
	}
	f("status", `{"http_status":503}`, 503, "")
	f("body", `{"http_status":503,"body":"Fault Injection!"}`, 503, "Fault Injection!")
	f("body with variables", `{"http_status":403,"body":"from $remote_addr"}`, 403, "from 127.0.0.1")
	f("never", `{"http_status":503,"percentage":0}`, 200, "")
	f("always", `{"http_status":503,"percentage":100}`, 503, "")
	f("vars", `{"http_status":503,"vars":[[["arg_name","==","jack"]]]}`, 503, "")
	f("other vars", `{"http_status":503,"vars":[[["arg_name","==","jill"]]]}`, 200, "")
	f("one of several", `{"http_status":503,"vars":[[["arg_name","==","jill"]],[["arg_age",">",18]]]}`, 503, "")
	f("all of one", `{"http_status":503,"vars":[[["arg_name","==","jack"],["arg_age","<",18]]]}`, 200, "")
	f("by a field", `{"http_status":503,"vars":[[["http_x","==","1"]]]}`, 503, "", "X: 1")

	g.Route(up, `{"fault-injection":{"abort":{"http_status":200,"body":"","headers":{"X-A":"of $uri","X-N":7}}}}`)
	resp, body := g.Get("/a")
	if resp.StatusCode != 200 || body != "" || resp.Header.Get("X-A") != "of /a" || resp.Header.Get("X-N") != "7" {
		t.Errorf("headers: %d %q %v", resp.StatusCode, body, resp.Header)
	}
}

func TestPercentage(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"fault-injection":{"abort":{"http_status":503,"percentage":50}}}`)
	n := 0
	for range 400 {
		if resp, _ := g.Get("/"); resp.StatusCode == 503 {
			n++
		}
	}
	// 50 % of 400, eight standard deviations to either side.
	if n < 120 || n > 280 {
		t.Errorf("%d of 400 at 50 %%", n)
	}
}

func TestDelay(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, delay string, delayed bool) {
		t.Helper()
		g.Route(up, `{"fault-injection":{"delay":`+delay+`}}`)
		start := time.Now()
		resp, _ := g.Get("/?a=1")
		took := time.Since(start)
		if resp.StatusCode != 200 || delayed != (took >= 200*time.Millisecond) {
			t.Errorf("%s: %d after %v", name, resp.StatusCode, took)
		}
	}
	f("always", `{"duration":0.2}`, true)
	f("never", `{"duration":0.2,"percentage":0}`, false)
	f("vars", `{"duration":0.2,"vars":[[["arg_a","==","1"]]]}`, true)
	f("other vars", `{"duration":0.2,"vars":[[["arg_a","==","2"]]]}`, false)
	f("0", `{"duration":0}`, false)
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, plugin := range []string{
		`{}`, `{"abort":{}}`, `{"abort":{"http_status":100}}`, `{"abort":{"http_status":2000}}`, `{"delay":{"percentage":1}}`, `{"delay":{"duration":-1}}`,
		`{"abort":{"http_status":500,"vars":[[["a","unknown","b"]]]}}`, `{"abort":{"http_status":500,"headers":{"a":"b\r\nc: d"}}}`,
	} {
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"fault-injection":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin fault-injection err: ") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/fault-injection.md") }

func BenchmarkFaultInjection(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", `{"fault-injection":{"abort":{"http_status":503,"percentage":50,"vars":[[["arg_a","==","b"]]]}}}`)
	g.Measure(b, "GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n")
}
