package workflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/limitconn"
	_ "github.com/sluicegw/sluice/plugins/limitcount"
	_ "github.com/sluicegw/sluice/plugins/workflow"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestActions(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, rules, want string, paths ...string) {
		t.Helper()
		g.Route(up, `{"workflow":{"rules":`+rules+`}}`)
		var got []string
		for _, path := range paths {
			resp, body := g.Get(path)
			if resp.StatusCode == 403 && body != "{\"error_msg\":\"rejected by workflow\"}\n" {
				t.Errorf("%s: body %q", name, body)
			}
			got = append(got, fmt.Sprint(resp.StatusCode))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", name, s, want)
		}
	}
	const forbid = `"actions":[["return",{"code":403}]]`
	f("return", `[{"case":[["uri","==","/a"]],`+forbid+`}]`, "403 200", "/a", "/b")
	f("without a case", `[{`+forbid+`}]`, "403", "/a")
	f("the first that fits", `[{"case":[["uri","==","/a"]],`+forbid+`},{"actions":[["return",{"code":404}]]}]`, "403 404", "/a", "/b")
	f("or", `[{"case":["OR",["uri","==","/a"],["uri","==","/b"]],`+forbid+`}]`, "403 403 200", "/a", "/b", "/c")
	const two = `"actions":[["limit-count",{"count":2,"time_window":600,"rejected_code":429}]]`
	f("limit-count", `[{"case":[["uri","==","/a"]],`+two+`}]`, "200 200 429 200 200 200", "/a", "/a", "/a", "/b", "/b", "/b")
	const three = `"actions":[["limit-count",{"count":2,"time_window":601,"rejected_code":429}]]`
	f("counters are apart", `[{"case":[["uri","==","/a"]],`+three+`},{"case":[["uri","==","/b"]],`+three+`}]`,
		"200 200 429 200 200 429", "/a", "/a", "/a", "/b", "/b", "/b")
	f("limit-conn", `[{"actions":[["limit-conn",{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr"}]]}]`, "200 200 200", "/a", "/a", "/a")
	f("an action alone of several", `[{"actions":[["limit-count",{"count":1,"time_window":600}],["return",{"code":403}]]}]`, "200 503", "/a", "/a")
}

func TestQuotaHeaders(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindPluginMetadata, "limit-count", `{"limit_header":"X-L"}`)
	g.Route(gateway.Upstream(t), `{"workflow":{"rules":[{"actions":[["limit-count",{"count":2,"time_window":600}]]}]}}`)
	resp, _ := g.Get("/")
	if resp.Header.Get("X-L") != "2" || resp.Header.Get("X-RateLimit-Remaining") != "1" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(rules, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"workflow":{"rules":`+rules+`}},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin workflow err: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rules, err, want)
		}
	}
	f(`[{}]`, "actions")
	f(`[{"actions":[["fly",{}]]}]`, "unsupported action: fly")
	f(`[{"actions":[["return",{"code":99}]]}]`, "failed to validate the 'return' action: ")
	f(`[{"actions":[["return",{}]]}]`, "failed to validate the 'return' action: ")
	f(`[{"case":[["a","unknown","b"]],"actions":[["return",{"code":403}]]}]`, "failed to validate the 'case' expression: ")
	f(`[{"actions":[["limit-count",{"count":0,"time_window":1}]]}]`, "failed to validate the 'limit-count' action: ")
	f(`[{"actions":[["limit-count",{"count":1}]]}]`, "failed to validate the 'limit-count' action: ")
	f(`[{"actions":[["limit-count",{"count":1,"time_window":1,"group":"g"}]]}]`, "failed to validate the 'limit-count' action: group is not supported")
	f(`[{"actions":[["limit-conn",{"conn":1}]]}]`, "failed to validate the 'limit-conn' action: ")
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/workflow.md") }
