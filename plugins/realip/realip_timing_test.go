//go:build !race

package realip_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\r\n\r\n"

func start(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"real-ip":{"source":"http_x_forwarded_for","recursive":true,"trusted_addresses":["127.0.0.0/24","10.0.0.0/8"]}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := start(t).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkRealIP(b *testing.B) { start(b).Measure(b, head) }
