//go:build !race

package multiauth_test

import "testing"

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\napikey: k\r\n\r\n"

func TestNoAllocations(t *testing.T) {
	if n := start(t, all).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkMultiAuth(b *testing.B) { start(b, all).Measure(b, head) }
