package uriblocker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/uriblocker"
)

func TestRules(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin, path string, status int, body string) {
		t.Helper()
		g.Route(up, `{"uri-blocker":`+plugin+`}`)
		resp, got := g.Get(path)
		if resp.StatusCode != status || body != "" && !strings.Contains(got, body) {
			t.Errorf("%s %s: %d %q", plugin, path, resp.StatusCode, got)
		}
	}
	const rules = `{"block_rules":["root.exe","root.m+","\\.php$","^/admin(/|$)","[?&]q=.*select"]}`
	f(rules, "/", 200, "")
	f(rules, "/root.exe?a=b", 403, "<h1>403 Forbidden</h1>")
	f(rules, "/a?x=root.exe", 403, "")
	f(rules, "/root.mmm", 403, "")
	f(rules, "/root.n", 200, "")
	f(rules, "/x.php", 403, "")
	f(rules, "/x.php?a", 200, "") // '$' is the end of the query
	f(rules, "/admin", 403, "")
	f(rules, "/administrator", 200, "")
	f(rules, "/b/../admin/x", 403, "")
	f(rules, "/%61dmin/x", 403, "")
	f(rules, "/?q=1%20select", 403, "")
	f(rules, "/Root.exe", 200, "")
	f(`{"block_rules":["root.exe","ABC"],"case_insensitive":true}`, "/Root.EXE", 403, "")
	f(`{"block_rules":["root.exe","ABC"],"case_insensitive":true}`, "/abc", 403, "")
	f(`{"block_rules":["a"],"rejected_msg":"access is not allowed"}`, "/a", 403, `{"error_msg":"access is not allowed"}`+"\n")
	f(`{"block_rules":["a"],"rejected_code":404,"rejected_msg":"nothing"}`, "/a", 404, `{"error_msg":"nothing"}`+"\n")
	f(`{"block_rules":["a"],"rejected_code":200}`, "/a", 200, "")
	f(`{"block_rules":[]}`, "/a", 200, "")
	f(`{"block_rules":["^(?!/public)"]}`, "/public/a", 200, "") // look-ahead: PCRE
	f(`{"block_rules":["^(?!/public)"]}`, "/private", 403, "")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"uri-blocker":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin uri-blocker err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, `property "block_rules" is required`)
	f(`{"block_rules":[".+("]}`, "")
	f(`{"block_rules":[""]}`, `property "block_rules" validation failed`)
	f(`{"block_rules":["a","a"]}`, `property "block_rules" validation failed`)
	f(`{"block_rules":["a"],"rejected_code":100}`, `property "rejected_code" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/uri-blocker.md") }
