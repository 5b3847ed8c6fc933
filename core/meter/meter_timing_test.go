package meter

import (
	"fmt"
	"io"
	"testing"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func TestRecordingDoesNotAllocate(t *testing.T) {
	extra := Options{}
	extra.Extra[Status] = []Extra{{"a", vars.CompileTemplate("$status")}}
	for name, o := range map[string]Options{"plain": {}, "extra label": extra, "full": {MaxSeries: 1}} {
		r, rules := New(o), &Rules{}
		r.Record(request(&loop.Loop{ID: 1}, "0"), rules)
		ctx := request(&loop.Loop{}, "1")
		if n := testing.AllocsPerRun(1000, func() { r.Record(ctx, rules) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	r, rules, ctx := New(Options{}), &Rules{}, request(&loop.Loop{}, "1")
	b.ReportAllocs()
	for b.Loop() {
		r.Record(ctx, rules)
	}
}

func BenchmarkRecordManyRoutes(b *testing.B) {
	r, rules, l := New(Options{}), &Rules{}, &loop.Loop{}
	first := request(l, "0")
	routes := make([]*req.Ctx, 10_000)
	for i := range routes {
		routes[i] = request(l, fmt.Sprint(i))
		routes[i].Tries, routes[i].Consumer = first.Tries, first.Consumer
		r.Record(routes[i], rules)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Record(routes[i%len(routes)], rules)
		i++
	}
}

// A scrape of 100,000 exported series: counters and histograms in the mix that
// routes make.
func BenchmarkScrape100000(b *testing.B) {
	r, rules, l := New(Options{}), &Rules{}, &loop.Loop{}
	const perRoute = 1 + 2 + 3*(15+3)
	for i := range 100_000 / perRoute {
		r.Record(request(l, fmt.Sprint(i)), rules)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.WriteMetrics(io.Discard)
	}
}
