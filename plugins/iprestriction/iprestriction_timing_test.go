//go:build !race

package iprestriction_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

// networks makes a whitelist of n networks and the one that requests come from.
func networks(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("10.%d.%d.0/25", i>>8, i&255)))
	}
	return `{"ip-restriction":{"whitelist":[` + strings.Join(append(list, `"127.0.0.1"`), ",") + `]}}`
}

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", networks(100))
	if n := g.Allocations(request); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkIPRestriction(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	for _, n := range []int{1, 100, 10_000} {
		g.Route("127.0.0.1:1", networks(n))
		b.Run(fmt.Sprintf("networks=%d", n), func(b *testing.B) { g.Measure(b, request) })
	}
}
