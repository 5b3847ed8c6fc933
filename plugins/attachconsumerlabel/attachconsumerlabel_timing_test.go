//go:build !race

package attachconsumerlabel_test

import (
	"testing"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"
)

func measured(t testing.TB) *gateway.Bare {
	g := start(t)
	g.Route("127.0.0.1:1", plugins)
	return g.NewBare("GET /a HTTP/1.1\r\nHost: example.com\r\napikey: jack\r\n\r\n")
}

func run(r *gateway.Bare) {
	r.Reset()
	r.Rewrite()
	r.Ctx.RunPhase(req.BeforeProxy)
}

func TestNoAllocations(t *testing.T) {
	r := measured(t)
	if n := testing.AllocsPerRun(1000, func() { run(r) }); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkAttachConsumerLabel(b *testing.B) {
	r := measured(b)
	b.ReportAllocs()
	for range b.N {
		run(r)
	}
}
