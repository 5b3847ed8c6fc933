//go:build !race

package redirect_test

import (
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"
)

const request = "GET /shop/products/list?category=shoes HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

var cases = []struct{ name, plugin string }{
	{"https", `{"redirect":{"http_to_https":true}}`},
	{"uri", `{"redirect":{"uri":"https://www.example.com$uri","append_query_string":true,"encode_uri":true}}`},
}

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, c := range cases {
		g.Route("127.0.0.1:1", c.plugin)
		if n := g.Allocations(request); n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", c.name, n)
		}
	}
}

func BenchmarkRedirect(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	now := time.Now()
	for _, c := range cases {
		g.Route("127.0.0.1:1", c.plugin)
		r := g.NewBare(request)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r.Reset()
				r.At(now)
				if r.Rewrite() != req.Exit {
					b.Fatal("no redirect")
				}
			}
		})
	}
}
