// Package meter counts requests for Prometheus: one stripe of counters per
// loop, added up when somebody reads them.
package meter

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/vars"
)

// Family is one of the metrics that requests feed.
type Family uint8

// The families, in the order in which they are written.
const (
	Status Family = iota
	Latency
	Bandwidth
	numFamilies
)

// The label sets of the families, in the order of the exported text.
var labelNames = [numFamilies][]string{
	Status: {"code", "route", "matched_uri", "matched_host", "service", "consumer", "node",
		"request_type", "request_llm_model", "llm_model", "response_source"},
	Latency:   {"route", "service", "consumer", "node", "request_type", "request_llm_model", "llm_model"},
	Bandwidth: {"route", "service", "consumer", "node", "request_type", "request_llm_model", "llm_model"},
}

var familyNames = [numFamilies]string{"http_status", "http_latency", "bandwidth"}

// Buckets are the bounds of http_latency in milliseconds.
var Buckets = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000}

const (
	// MaxSeries bounds the label sets of one family.
	MaxSeries = 100_000
	// maxLoops bounds the loops that can count.
	maxLoops = 256
	// graveTime is how long requests that began before their route was deleted
	// are kept from bringing its series back.
	graveTime = 10 * time.Minute
)

// Extra is a further label of a family; Value is a template with variables.
type Extra struct {
	Name  string
	Value *vars.Template
}

// Options are the settings of a registry. The zero value is APISIX's default.
type Options struct {
	// Prefix begins every name. Default "apisix_".
	Prefix string
	// Buckets replace those of http_latency, in milliseconds, ascending.
	Buckets []float64
	// Extra are further labels by family.
	Extra [numFamilies][]Extra
	// Expire removes series that nothing was added to for so long, by family;
	// 0: never.
	Expire [numFamilies]time.Duration
	// MaxSeries bounds the label sets of each family. Default MaxSeries.
	MaxSeries int
}

// Registry holds the series of one data process. Make it with New.
type Registry struct {
	opts   atomic.Pointer[options]
	gen    atomic.Uint64 // counts removals of series: what loops remember is void
	stripe [maxLoops]atomic.Pointer[stripe]
	// refused counts what stripes that were replaced had counted.
	refused atomic.Uint64

	// mu guards the rest. A loop takes it only to meet a series for the first
	// time; a reader holds it to copy the list, never while it writes text.
	mu     sync.Mutex
	series [numFamilies]map[string]*series
	list   [numFamilies][]*series
	graves map[string]int64 // deleted routes, with the clock of their end
}

// options are Options with their defaults, and what is derived from them.
type options struct {
	Options
	boundsNS []int64
	words    [numFamilies]int
}

// series is one label set of a family. Its cells are the loops' shares.
type series struct {
	labels string // as exported, without braces
	route  string // id of the route, empty when there is none
	cells  []*cell
}

// cell is one loop's share of a series. One loop writes it, anyone reads, so
// an addition is a load and a store and no line moves between processors. n has
// whole cache lines: no two loops share one.
type cell struct {
	last atomic.Int64 // clock of the last addition
	n    []atomic.Uint64
}

// Default is the registry of this process.
var Default = New(Options{})

// New makes an empty registry.
func New(o Options) *Registry {
	r := &Registry{graves: map[string]int64{}}
	r.Configure(o)
	return r
}

// Configure replaces the settings and forgets all series. It is for the start
// of a process, before any request.
func (r *Registry) Configure(o Options) {
	if o.Prefix == "" {
		o.Prefix = "apisix_"
	}
	if len(o.Buckets) == 0 {
		o.Buckets = Buckets
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = MaxSeries
	}
	n := &options{Options: o}
	for _, ms := range o.Buckets {
		n.boundsNS = append(n.boundsNS, int64(ms*1e6))
	}
	n.words = [numFamilies]int{Status: 1, Latency: numTypes * n.histogram(), Bandwidth: 2}
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.series {
		r.series[f], r.list[f] = map[string]*series{}, nil
	}
	r.opts.Store(n)
	r.gen.Add(1)
}

// histogram is the number of words of one histogram: its buckets, the one
// without bound, and the sum in nanoseconds.
func (o *options) histogram() int { return len(o.boundsNS) + 2 }

// meet returns a loop's cell of a series, which is made when it is new; nil
// when the family is full or the route is gone.
func (r *Registry) meet(f Family, labels []byte, route string) *cell {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.opts.Load()
	s := r.series[f][string(labels)]
	if s == nil {
		if _, gone := r.graves[route]; gone && route != "" || len(r.list[f]) >= o.MaxSeries {
			return nil
		}
		s = &series{labels: string(labels), route: route}
		r.series[f][s.labels] = s
		r.list[f] = append(r.list[f], s)
	}
	const line = 8 // words in a cache line
	words := o.words[f]
	c := &cell{n: make([]atomic.Uint64, (words+line-1)/line*line)[:words]}
	c.last.Store(loop.Clock())
	s.cells = append(s.cells, c)
	return c
}

// Routes tells of changes of routes: alive have (again) a definition, gone were
// deleted. The series of routes that are gone leave.
func (r *Registry) Routes(alive, gone []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range alive {
		delete(r.graves, id)
	}
	if len(gone) == 0 {
		return
	}
	now := loop.Clock()
	for id, at := range r.graves {
		if now-at > int64(graveTime) {
			delete(r.graves, id)
		}
	}
	for _, id := range gone {
		r.graves[id] = now
	}
	r.remove(func(_ Family, s *series) bool {
		at, ok := r.graves[s.route]
		return ok && at == now && s.route != ""
	})
}

// expire removes the series that rested for too long.
func (r *Registry) expire() {
	o, now := r.opts.Load(), loop.Clock()
	if o.Expire == [numFamilies]time.Duration{} {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(func(f Family, s *series) bool {
		if o.Expire[f] == 0 {
			return false
		}
		last := int64(0)
		for _, c := range s.cells {
			last = max(last, c.last.Load())
		}
		return now-last > int64(o.Expire[f])
	})
}

func (r *Registry) remove(leaves func(Family, *series) bool) {
	removed := false
	for f := range r.list {
		// A reader may hold the old list: the rest goes into a new one.
		var keep []*series
		for i, s := range r.list[f] {
			if leaves(Family(f), s) {
				if keep == nil {
					keep = append(make([]*series, 0, len(r.list[f])), r.list[f][:i]...)
				}
				delete(r.series[f], s.labels)
				removed = true
			} else if keep != nil {
				keep = append(keep, s)
			}
		}
		if keep != nil {
			r.list[f] = keep
		}
	}
	if removed {
		r.gen.Add(1)
	}
}
