//go:build !race

package acl_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\napikey: jack\r\n\r\n"

func measured(t testing.TB) *gateway.Gateway {
	g, consumer, route := start(t)
	consumer(`"labels":{"team":"sales,web","role":"[\"a\",\"b\"]"},`)
	route(`{"allow_labels":{"team":["web"]},"deny_labels":{"role":["guest"]}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := measured(t).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkACL(b *testing.B) { measured(b).Measure(b, head) }
