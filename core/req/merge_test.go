package req

import (
	"strings"
	"sync"
	"testing"
)

// chainOf makes a chain of plugins that run in the rewrite and access phase; a
// plugin is named by its slot and layer.
func chainOf(layer string, slots ...int) *Chain {
	c := &Chain{}
	for _, s := range slots {
		name := layer + string(rune('a'+s))
		c.Members = append(c.Members, Member{Name: name, Slot: uint8(s), Priority: -s})
		c.Plugins |= 1 << s
		step := Step{Name: name, Slot: uint8(s), Priority: -s, Run: func(*Ctx) Verdict { return Continue }}
		c.Phases[Rewrite] = append(c.Phases[Rewrite], step)
		c.Phases[Access] = append(c.Phases[Access], step)
	}
	return c
}

func names(steps []Step) string {
	var out []string
	for i := range steps {
		out = append(out, steps[i].Name)
	}
	return strings.Join(out, " ")
}

func TestMerge(t *testing.T) {
	f := func(route, group, consumer *Chain, access, added string) {
		t.Helper()
		m := merge(&Effective{Chain: route, Websocket: true}, group, consumer)
		if got := names(m.eff.Chain.Phases[Access]); got != access {
			t.Errorf("access runs %q, want %q", got, access)
		}
		if got := names(m.added); got != added {
			t.Errorf("%q was added, want %q", got, added)
		}
		if len(m.eff.Chain.Members) != len(m.eff.Chain.Phases[Access]) || !m.eff.Websocket {
			t.Errorf("members %v, websocket %v", m.eff.Chain.Members, m.eff.Websocket)
		}
	}
	f(chainOf("r", 0, 2), nil, chainOf("c", 1), "ra cb rc", "cb")
	f(chainOf("r", 0, 2), chainOf("g", 1, 3), nil, "ra gb rc gd", "gb gd")
	f(chainOf("r", 0, 1, 2), chainOf("g", 1, 2, 3), chainOf("c", 2, 4), "ra gb cc gd ce", "gd ce")
	f(nil, chainOf("g", 1, 2), chainOf("c", 1), "cb gc", "cb gc")
	f(nil, nil, chainOf("c", 1), "cb", "cb")
}

func TestMergedIsRememberedAndBounded(t *testing.T) {
	var cache Merged
	route := &Effective{Chain: chainOf("r", 0)}
	one := chainOf("c", 1)
	first := cache.get(route, nil, one)
	if cache.get(route, nil, one) != first || cache.Made() != 1 {
		t.Errorf("made %d times, want once", cache.Made())
	}
	if cache.get(route, one, nil) == cache.get(route, nil, one) {
		t.Error("a group's chain was taken for a consumer's")
	}
	const n = 1000
	consumers := make([]*Chain, n)
	for i := range consumers {
		consumers[i] = chainOf("c", i%8)
		cache.get(route, nil, consumers[i])
	}
	before := cache.Made()
	for _, c := range consumers {
		if m := cache.get(route, nil, c); m.consumer != c || m.route != route {
			t.Fatal("another combination's chain")
		}
	}
	if again := cache.Made() - before; again > n/10 {
		t.Errorf("%d of %d chains were made again although there is room", again, n)
	}
	if table := cache.table.Load(); len(table.sets)*mergeWays > maxMerged {
		t.Errorf("%d places", len(table.sets)*mergeWays)
	}
	for range maxMerged + 1000 {
		cache.add(mergeHash(route, nil, chainOf("x", 1)), &merged{route: route})
	}
	if table := cache.table.Load(); len(table.sets)*mergeWays > maxMerged || table.used > maxMerged {
		t.Errorf("%d places, %d used: more than %d", len(table.sets)*mergeWays, table.used, maxMerged)
	}
}

func TestMergedByManyLoops(t *testing.T) {
	var cache Merged
	route := &Effective{Chain: chainOf("r", 0)}
	consumers := make([]*Chain, 500)
	for i := range consumers {
		consumers[i] = chainOf("c", 1)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for _, c := range consumers {
					if m := cache.get(route, nil, c); m.consumer != c {
						t.Error("another consumer's chain")
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestRememberedChainDoesNotAllocate(t *testing.T) {
	var cache Merged
	ctx := &Ctx{
		Snap:     &Snapshot{Merged: &cache},
		Consumer: &Consumer{Username: "jack", Chain: chainOf("c", 1)},
	}
	route := &Effective{Chain: chainOf("r", 0)}
	n := testing.AllocsPerRun(100, func() {
		ctx.Eff = route
		if ctx.RunConsumer() != Continue || ctx.Eff == route {
			t.Fatal("not merged")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
