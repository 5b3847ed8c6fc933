//go:build !race

package errorpage_test

import (
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	answer  = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"
)

func start(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindPluginMetadata, "error-page", `{"enable":true,"error_404":{"body":"mine"}}`)
	g.Route("127.0.0.1:1", `{"error-page":{}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := start(t).ExchangeAllocations(request, answer, "hello"); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkErrorPage(b *testing.B) { start(b).MeasureExchange(b, request, answer, "hello") }
