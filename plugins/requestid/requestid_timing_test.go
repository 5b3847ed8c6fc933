//go:build !race

package requestid_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

var algorithms = []string{"uuid", "nanoid", "range_id", "ksuid"}

func with(t testing.TB, algorithm string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"request-id":{"algorithm":"`+algorithm+`"}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	for _, a := range algorithms {
		if n := with(t, a).Allocations(head); n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", a, n)
		}
	}
}

func BenchmarkRequestID(b *testing.B) {
	for _, a := range algorithms {
		b.Run(a, func(b *testing.B) { with(b, a).Measure(b, head) })
	}
}
