//go:build !race

package echo_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
	rules   = `{"echo":{"before_body":"<","after_body":">","headers":{"X-A":"1"}}}`
)

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", rules)
	if n := g.ExchangeAllocations(request, answer, "hello"); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkEcho(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", rules)
	g.MeasureExchange(b, request, answer, "hello")
}
