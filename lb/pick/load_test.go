package pick

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluicegw/sluice/lb/node"
)

func TestLeastConnEvensOutTheWholeHost(t *testing.T) {
	f := func(weights ...int) {
		t.Helper()
		nodes := makeNodes(t, specs(weights...))
		p := makePicker(t, Config{Type: LeastConn, Nodes: nodes})
		sum := 0
		for _, w := range weights {
			sum += w
		}
		const each = 30
		// One after the other the loops open requests that stay: each must see
		// those of the others.
		loops(1, func(_ int, rnd *rand.Rand) {
			for range sum * each {
				p.Pick(&Input{Rand: rnd.Uint64()})
			}
		})
		for i, w := range weights {
			if got := nodes[i].InFlight.Load(); got != int64(w*each) {
				t.Errorf("weights %v: node %d has %d in flight, want %d", weights, i, got, w*each)
			}
		}
	}
	f(1, 1)
	f(1, 1, 1, 1)
	f(1, 2)
	f(5, 3, 2)
	f(equal(30, 1)...)
}

func TestLeastConnUnderConcurrentLoops(t *testing.T) {
	nodes := makeNodes(t, specs(2, 1, 1))
	p := makePicker(t, Config{Type: LeastConn, Nodes: nodes})
	const nLoops = 4
	loops(nLoops, func(_ int, rnd *rand.Rand) {
		var open []*node.Node
		for range 20000 {
			open = append(open, p.Pick(&Input{Rand: rnd.Uint64()}))
			if len(open) > 50 {
				i := rnd.IntN(len(open))
				p.Done(open[i], 0, 1, true)
				open[i] = open[len(open)-1]
				open = open[:len(open)-1]
			}
			// Every loop counts 50 or 51; three may be between looking and
			// counting.
			if a, b := nodes[1].InFlight.Load(), nodes[2].InFlight.Load(); len(open) == 50 && max(a, b)-min(a, b) > 60 {
				t.Errorf("nodes of equal weight have %d and %d in flight", a, b)
				return
			}
		}
		for _, n := range open {
			p.Done(n, 0, 1, true)
		}
	})
	settled(t, nodes)
}

func TestLeastConnFindsTheIdleOne(t *testing.T) {
	nodes := makeNodes(t, specs(equal(20, 3)...))
	p := makePicker(t, Config{Type: LeastConn, Nodes: nodes})
	for i, n := range nodes {
		if i != 13 {
			n.InFlight.Store(1)
		}
	}
	for i := range 50 {
		n := p.Pick(&Input{Rand: mix(uint64(i))})
		if n != nodes[13] {
			t.Fatalf("got %s with %d in flight", n.Key, n.InFlight.Load()-1)
		}
		p.Done(n, 0, 1, true)
	}
}

func TestLeastConnOverManyNodesStaysClose(t *testing.T) {
	weights := equal(500, 1)
	weights[7] = 100
	nodes := makeNodes(t, specs(weights...))
	p := makePicker(t, Config{Type: LeastConn, Nodes: nodes})
	rnd := rand.New(rand.NewPCG(9, 9))
	const each = 20
	for range 599 * each {
		p.Pick(&Input{Rand: rnd.Uint64()})
	}
	for i, n := range nodes {
		load := float64(n.InFlight.Load()) / float64(weights[i])
		if load > each+3 || load < each/2 {
			t.Errorf("node %d of weight %d has %.1f per weight, want about %d", i, weights[i], load, each)
		}
	}
}

func TestEWMAPrefersTheFasterNode(t *testing.T) {
	nodes := makeNodes(t, specs(1, 1, 1))
	p := makePicker(t, Config{Type: EWMA, Nodes: nodes})
	latency := []int64{1e6, 1e6, 50e6}
	rnd := rand.New(rand.NewPCG(1, 1))
	var counts [3]int
	now := int64(1e9)
	for range 10000 {
		now += 1e6
		n := p.Pick(&Input{Rand: rnd.Uint64(), Now: now})
		counts[n.Index]++
		p.Done(n, now, latency[n.Index], true)
	}
	if counts[2] > 100 || counts[0] < 4000 || counts[1] < 4000 {
		t.Errorf("picks were %v, want few of the slow third", counts)
	}
	if counts[2] == 0 {
		t.Error("the slow node was never asked")
	}
}

