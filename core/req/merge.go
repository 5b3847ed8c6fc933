package req

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// merged is what a route becomes for consumers that bring the same plugins.
type merged struct {
	// What it was made of; pointers, so that they cannot be reused.
	route           *Effective
	group, consumer *Chain

	eff   Effective
	added []Step // the rewrite steps of plugins that the route has not
}

// merge puts a consumer's chain on top of its group's and that on top of the
// route's: of a plugin that stands in several the topmost is taken. Each of
// the two may be nil.
func merge(route *Effective, group, consumer *Chain) *merged {
	m := &merged{route: route, group: group, consumer: consumer, eff: *route}
	layers := [3]*Chain{consumer, group, route.Chain}
	out := &Chain{}
	var own uint64
	if route.Chain != nil {
		own = route.Chain.Plugins
	}
	for _, layer := range layers {
		if layer == nil {
			continue
		}
		covered := out.Plugins
		for _, p := range layer.Members {
			if covered>>p.Slot&1 == 0 {
				out.Members = append(out.Members, p)
			}
		}
		for p := range layer.Phases {
			for _, s := range layer.Phases[p] {
				if covered>>s.Slot&1 != 0 {
					continue
				}
				out.Phases[p] = append(out.Phases[p], s)
				if Phase(p) == Rewrite && own>>s.Slot&1 == 0 {
					m.added = append(m.added, s)
				}
			}
		}
		out.Plugins |= layer.Plugins
	}
	slices.SortStableFunc(out.Members, func(a, b Member) int { return order(a.Priority, b.Priority, a.Name, b.Name) })
	for p := range out.Phases {
		slices.SortStableFunc(out.Phases[p], byPriority)
	}
	slices.SortStableFunc(m.added, byPriority)
	m.eff.Chain = out
	return m
}

func byPriority(a, b Step) int { return order(a.Priority, b.Priority, a.Name, b.Name) }

// order compares two plugins' places in a chain.
func order(p, q int, name, other string) int {
	if p != q {
		return q - p
	}
	return strings.Compare(name, other)
}

// maxMerged is how many merged chains a gateway remembers. One takes about a
// kilobyte.
const maxMerged = 1 << 16

// mergeWays is how many places a merged chain may be in; the chain that has
// been there longest gives way.
const mergeWays = 4

// Merged remembers merged chains, so that each is made once and not for every
// request. It is bounded: when more combinations of routes and consumers with
// plugins of their own are in use than it holds, some are made again. Reading
// takes no lock; who finds another busy adding goes on without adding. The zero
// value is ready.
type Merged struct {
	table atomic.Pointer[mergeTable]
	mu    sync.Mutex
	made  atomic.Int64
}

type mergeTable struct {
	sets [][mergeWays]atomic.Pointer[merged] // a power of two
	used int                                 // guarded by mu
	turn uint                                // guarded by mu
}

// Made counts how often a chain was merged.
func (t *Merged) Made() int64 { return t.made.Load() }

func (t *Merged) get(route *Effective, group, consumer *Chain) *merged {
	if t == nil {
		return merge(route, group, consumer)
	}
	h := mergeHash(route, group, consumer)
	if table := t.table.Load(); table != nil {
		set := &table.sets[h&uint64(len(table.sets)-1)]
		for i := range set {
			if m := set[i].Load(); m != nil && m.route == route && m.group == group && m.consumer == consumer {
				return m
			}
		}
	}
	// Slow path: the first request of this combination, for some time.
	m := merge(route, group, consumer)
	t.made.Add(1)
	if t.mu.TryLock() {
		t.add(h, m)
		t.mu.Unlock()
	}
	return m
}

// mergeHash mixes three addresses. Objects do not move in memory.
func mergeHash(route *Effective, group, consumer *Chain) uint64 {
	h := uint64(uintptr(unsafe.Pointer(route))) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ uint64(uintptr(unsafe.Pointer(group)))) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32 ^ uint64(uintptr(unsafe.Pointer(consumer)))) * 0x94d049bb133111eb
	return h ^ h>>31
}

func (t *Merged) add(h uint64, m *merged) {
	table := t.table.Load()
	if table == nil {
		table = &mergeTable{sets: make([][mergeWays]atomic.Pointer[merged], 16)}
		t.table.Store(table)
	}
	if places := len(table.sets) * mergeWays; 2*table.used >= places && places < maxMerged {
		table = table.grown()
		t.table.Store(table)
	}
	table.put(h, m)
}

func (t *mergeTable) put(h uint64, m *merged) {
	set := &t.sets[h&uint64(len(t.sets)-1)]
	for i := range set {
		if set[i].Load() == nil {
			set[i].Store(m)
			t.used++
			return
		}
	}
	t.turn++
	set[t.turn%mergeWays].Store(m)
}

// grown returns a table four times as large with the same chains.
func (t *mergeTable) grown() *mergeTable {
	out := &mergeTable{sets: make([][mergeWays]atomic.Pointer[merged], 4*len(t.sets))}
	for i := range t.sets {
		for j := range t.sets[i] {
			if m := t.sets[i][j].Load(); m != nil {
				out.put(mergeHash(m.route, m.group, m.consumer), m)
			}
		}
	}
	return out
}
