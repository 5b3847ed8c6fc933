//go:build !race

package refererrestriction_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const (
	request = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nReferer: https://www.yy.com/some/page?with=query\r\n\r\n"
	rules   = `{"referer-restriction":{"whitelist":["xx.com","*.zz.com","*.yy.com"]}}`
)

func TestNoAllocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", rules)
	if n := g.Allocations(request); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkRefererRestriction(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", rules)
	g.Measure(b, request)
}
