//go:build !race

package limitreq_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

func limited(t testing.TB, plugin string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"limit-req":`+plugin+`}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	f := func(name, plugin string) {
		t.Helper()
		if n := limited(t, plugin).Allocations(head); n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", name, n)
		}
	}
	f("admitted", `{"rate":1,"burst":4000000,"nodelay":true,"key":"remote_addr"}`)
	f("rejected", `{"rate":1,"burst":0,"key":"remote_addr","rejected_msg":"no"}`)
}

func BenchmarkLimitReq(b *testing.B) {
	limited(b, `{"rate":1000000000,"burst":4000000,"nodelay":true,"key":"remote_addr"}`).Measure(b, head)
}
