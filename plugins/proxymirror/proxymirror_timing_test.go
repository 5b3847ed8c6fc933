package proxymirror_test

import (
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"
)

func BenchmarkProxyMirror(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	g.Route("127.0.0.1:1", `{"proxy-mirror":{"host":"http://127.0.0.1:1"}}`)
	now := time.Now()
	r := g.NewBare("GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	b.Run("loop's part", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			r.Reset()
			r.At(now)
			r.Rewrite()
			up := r.Ctx.Eff.Upstream.Load()
			r.Ctx.Upstream = up
			r.Ctx.Tries = append(r.Ctx.Tries, req.Try{Node: up.Nodes[0]})
			r.Ctx.RunPhase(req.BeforeProxy)
			r.End()
		}
	})
}
