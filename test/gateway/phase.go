package gateway

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Bare is a request outside a connection: head scanned, checked and matched.
// It is for measuring what a plugin's phases cost; nothing that waits works.
type Bare struct {
	Ctx req.Ctx

	raw    []byte
	limits h1.Limits
	policy *guard.Policy
	snap   *req.Snapshot
}

// NewBare makes a request for the newest configuration of g from the bytes of
// its head.
func (g *Gateway) NewBare(head string) *Bare {
	g.t.Helper()
	policy, err := guard.New(guard.Settings{})
	if err != nil {
		g.t.Fatal(err)
	}
	b := &Bare{raw: []byte(head), policy: policy, snap: g.snap.Load()}
	b.Ctx.Peer = netip.MustParseAddrPort("127.0.0.1:40000")
	b.Ctx.Local = netip.MustParseAddrPort("127.0.0.1:9080")
	b.Reset()
	if b.Ctx.Eff == nil {
		g.t.Fatalf("no route fits %q", head)
	}
	return b
}

// Reset brings the request back to where its plugins begin. It is part of what
// a benchmark measures: compare with one that only calls Reset.
func (b *Bare) Reset() {
	ctx := &b.Ctx
	ctx.Reset()
	ctx.Snap = b.snap
	if _, err := ctx.Req.Scan(b.raw, &b.limits); err != nil {
		panic(err)
	}
	if err := b.policy.Check(ctx); err != nil {
		panic(err)
	}
	if b.snap.Router.Match(ctx) {
		ctx.Eff = ctx.Route.Eff.Load()
	}
}

// At sets the request's time.
func (b *Bare) At(t time.Time) { b.Ctx.Wall = t.UnixNano() }

// Rewrite runs the request up to its upstream: rewrite, the consumer's plugins,
// access.
func (b *Bare) Rewrite() req.Verdict {
	ctx := &b.Ctx
	if ctx.RunPhase(req.Rewrite) == req.Exit || ctx.RunConsumer() == req.Exit {
		return req.Exit
	}
	return ctx.RunPhase(req.Access)
}

// Measure benchmarks Rewrite beside the mere preparation of the request.
func (g *Gateway) Measure(b *testing.B, head string) {
	r := g.NewBare(head)
	now := time.Now()
	r.At(now)
	if r.Rewrite() == req.Exit {
		body, _ := r.Ctx.ExitBody()
		b.Fatalf("the request ended with %d %s", r.Ctx.Resp.StatusCode, body)
	}
	b.Run("without", func(b *testing.B) {
		for range b.N {
			r.Reset()
		}
	})
	b.Run("with", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			r.Reset()
			r.At(now)
			r.Rewrite()
		}
	})
}

// Allocations counts what preparing and running the request's plugins
// allocates.
func (g *Gateway) Allocations(head string) float64 {
	r := g.NewBare(head)
	now := time.Now()
	return testing.AllocsPerRun(1000, func() {
		r.Reset()
		r.At(now)
		r.Rewrite()
	})
}
