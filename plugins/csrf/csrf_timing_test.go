//go:build !race

package csrf_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
	get    = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
)

func post(t testing.TB, g *gateway.Gateway) string {
	resp, _ := g.Get("/")
	c := resp.Cookies()[0]
	return "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\nCookie: " + c.Name + "=" + c.Value + "\r\n" + c.Name + ": " + c.Value + "\r\n\r\n"
}

func start(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"csrf":{"key":"edd1c9f034335f136f87ad84b625c8f1"}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	g := start(t)
	for _, request := range []string{get, post(t, g)} {
		if n := g.ExchangeAllocations(request, answer, ""); n != 0 {
			t.Errorf("%v allocations for %q, want 0", n, request)
		}
	}
}

func BenchmarkCSRF(b *testing.B) {
	g := start(b)
	b.Run("get", func(b *testing.B) { g.MeasureExchange(b, get, answer, "") })
	b.Run("post", func(b *testing.B) { g.MeasureExchange(b, post(b, g), answer, "") })
}
