package gateway

import (
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
)

// Answer takes the bytes of an upstream's response head and runs the request's
// header_filter over it. Run Rewrite before.
func (b *Bare) Answer(head []byte) {
	ctx := &b.Ctx
	ctx.Resp.Reset()
	if n, err := ctx.Resp.Scan(head, nil, ctx.Req.MethodCode); err != nil || n == 0 {
		panic("the response head of a benchmark is not one")
	}
	ctx.MergeExtra()
	ctx.RunHead()
}

// Body runs body_filter over one piece of the response body, if anybody looks
// at it, and returns what is passed on.
func (b *Bare) Body(piece []byte, last bool) []byte {
	ctx := &b.Ctx
	if !ctx.FiltersBody() {
		return piece
	}
	ctx.Chunk, ctx.ChunkLast = piece, last
	ctx.RunBody()
	return ctx.Chunk
}

// End runs log.
func (b *Bare) End() { b.Ctx.RunPhase(req.Log) }

// Exchange runs one request with its answer through all phases.
func (b *Bare) Exchange(now time.Time, answer, body []byte) {
	b.Reset()
	b.At(now)
	if b.Rewrite() == req.Continue {
		b.Ctx.RunPhase(req.BeforeProxy)
	}
	b.Answer(answer)
	if body != nil {
		b.Body(body, true)
	}
	b.End()
}

// MeasureExchange benchmarks Exchange beside what it costs without plugins.
func (g *Gateway) MeasureExchange(b *testing.B, request, answer, body string) {
	r := g.NewBare(request)
	now := time.Now()
	head, piece := []byte(answer), []byte(body)
	b.Run("without", func(b *testing.B) {
		for range b.N {
			r.Reset()
			r.Ctx.Resp.Reset()
			if _, err := r.Ctx.Resp.Scan(head, nil, r.Ctx.Req.MethodCode); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("with", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(piece)))
		for range b.N {
			r.Exchange(now, head, piece)
		}
	})
}

// ExchangeAllocations counts what a request with its answer allocates.
func (g *Gateway) ExchangeAllocations(request, answer, body string) float64 {
	r := g.NewBare(request)
	now := time.Now()
	head, piece := []byte(answer), []byte(body)
	for range 100 {
		r.Exchange(now, head, piece) // fills the pools
	}
	return testing.AllocsPerRun(1000, func() { r.Exchange(now, head, piece) })
}
