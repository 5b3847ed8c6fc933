package guard

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func TestPrefixes(t *testing.T) {
	f := func(list, addr string, want bool) {
		t.Helper()
		var s prefixes
		for _, p := range strings.Fields(list) {
			if err := s.add(p); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.has(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s in %q: %v", addr, list, got)
		}
	}
	f("", "10.0.0.1", false)
	f("10.0.0.0/8", "10.255.0.1", true)
	f("10.0.0.0/8", "11.0.0.1", false)
	f("10.1.2.3/8", "10.9.9.9", true)
	f("192.0.2.1", "192.0.2.1", true)
	f("192.0.2.1", "192.0.2.2", false)
	f("0.0.0.0/0", "8.8.8.8", true)
	f("0.0.0.0/0", "::1", false)
	f("::/0", "8.8.8.8", false)
	f("::/0", "2001:db8::1", true)
	f("10.0.0.0/8", "::ffff:10.0.0.1", true)
	f("::ffff:10.0.0.0/104", "10.3.0.1", true)
	f("2001:db8::/32 10.0.0.0/8", "2001:db8:ffff::1", true)
	f("2001:db8::/32", "2001:db9::1", false)
	f("fe80::/10", "fe80::1%eth0", true)
	f("::1", "::1", true)
}

func TestSettingsThatAreRefused(t *testing.T) {
	f := func(s Settings, want string) {
		t.Helper()
		if _, err := New(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	f(Settings{TrustedAddresses: []string{"10.0.0.0/8", "localhost"}}, `apisix.trusted_addresses: "localhost"`)
	f(Settings{TrustedAddresses: []string{"10.0.0.0/33"}}, `"10.0.0.0/33"`)
	f(Settings{RealIPFrom: []string{"fe80::1%eth0"}}, `nginx_config.http.real_ip_from: "fe80::1%eth0"`)
	if _, err := New(Settings{RealIPFrom: []string{"127.0.0.1", "unix:"}}); err != nil {
		t.Error(err)
	}
}

func checked(t *testing.T, s Settings, head string) *req.Ctx {
	t.Helper()
	ctx := newCtx()
	if n, err := ctx.Req.Scan([]byte(head), nil); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	if err := mustPolicy(t, s).Check(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func TestOriginalsStayReachable(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nX-Forwarded-Proto: 2\r\nX-Forwarded-Host: 3\r\n" +
		"X-Forwarded-Port: 4\r\nForwarded: 5\r\n\r\n"
	for _, s := range []Settings{{}, {TrustedAddresses: []string{}}, {TrustedAddresses: []string{"192.0.2.45"}}} {
		ctx := checked(t, s, head)
		Forward(ctx)
		for i, id := range []h1.ID{h1.XForwardedFor, h1.XForwardedProto, h1.XForwardedHost, h1.XForwardedPort, h1.Forwarded} {
			if got := string(ctx.Req.Original(id)); got != string(rune('1'+i)) {
				t.Errorf("original %s is %q", id, got)
			}
		}
	}
}

// Plugins that look at X-Forwarded-For see what came, not what goes out.
func TestForwardedForIsTheClientsUntilForward(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
	ctx := checked(t, Settings{}, head)
	if got := string(ctx.Req.GetID(h1.XForwardedFor)); got != "10.0.0.1" {
		t.Fatal(got)
	}
	ctx.Client = netip.MustParseAddr("203.0.113.1") // a plugin
	Forward(ctx)
	if got := string(ctx.Req.GetID(h1.XForwardedFor)); got != "10.0.0.1, 203.0.113.1" {
		t.Fatal(got)
	}
	if got := string(ctx.Req.GetID(h1.XRealIP)); got != "203.0.113.1" {
		t.Fatal(got)
	}
	if ctx := checked(t, Settings{TrustedAddresses: []string{}}, head); ctx.Req.HasID(h1.XForwardedFor) {
		t.Fatal("a stranger's X-Forwarded-For is left to plugins")
	}
}

func TestUpgradeFlag(t *testing.T) {
	f := func(fields string, upgrade, websocket bool) {
		t.Helper()
		ctx := checked(t, Settings{}, "GET / HTTP/1.1\r\nHost: a\r\n"+strings.ReplaceAll(fields, "|", "\r\n")+"\r\n")
		r := &ctx.Req
		if r.Upgrade != upgrade || r.WebSocket != websocket {
			t.Errorf("%q: upgrade %v, websocket %v", fields, r.Upgrade, r.WebSocket)
		}
		if r.HasID(h1.Upgrade) != upgrade || !upgrade && r.HasID(h1.Connection) {
			t.Errorf("%q left %q", fields, r.AppendTo(nil, 0))
		}
	}
	f("Connection: upgrade|Upgrade: websocket|", true, true)
	f("Connection: keep-alive, Upgrade|Upgrade: WebSocket|", true, true)
	f("Connection: Upgrade|Upgrade: IRC/6.9|", true, false)
	f("Connection: Upgrade|Upgrade: h2c|", false, false)
	f("Connection: Upgrade|Upgrade: H2C|", false, false)
	f("Connection: Upgrade|Upgrade: http/2.0|", false, false)
	f("Connection: Upgrade|Upgrade: TLS/1.3|", false, false)
	f("Connection: Upgrade|Upgrade: websocket, foo|", false, false)
	f("Connection: Upgrade|Upgrade: websocket|Upgrade: foo|", false, false)
	f("Connection: Upgrade|Upgrade: websocket|Content-Length: 1|", false, false)
	f("Connection: Upgrade|Upgrade: websocket|HTTP2-Settings: x|", false, false)
	f("Connection: Upgrade|", false, false)
	f("Connection: close|Upgrade: websocket|", false, false)
	f("Connection: Upgrade|Upgrade:|", false, false)
}