func TestEWMALeavesAFailingNodeAndComesBack(t *testing.T) {
	nodes := makeNodes(t, specs(1, 1))
	p := makePicker(t, Config{Type: EWMA, Nodes: nodes})
	rnd := rand.New(rand.NewPCG(1, 1))
	now := int64(1e9)
	run := func(picks int, failing bool) (second int) {
		for range picks {
			now += 10e6
			n := p.Pick(&Input{Rand: rnd.Uint64(), Now: now})
			if n == nodes[1] {
				second++
				p.Done(n, now, 1e4, !failing) // refused at once
				continue
			}
			p.Done(n, now, 5e6, true)
		}
		return second
	}
	if got := run(1000, true); got > 20 {
		t.Errorf("a node that refuses connections got %d of 1000", got)
	}
	now += 120e9
	if got := run(1000, false); got < 500 {
		t.Errorf("the faster node got %d of 1000 two minutes after it failed", got)
	}
}

func TestEWMAFollowsWeights(t *testing.T) {
	nodes := makeNodes(t, specs(3, 1, 0))
	p := makePicker(t, Config{Type: EWMA, Nodes: nodes})
	rnd := rand.New(rand.NewPCG(1, 1))
	// With many requests open at equal latency, load settles by weight.
	for range 4000 {
		p.Pick(&Input{Rand: rnd.Uint64(), Now: 1})
		for _, n := range nodes[:2] {
			n.ObserveLatency(1, 1e6)
		}
	}
	if got := nodes[0].InFlight.Load(); got < 2800 || got > 3200 {
		t.Errorf("the node of weight 3 has %d of 4000, want about 3000", got)
	}
}

// TestEmmieKeepsItsBound has loops send one popular key and many others, hold
// requests open, and check every node at every pick.
func TestEmmieKeepsItsBound(t *testing.T) {
	f := func(c float64, nLoops int, weights ...int) {
		t.Helper()
		nodes := makeNodes(t, specs(weights...))
		p := makePicker(t, Config{Type: Emmie, Nodes: nodes, Load: c})
		if c == 0 {
			c = DefaultLoad
		}
		sum := 0
		for _, w := range weights {
			sum += w
		}
		group := nodes[0].Group()
		open := make([][]*node.Node, nLoops)
		loops(nLoops, func(loop int, rnd *rand.Rand) {
			for i := range 3000 {
				in := Input{Key: []byte("popular"), Rand: rnd.Uint64()}
				if i%4 == 0 {
					in.Key = key(rnd.IntN(100))
				}
				n := p.Pick(&in)
				open[loop] = append(open[loop], n)
				if nLoops > 1 {
					continue // checked at the end
				}
				total := float64(group.InFlight.Load())
				bound := int64(math.Ceil(c * total * float64(weights[n.Index]) / float64(sum)))
				if got := n.InFlight.Load(); got > bound {
					t.Fatalf("c %v: node %d has %d of %v in flight, bound %d", c, n.Index, got, total, bound)
				}
				if len(open[loop]) > 100 {
					at := rnd.IntN(len(open[loop]))
					p.Done(open[loop][at], 0, 1, true)
					open[loop] = append(open[loop][:at], open[loop][at+1:]...)
				}
			}
		})
		// Without a request ended, totals only grew, so the bound of the end
		// holds for every pick.
		if nLoops > 1 {
			total := float64(group.InFlight.Load())
			if int(total) != nLoops*3000 {
				t.Fatalf("%v in flight, want %d", total, nLoops*3000)
			}
			for i, n := range nodes {
				bound := int64(math.Ceil(c * total * float64(weights[i]) / float64(sum)))
				if got := n.InFlight.Load(); got > bound {
					t.Errorf("c %v, %d loops: node %d has %d of %v in flight, bound %d", c, nLoops, i, got, total, bound)
				}
			}
		}
		for _, o := range open {
			for _, n := range o {
				p.Done(n, 0, 1, true)
			}
		}
		settled(t, nodes)
	}
	f(0, 1, 1, 1, 1)
	f(0, 1, 1, 2, 5)
	f(1.01, 1, 1, 1, 1, 1)
	f(2, 1, equal(20, 1)...)
	f(0, 4, 1, 1, 1)
	f(1.5, 4, 3, 1, 1, 1)
	f(1.1, 4, equal(20, 1)...)
}

func TestEmmieIsTheRingWhenLoadIsLow(t *testing.T) {
	nodes := makeNodes(t, specs(equal(5, 1)...))
	a := owners(makePicker(t, Config{Type: CHash, Nodes: nodes}), 5000)
	b := owners(makePicker(t, Config{Type: Emmie, Nodes: nodes}), 5000)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("key %d is at %s by the ring and at %s by emmie", i, a[i], b[i])
		}
	}
}
