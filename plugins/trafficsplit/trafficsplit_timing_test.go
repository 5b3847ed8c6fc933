//go:build !race

package trafficsplit_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

func divided(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"traffic-split":{"rules":[{"match":[{"vars":[["arg_a","~=","b"]]}],"weighted_upstreams":[{"upstream":{"nodes":{"127.0.0.1:2":1}},"weight":3},{"weight":7}]}]}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := divided(t).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkTrafficSplit(b *testing.B) { divided(b).Measure(b, head) }
