//go:build !race

package gzip_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1000\r\n\r\n"
	other   = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
)

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"gzip":{"vary":true}}`)
	if n := g.ExchangeAllocations(request, answer, gateway.DocumentText(1000)); n != 0 {
		t.Errorf("%v allocations per compressed response, want 0", n)
	}
	if n := g.ExchangeAllocations(request, other, gateway.DocumentText(1000)); n != 0 {
		t.Errorf("%v allocations per other response, want 0", n)
	}
}

func BenchmarkGzip(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", `{"gzip":{"vary":true}}`)
	b.Run("1KiB", func(b *testing.B) { g.MeasureExchange(b, request, answer, gateway.DocumentText(1024)) })
	b.Run("16KiB", func(b *testing.B) { g.MeasureExchange(b, request, answer, gateway.DocumentText(16<<10)) })
	b.Run("untouched", func(b *testing.B) { g.MeasureExchange(b, request, other, gateway.DocumentText(1024)) })
}
