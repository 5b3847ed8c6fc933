//go:build !race

package consumerrestriction_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\napikey: jack\r\n\r\n"

func measured(t testing.TB) *gateway.Gateway {
	g, route := start(t)
	route(`{"whitelist":["jack","joe","jim"],"allowed_by_methods":[{"user":"jill","methods":["GET"]}]}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := measured(t).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkConsumerRestriction(b *testing.B) { measured(b).Measure(b, head) }
