package csrf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/csrf"
)

// token gets a token by a harmless request.
func token(t *testing.T, g *gateway.Gateway, name string) string {
	t.Helper()
	resp, _ := g.Get("/")
	for _, c := range resp.Cookies() {
		if c.Name == name {
			if c.Path != "/" || c.RawExpires == "" || resp.StatusCode != 200 {
				t.Errorf("cookie %v, status %d", c, resp.StatusCode)
			}
			return c.Value
		}
	}
	t.Fatalf("no cookie in %v", resp.Header)
	return ""
}

func TestTokensAreAskedFor(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"csrf":{"key":"userkey"}}`)
	const name = "apisix-csrf-token"
	good, other := token(t, g, name), token(t, g, name)
	if good == other {
		t.Error("two responses brought the same token")
	}
	f := func(method, want string, fields ...string) {
		t.Helper()
		resp, body := g.Do(method, "/", "", fields...)
		status := 200
		if want != "" {
			status, want = 401, `{"error_msg":"`+want+`"}`+"\n"
		}
		if resp.StatusCode != status || want != "" && body != want {
			t.Errorf("%s %q: %d %s", method, fields, resp.StatusCode, body)
		}
		if resp.Header.Get("Set-Cookie") == "" {
			t.Errorf("%s %q: no new token", method, fields)
		}
	}
	cookie := func(v string) string { return "Cookie: a=b; " + name + "=" + v }
	field := func(v string) string { return "Apisix-CSRF-Token: " + v }
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		f(method, "")
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		f(method, "no csrf token in headers")
	}
	f("POST", "no csrf token in headers", cookie(good))
	f("POST", "no csrf token in headers", cookie(good), field(""))
	f("POST", "no csrf cookie", field(good))
	f("POST", "csrf token mismatch", cookie(good), field(other))
	f("POST", "Failed to verify the csrf token signature", cookie("abcd"), field("abcd"))
	f("POST", "", cookie(good), field(good))
	f("POST", "", cookie(good), field(good)) // a token is good until its time runs out
}

func TestSettings(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	g.Route(up, `{"csrf":{"key":"userkey","name":"X-Mine","expires":1}}`)
	good := token(t, g, "X-Mine")
	if resp, body := g.Do("POST", "/", "", "Cookie: X-Mine="+good, "X-Mine: "+good); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// Another key: what the first one signed counts no more.
	g.Route(up, `{"csrf":{"key":"another","name":"X-Mine"}}`)
	if resp, body := g.Do("POST", "/", "", "Cookie: X-Mine="+good, "X-Mine: "+good); resp.StatusCode != 401 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"csrf":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin csrf err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, `property "key" is required`)
	f(`{"key":1}`, `property "key" validation failed`)
	f(`{"key":"a","expires":"x"}`, `property "expires" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/csrf.md") }
