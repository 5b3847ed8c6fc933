package match

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/bench/routes"
	"github.com/sluicegw/sluice/core/h1"
)

var sizes = []int{1_000, 10_000, 100_000}

// request is what a loop sets in its context before it matches.
type request struct {
	path, query, host []byte
	method            h1.Method
	header            h1.Header
}

// pick draws n requests that are spread over the routes by zipf's law with
// exponent s (s = 0: evenly).
func pick(b *testing.B, g *generated, n int, s float64) []request {
	rnd := rand.New(rand.NewPCG(1, 2))
	var plain []int
	for _, i := range rnd.Perm(len(g.reqs)) {
		// An address in the context would cost the same for all.
		if g.reqs[i].ClientAddr == "" {
			plain = append(plain, i)
		}
	}
	next := func() int { return rnd.IntN(len(plain)) }
	if s > 0 {
		z := rand.NewZipf(rnd, s, 1, uint64(len(plain)-1))
		next = func() int { return int(z.Uint64()) }
	}
	made := map[int]request{}
	out := make([]request, n)
	for k := range out {
		i := plain[next()]
		r, ok := made[i]
		if !ok {
			c := contextOf(b, &g.reqs[i])
			r = request{c.Path, c.Query, c.Host, c.Req.MethodCode, c.Req.Header}
			made[i] = r
		}
		out[k] = r
	}
	return out
}

// matchAll matches requests one after the other. What the network has just
// brought is in the cache when a loop matches it, so batches of requests are
// touched before the clock of the thread starts.
func matchAll(b *testing.B, t *Table, reqs []request) {
	const batch = 64
	ctx := contextOf(b, &routes.Request{Method: "GET", Path: "/", Host: "a"})
	var clock cpuClock
	runtime.GC()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	b.ResetTimer()
	sum := 0
	for done := 0; done < b.N; {
		part := reqs[done%len(reqs):]
		part = part[:min(len(part), batch, b.N-done)]
		for i := range part {
			r := &part[i]
			for j := range r.header.Len() {
				sum += int(r.header.Value(j)[0])
			}
			sum += int(r.path[len(r.path)-1]) + int(r.path[0]) + int(r.host[0]) + int(r.host[len(r.host)-1])
		}
		clock.start()
		for i := range part {
			r := &part[i]
			ctx.Path, ctx.Query, ctx.Host = r.path, r.query, r.host
			ctx.Req.MethodCode, ctx.Req.Header = r.method, r.header
			if !t.Match(ctx) {
				b.Fatal("no match")
			}
		}
		clock.stop()
		done += len(part)
	}
	b.ReportMetric(clock.perOp(b), "cpu-ns/op")
	if sum == 0 {
		b.Log("unreachable: the requests were read")
	}
}

// BenchmarkMatch matches requests that are spread over the routes evenly, so
// that nothing of the table is in a cache at 100,000 routes, and as traffic is
// spread in practice (zipf).
func BenchmarkMatch(b *testing.B) {
	for _, mode := range []Mode{ModeHostURI, ModeURI} {
		for _, n := range sizes {
			g := generate(b, n, mode)
			for _, s := range []float64{0, 1.1} {
				name := map[float64]string{0: "even", 1.1: "zipf"}[s]
				b.Run(fmt.Sprintf("mode=%d/routes=%d/%s", mode, n, name), func(b *testing.B) {
					matchAll(b, g.table, pick(b, g, 200_000, s))
				})
			}
		}
	}
}

func BenchmarkMatchMiss(b *testing.B) {
	g := generate(b, 100_000, ModeHostURI)
	matchMiss(b, g.table, "nobody.example.org", "/nothing/to/see/here")
}

func matchMiss(b *testing.B, t *Table, host, path string) {
	ctx := contextOf(b, &routes.Request{Method: "GET", Path: path, Host: host})
	b.ReportAllocs()
	for b.Loop() {
		t.Match(ctx)
	}
}

// cpuClock measures the thread's own time, which other load on the machine
// does not change.
type cpuClock struct {
	from  unix.Timespec
	total int64
}

func (c *cpuClock) start() { _ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &c.from) }

func (c *cpuClock) stop() {
	var to unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &to)
	c.total += to.Nano() - c.from.Nano()
}

func (c *cpuClock) perOp(b *testing.B) float64 { return float64(c.total) / float64(b.N) }

// BenchmarkChange is one route edited and committed.
func BenchmarkChange(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			g := generate(b, n, ModeHostURI)
			ids := make([]string, 0, n)
			for e := range g.table.All() {
				ids = append(ids, e.Route.ID)
			}
			t := g.table
			b.ReportAllocs()
			runtime.GC()
			var clock cpuClock
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ResetTimer()
			clock.start()
			for i := 0; i < b.N; i++ {
				e := *t.Get(ids[i*7919%len(ids)])
				e.Priority++
				tx := t.Edit()
				if err := tx.Put(&e); err != nil {
					b.Fatal(err)
				}
				t = tx.Commit()
			}
			clock.stop()
			b.ReportMetric(clock.perOp(b), "cpu-ns/op")
		})
	}
}

// BenchmarkLoad is a whole table in one transaction, per route.
func BenchmarkLoad(b *testing.B) {
	g := generate(b, 100_000, ModeHostURI)
	entries := make([]*Entry, 0, g.table.Len())
	for e := range g.table.All() {
		entries = append(entries, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		tx := New(Options{}).Edit()
		for _, e := range entries {
			if err := tx.Put(e); err != nil {
				b.Fatal(err)
			}
		}
		tx.Commit()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(entries)), "ns/route")
}

func TestMemoryPerRoute(t *testing.T) {
	if raceEnabled {
		t.Skip("not under the race detector")
	}
	const n, limit = 20_000, 2048
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	g := generate(t, n, ModeHostURI)
	table := g.table
	g.reqs = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes a route", each)
	if each > limit {
		t.Errorf("%d bytes a route, the limit is %d", each, limit)
	}
	runtime.KeepAlive(table)
}

func TestMatchAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("not under the race detector")
	}
	for _, mode := range []Mode{ModeHostURI, ModeURI, ModeURIWithParameter} {
		g := generate(t, 2000, mode)
		ctxs := contexts(t, g.reqs)
		i := 0
		if n := testing.AllocsPerRun(len(ctxs), func() {
			g.table.Match(ctxs[i%len(ctxs)])
			i++
		}); n != 0 {
			t.Errorf("mode %d: %v allocations a match", mode, n)
		}
	}
}
