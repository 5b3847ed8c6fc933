//go:build !race

package basicauth_test

import (
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"
)

func measured(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"basic-auth":{"username":"jack","password":"pass"}}}`)
	g.Route("127.0.0.1:1", `{"basic-auth":{}}`)
	return g
}

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nAuthorization: Basic amFjazpwYXNz\r\n\r\n"

func TestNoAllocations(t *testing.T) {
	g := measured(t)
	if n := g.Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkBasicAuth(b *testing.B) { measured(b).Measure(b, head) }
