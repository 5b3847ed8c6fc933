package pick

import (
	"math/rand/v2"
	"testing"

	"github.com/sluicegw/sluice/lb/node"
)

// everyType runs f for each policy.
func everyType(t *testing.T, f func(t *testing.T, typ string)) {
	for _, typ := range Types() {
		t.Run(typ, func(t *testing.T) { f(t, typ) })
	}
}

func TestANodeIsTriedOnceWhileOthersRemain(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		list := specs(5, 1, 3, 0, 2, 1, 9)
		list[4].Priority = -1
		list[5].Priority = -1
		nodes := makeNodes(t, list)
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		rnd := rand.New(rand.NewPCG(1, 1))
		for i := range 200 {
			in := Input{Key: key(i), Rand: rnd.Uint64()}
			seen := make(map[*node.Node]bool)
			for try := range 6 {
				n := p.Pick(&in)
				if n == nil || seen[n] {
					t.Fatalf("try %d got %v after %d different nodes", try, n, len(seen))
				}
				if low := n.Priority < 0; low != (try >= 4) {
					t.Fatalf("try %d got priority %d", try, n.Priority)
				}
				seen[n] = true
				in.Tried = append(in.Tried, n)
			}
			if n := p.Pick(&in); n != nil {
				t.Fatalf("after all nodes were tried came %s", n.Key)
			}
			if seen[nodes[3]] {
				t.Fatal("a node of weight 0 was picked")
			}
			for _, n := range in.Tried {
				p.Done(n, 0, 1, true)
			}
		}
		settled(t, nodes)
	})
}

func TestNodesThatAreDownAreSkippedUnlessAllAre(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		list := specs(1, 1, 1, 1)
		list[3].Priority = -5
		nodes := makeNodes(t, list)
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		picked := func(tried ...*node.Node) map[int]bool {
			got := make(map[int]bool)
			for i := range 200 {
				in := Input{Key: key(i), Rand: mix(uint64(i)), Tried: tried}
				n := p.Pick(&in)
				if n == nil {
					got[-1] = true
					continue
				}
				got[n.Index] = true
				p.Done(n, 0, 1e6, true)
			}
			return got
		}
		check := func(what string, got map[int]bool, want ...int) {
			t.Helper()
			ok := len(got) == len(want)
			for _, w := range want {
				ok = ok && got[w]
			}
			if !ok {
				t.Fatalf("%s: picked %v, want %v", what, got, want)
			}
		}
		check("all up", picked(), 0, 1, 2)
		down(nodes[1])
		check("one down", picked(), 0, 2)
		check("one down, one tried", picked(nodes[0]), 2)
		down(nodes[0])
		down(nodes[2])
		check("the upper group down", picked(), 3)
		check("all that is up tried", picked(nodes[3]), -1)
		down(nodes[3])
		check("all down", picked(), 0, 1, 2)
		check("all down, the upper group tried", picked(nodes[0], nodes[1], nodes[2]), 3)
		up(nodes[2], 1)
		check("one back", picked(), 2)
		settled(t, nodes)
	})
}

func TestTheOnlyNodeIsUsedDirectly(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		nodes := makeNodes(t, specs(0))
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		down(nodes[0])
		in := Input{Tried: nodes}
		if n := p.Pick(&in); n != nodes[0] {
			t.Fatalf("got %v", n)
		}
		p.Done(nodes[0], 0, 1, false)
		settled(t, nodes)
	})
}

func TestNodesWithoutWeightGetNothing(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		p := makePicker(t, Config{Type: typ, Nodes: makeNodes(t, specs(0, 0))})
		if n := p.Pick(&Input{Key: key(1)}); n != nil {
			t.Fatalf("got %s, want nil", n.Key)
		}
	})
}

func TestAServerListedTwiceIsTriedOnce(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		list := specs(1, 1)
		list = append(list, list[0])
		nodes := makeNodes(t, list)
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		in := Input{Key: key(1), Tried: nodes[:1]}
		n := p.Pick(&in)
		if n != nodes[1] {
			t.Fatalf("the second try got %v", n)
		}
		in.Tried = nodes[:2]
		if n := p.Pick(&in); n != nil {
			t.Fatalf("the third try got %v, want nil", n)
		}
	})
}

func TestPickersWorkOnBareStates(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		nodes := []*node.Node{
			{Key: "10.0.0.1:80", Weight: 1, State: new(node.State)},
			{Key: "10.0.0.2:80", Weight: 1, State: new(node.State), Index: 1},
		}
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		down(nodes[0])
		for i := range 20 {
			n := p.Pick(&Input{Key: key(i), Rand: uint64(i)})
			if n != nodes[1] {
				t.Fatalf("got %v", n)
			}
			p.Done(n, 0, 1, true)
		}
	})
}

func TestNewRefusesWhatItCannotServe(t *testing.T) {
	nodes := makeNodes(t, specs(1, 1))
	f := func(cfg Config, ok bool) {
		t.Helper()
		if _, err := New(cfg); (err == nil) != ok {
			t.Errorf("%+v: error %v", cfg, err)
		}
	}
	f(Config{Nodes: nodes}, true)
	f(Config{}, false)
	f(Config{Nodes: nodes, Type: "random"}, false)
	f(Config{Nodes: nodes, Type: Emmie, Load: 1}, false)
	f(Config{Nodes: nodes, Type: Emmie, Load: 2}, true)
	f(Config{Nodes: nodes, WarmUp: &WarmUp{}}, false)
	f(Config{Nodes: nodes, WarmUp: &WarmUp{SlowStart: 1, MinPercent: 101}}, false)
	f(Config{Nodes: nodes, WarmUp: &WarmUp{SlowStart: 1, MinPercent: 1, Aggression: -1}}, false)
	f(Config{Nodes: nodes, WarmUp: &WarmUp{SlowStart: 1, MinPercent: 1}}, true)
}

// TestPickingWhileHealthFlips is for the race detector, and holds that a first
// try always finds a node.
func TestPickingWhileHealthFlips(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		nodes := makeNodes(t, specs(1, 2, 3))
		p := makePicker(t, Config{Type: typ, Nodes: nodes, WarmUp: &WarmUp{SlowStart: 1000, MinPercent: 10}})
		loops(4, func(loop int, rnd *rand.Rand) {
			for i := range 5000 {
				if loop == 0 {
					n := nodes[rnd.IntN(3)]
					down(n)
					up(n, int64(i))
					continue
				}
				in := Input{Key: key(i), Rand: rnd.Uint64(), Now: int64(i)}
				n := p.Pick(&in)
				if n == nil {
					t.Error("a first try found no node")
					return
				}
				p.Done(n, int64(i), 1000, i%7 != 0)
			}
		})
		settled(t, nodes)
	})
}
