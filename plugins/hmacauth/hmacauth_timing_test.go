//go:build !race

package hmacauth_test

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

func measured(t testing.TB) (*gateway.Gateway, string) {
	g := start(t, `{}`)
	_, _, fields := request{path: "/a"}.signed()
	return g, "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

func TestNoAllocations(t *testing.T) {
	g, head := measured(t)
	if n := g.Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkHMACAuth(b *testing.B) {
	g, head := measured(b)
	g.Measure(b, head)
}
