//go:build !race

package uriblocker_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /shop/products/list?category=shoes&page=3 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	rules   = `{"uri-blocker":{"block_rules":["root.exe","\\.php","^/admin"]}}`
)

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", rules)
	if n := g.Allocations(request); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkURIBlocker(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", rules)
	g.Measure(b, request)
}
