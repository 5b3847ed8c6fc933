package iprestriction_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/iprestriction"
)

func TestAddresses(t *testing.T) {
	// The address that a trusted proxy reports is what counts.
	g := gateway.Start(t, gateway.Options{Guard: guard.Settings{RealIPFrom: []string{"127.0.0.1"}, RealIPHeader: "X-Real-IP"}})
	up := gateway.Upstream(t)
	f := func(plugin, addr string, want bool) {
		t.Helper()
		g.Route(up, `{"ip-restriction":`+plugin+`}`)
		resp, body := g.Get("/", "X-Real-IP: "+addr)
		if (resp.StatusCode == 200) != want {
			t.Errorf("%s from %s: %d %s", plugin, addr, resp.StatusCode, body)
		}
	}
	white := `{"whitelist":["10.0.0.0/8","192.0.2.7","2001:db8::/32","::1"]}`
	f(white, "10.255.0.1", true)
	f(white, "11.0.0.1", false)
	f(white, "192.0.2.7", true)
	f(white, "192.0.2.8", false)
	f(white, "2001:db8:ffff::1", true)
	f(white, "2001:db9::1", false)
	f(white, "::1", true)
	f(white, "::ffff:10.1.2.3", true)
	black := `{"blacklist":["10.0.0.0/8","10.1.0.0/16","0.0.0.0/32","fe80::/10"]}`
	f(black, "10.1.2.3", false)
	f(black, "192.0.2.7", true)
	f(black, "fe80::1", false)
	f(black, "2001:db8::1", true)
	f(`{"blacklist":["0.0.0.0/0"]}`, "192.0.2.7", false)
	f(`{"blacklist":["0.0.0.0/0"]}`, "::1", true)
	f(`{"whitelist":["127.0.0.1"]}`, "not an address", true) // the peer's own counts then
	f(`{"whitelist":["10.0.0.1/8"]}`, "10.9.9.9", true)      // bits behind the prefix do not matter
}

func TestRefusal(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin string, status int, want string) {
		t.Helper()
		g.Route(up, `{"ip-restriction":`+plugin+`}`)
		resp, body := g.Get("/")
		if resp.StatusCode != status || body != want || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %q %v", plugin, resp.StatusCode, body, resp.Header)
		}
	}
	f(`{"whitelist":["10.0.0.1"]}`, 403, `{"message":"Your IP address is not allowed"}`+"\n")
	f(`{"blacklist":["127.0.0.0/8"],"message":"no \"you\" <not>"}`, 403, `{"message":"no \"you\" <not>"}`+"\n")
	f(`{"blacklist":["127.0.0.0/8"],"response_code":404}`, 404, `{"message":"Your IP address is not allowed"}`+"\n")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"ip-restriction":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin ip-restriction err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, "")
	f(`{"whitelist":["10.0.0.1"],"blacklist":["10.0.0.2"]}`, "")
	f(`{"whitelist":[]}`, "")
	f(`{"whitelist":["10.0.0.256"]}`, `property "whitelist" validation failed`)
	f(`{"whitelist":["10.0.0.1/33"]}`, `property "whitelist" validation failed`)
	f(`{"blacklist":["2001:db8::/129"]}`, "invalid ip address: 2001:db8::/129")
	f(`{"blacklist":["2001:::db8/32"]}`, "invalid ip address: 2001:::db8/32")
	f(`{"blacklist":["10.0.0.1"],"response_code":500}`, `property "response_code" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/ip-restriction.md") }
