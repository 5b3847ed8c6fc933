//go:build !race

package limitconn_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

func limited(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"limit-conn":{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr"}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := limited(t).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkLimitConn(b *testing.B) { limited(b).Measure(b, head) }
