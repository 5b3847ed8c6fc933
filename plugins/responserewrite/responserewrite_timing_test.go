//go:build !race

package responserewrite_test

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1000\r\nX-Powered-By: x\r\n\r\n"
)

var cases = []struct {
	name, plugin string
	free         bool
}{
	{"fields", `{"response-rewrite":{"headers":{"set":{"X-Server":"$remote_addr"},"remove":["X-Powered-By"]},"vars":[["status","==",200]]}}`, true},
	{"body", `{"response-rewrite":{"body":"new"}}`, true},
	{"filter", `{"response-rewrite":{"filters":[{"regex":"line 9","replace":"x","scope":"global"}]}}`, false},
}

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, c := range cases {
		g.Route("127.0.0.1:1", c.plugin)
		if n := g.ExchangeAllocations(request, answer, "hello"); c.free && n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", c.name, n)
		}
	}
}

func BenchmarkResponseRewrite(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	body := strings.Repeat("a line of text\n", 70)
	for _, c := range cases {
		g.Route("127.0.0.1:1", c.plugin)
		b.Run(c.name, func(b *testing.B) { g.MeasureExchange(b, request, answer, body) })
	}
}
