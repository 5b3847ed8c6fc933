package uarestriction_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/uarestriction"
)

// get sends a request with exactly these fields: Go's client would add a
// User-Agent of its own.
func get(t *testing.T, g *gateway.Gateway, fields ...string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", strings.Join(append(fields, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAgents(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin string, pass bool, fields ...string) {
		t.Helper()
		g.Route(up, `{"ua-restriction":`+plugin+`}`)
		if resp := get(t, g, fields...); (resp.StatusCode == 200) != pass {
			t.Errorf("%s with %q: %d", plugin, fields, resp.StatusCode)
		}
	}
	const deny = `{"denylist":["my-bot1","(Baiduspider)/(\\d+)\\.(\\d+)"]}`
	f(deny, true, "User-Agent: curl/8")
	f(deny, false, "User-Agent: my-bot1")
	f(deny, false, "User-Agent: x Baiduspider/3.0 y")
	f(deny, true, "User-Agent: Baiduspider/three")
	f(deny, true, "User-Agent: MY-BOT1")
	f(deny, false, "User-Agent: curl", "User-Agent: my-bot1")
	f(deny, false)
	f(deny, true, "User-Agent:")
	const allow = `{"allowlist":["^my-bot1$"]}`
	f(allow, true, "User-Agent:   my-bot1  ")
	f(allow, false, "User-Agent: my-bot12")
	f(allow, true, "User-Agent: curl", "User-Agent: my-bot1")
	f(allow, false)
	f(`{"allowlist":["my-bot1"],"bypass_missing":true}`, true)
	f(`{"denylist":["my-bot1"],"bypass_missing":true}`, true)
	f(`{"denylist":["my-bot1"],"bypass_missing":true}`, false, "User-Agent: my-bot1")
}

func TestRefusal(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin, want string) {
		t.Helper()
		g.Route(up, `{"ua-restriction":`+plugin+`}`)
		resp, body := g.Get("/", "User-Agent: bad")
		if resp.StatusCode != 403 || body != want {
			t.Errorf("%s: %d %q", plugin, resp.StatusCode, body)
		}
	}
	f(`{"denylist":["bad"]}`, `{"message":"Not allowed"}`+"\n")
	f(`{"allowlist":["good"],"message":"Do you want to do something bad?"}`, `{"message":"Do you want to do something bad?"}`+"\n")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"ua-restriction":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin ua-restriction err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, "")
	f(`{"allowlist":["a"],"denylist":["b"]}`, "")
	f(`{"allowlist":[]}`, "")
	f(`{"denylist":["("]}`, "")
	f(`{"denylist":[1]}`, `property "denylist" validation failed`)
	f(`{"denylist":["a"],"message":""}`, `property "message" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/ua-restriction.md") }
