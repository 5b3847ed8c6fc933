package refererrestriction_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/refererrestriction"
)

func TestReferers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin, referer string, pass bool) {
		t.Helper()
		g.Route(up, `{"referer-restriction":`+plugin+`}`)
		var fields []string
		if referer != "" {
			fields = []string{"Referer: " + referer}
		}
		if resp, body := g.Get("/", fields...); (resp.StatusCode == 200) != pass {
			t.Errorf("%s with %q: %d %s", plugin, referer, resp.StatusCode, body)
		}
	}
	const white = `{"whitelist":["xx.com","*.yy.com"]}`
	f(white, "http://xx.com/a", true)
	f(white, "https://XX.com:8443/a", true)
	f(white, "http://a.xx.com/a", false)
	f(white, "http://a.yy.com/a", true)
	f(white, "http://a.b.yy.com", true)
	f(white, "http://yy.com", false)
	f(white, "http://yy.com.evil.org", false)
	f(white, "http://xx.com@evil.org/", false)
	f(white, "xx.com", false)
	f(white, "", false)
	const bypass = `{"whitelist":["xx.com"],"bypass_missing":true}`
	f(bypass, "", true)
	f(bypass, "not a url", true)
	f(bypass, "http://yy.com", false)
	const black = `{"blacklist":["xx.com","*.yy.com"]}`
	f(black, "http://xx.com/a", false)
	f(black, "http://XX.COM/a", false)
	f(black, "http://a.yy.com", false)
	f(black, "http://zz.com", true)
	f(black, "", false)
	f(`{"blacklist":["*"],"bypass_missing":true}`, "http://zz.com", false)
	f(`{"blacklist":["*"],"bypass_missing":true}`, "", true)
	f(`{"whitelist":["[::1]"]}`, "http://[::1]:80/", true)
}

func TestRefusal(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin, want string) {
		t.Helper()
		g.Route(up, `{"referer-restriction":`+plugin+`}`)
		if resp, body := g.Get("/"); resp.StatusCode != 403 || body != want {
			t.Errorf("%s: %d %q", plugin, resp.StatusCode, body)
		}
	}
	f(`{"whitelist":["xx.com"]}`, `{"message":"Your referer host is not allowed"}`+"\n")
	f(`{"blacklist":["xx.com"],"message":"no"}`, `{"message":"no"}`+"\n")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"referer-restriction":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin referer-restriction err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, "")
	f(`{"whitelist":["a.com"],"blacklist":["b.com"]}`, "")
	f(`{"whitelist":[]}`, "")
	f(`{"whitelist":["a b"]}`, `property "whitelist" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/referer-restriction.md") }
