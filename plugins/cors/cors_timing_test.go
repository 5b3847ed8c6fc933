//go:build !race

package cors_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nOrigin: https://b.com\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-Some: thing\r\n\r\n"
)

var cases = []struct{ name, plugin string }{
	{"all", `{"cors":{}}`},
	{"list", `{"cors":{"allow_origins":"https://a.com,https://b.com","allow_methods":"GET,POST","allow_headers":"X-A","expose_headers":"X-B","allow_credential":true}}`},
	{"regex", `{"cors":{"allow_origins_by_regex":["^https://[a-z]+\\.com$"]}}`},
}

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, c := range cases {
		g.Route("127.0.0.1:1", c.plugin)
		if n := g.ExchangeAllocations(request, answer, ""); n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", c.name, n)
		}
	}
}

func BenchmarkCORS(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	for _, c := range cases {
		g.Route("127.0.0.1:1", c.plugin)
		b.Run(c.name, func(b *testing.B) { g.MeasureExchange(b, request, answer, "") })
	}
}
