//go:build !race

package publicapi_test

import (
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"
)

const request = "GET /apisix/test HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

func start(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindRoute, "1", `{"uri":"/*","plugins":{"public-api":{}}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := start(t).Allocations(request); n != 1 { // the endpoint of the test makes its text
		t.Errorf("%v allocations per request, want the endpoint's one", n)
	}
}

func BenchmarkPublicAPI(b *testing.B) {
	r := start(b).NewBare(request)
	now := time.Now()
	b.ReportAllocs()
	for range b.N {
		r.Reset()
		r.At(now)
		if r.Rewrite() != req.Exit {
			b.Fatal("no endpoint")
		}
	}
}
