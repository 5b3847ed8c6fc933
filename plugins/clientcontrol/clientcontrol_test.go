package clientcontrol_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/clientcontrol"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestBodySize(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, plugin string, size, want int) {
		t.Helper()
		g.Route(up, `{"client-control":`+plugin+`}`)
		body := strings.Repeat("x", size)
		if resp, _ := g.Do("POST", "/", body); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, want)
		}
		if status := chunked(t, g, body); status != want {
			t.Errorf("%s, chunked: %d, want %d", name, status, want)
		}
	}
	f("fits", `{"max_body_size":10}`, 10, 200)
	f("one more", `{"max_body_size":10}`, 11, 413)
	f("large", `{"max_body_size":1000000}`, 1_000_001, 413)
	f("large and allowed", `{"max_body_size":1000000}`, 1_000_000, 200)
	f("no limit", `{"max_body_size":0}`, 100_000, 200)
	f("not set", `{}`, 100_000, 200)
	// The limit is the route's, not the connection's.
	g.Route(up, `{"client-control":{"max_body_size":10}}`)
	g.Put(conf.KindRoute, "2", fmt.Sprintf(`{"uri":"/free","upstream":{"nodes":{%q:1}}}`, up))
	if resp, _ := g.Do("POST", "/", "small"); resp.StatusCode != 200 {
		t.Errorf("small: %d", resp.StatusCode)
	}
	if resp, _ := g.Do("POST", "/free", strings.Repeat("x", 1000)); resp.StatusCode != 200 {
		t.Errorf("another route: %d", resp.StatusCode)
	}
}

// chunked sends the body with no length before it.
func chunked(t *testing.T, g *gateway.Gateway, body string) int {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		w := bufio.NewWriter(c)
		fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := min(len(body), 4096)
			fmt.Fprintf(w, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		fmt.Fprintf(w, "0\r\n\r\n")
		w.Flush() // fails when the gateway has seen enough
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, plugin := range []string{`{"max_body_size":-1}`, `{"max_body_size":"1m"}`} {
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"client-control":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin client-control err: ") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/client-control.md") }

func BenchmarkClientControl(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", `{"client-control":{"max_body_size":10}}`)
	g.Measure(b, "GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n")
}
