package realip_test

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"
	_ "github.com/sluicegw/sluice/plugins/realip"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestAddress(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, plugin, path, want string, headers ...string) {
		t.Helper()
		g.Route(up, `{"real-ip":`+plugin+`,"proxy-rewrite":{"headers":{"set":{"Seen":"$remote_addr $realip_remote_addr","Port":"$remote_port"}}}}`)
		_, body := g.Get(path, headers...)
		s := gateway.Saw(t, body).Header
		got := s.Get("Seen")
		if port := s.Get("Port"); strings.HasPrefix(want, "port ") {
			got = "port " + port
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	const arg = `{"source":"arg_ip"}`
	f("argument", arg, "/?ip=1.2.3.4", "1.2.3.4 127.0.0.1")
	f("missing", arg, "/", "127.0.0.1 127.0.0.1")
	f("with a port", arg, "/?ip=1.2.3.4:1234", "1.2.3.4 127.0.0.1")
	f("its port", arg, "/?ip=1.2.3.4:1234", "port 1234")
	f("IPv6", arg, "/?ip=::5", "::5 127.0.0.1")
	f("IPv6 in brackets", arg, "/?ip=[::5]:80", "::5 127.0.0.1")
	f("no address", arg, "/?ip=localhost", "127.0.0.1 127.0.0.1")
	f("bad port", arg, "/?ip=1.2.3.4:0", "127.0.0.1 127.0.0.1")
	f("port too large", arg, "/?ip=1.2.3.4:65536", "127.0.0.1 127.0.0.1")
	f("field", `{"source":"http_x_real_ip"}`, "/", "9.9.9.9 127.0.0.1", "X-Real-IP: 9.9.9.9")

	const forwarded = `"source":"http_x_forwarded_for"`
	f("last of the list", `{`+forwarded+`}`, "/", "3.3.3.3 127.0.0.1", "X-Forwarded-For: 1.1.1.1, 2.2.2.2,  3.3.3.3")
	f("last field", `{`+forwarded+`}`, "/", "3.3.3.3 127.0.0.1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2, 3.3.3.3")
	f("trusted", `{`+forwarded+`,"trusted_addresses":["127.0.0.0/24"]}`, "/", "3.3.3.3 127.0.0.1", "X-Forwarded-For: 3.3.3.3")
	f("not trusted", `{`+forwarded+`,"trusted_addresses":["10.0.0.0/8"]}`, "/", "127.0.0.1 127.0.0.1", "X-Forwarded-For: 3.3.3.3")
	f("recursive", `{`+forwarded+`,"recursive":true,"trusted_addresses":["127.0.0.0/24","10.0.0.0/8"]}`, "/",
		"2.2.2.2 127.0.0.1", "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1, 10.0.0.2")
	f("recursive, all trusted", `{`+forwarded+`,"recursive":true,"trusted_addresses":["127.0.0.0/24","10.0.0.0/8"]}`, "/",
		"10.0.0.1 127.0.0.1", "X-Forwarded-For: 10.0.0.1, 10.0.0.2")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, plugin := range []string{`{}`, `{"source":""}`, `{"source":"arg_a","trusted_addresses":["localhost"]}`, `{"source":"arg_a","trusted_addresses":[]}`} {
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"real-ip":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin real-ip err: ") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/real-ip.md") }
