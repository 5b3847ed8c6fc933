package pick

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluicegw/sluice/lb/node"
)

const testSecond = int64(1e9)

// joined returns an upstream of two nodes of which the second joined at 100 s.
func joined(t *testing.T, typ string, w *WarmUp) (Picker, []*node.Node) {
	t.Helper()
	reg := node.NewRegistry()
	list := specs(1, 1)
	if _, err := reg.Nodes("u", list[:1], testSecond); err != nil {
		t.Fatal(err)
	}
	nodes, err := reg.Nodes("u", list, 100*testSecond)
	if err != nil {
		t.Fatal(err)
	}
	return makePicker(t, Config{Type: typ, Nodes: nodes, WarmUp: w}), nodes
}

func shareOfSecond(p Picker, now int64) float64 {
	rnd := rand.New(rand.NewPCG(uint64(now), 2))
	const picks = 10000
	second := 0
	for i := range picks {
		n := p.Pick(&Input{Rand: rnd.Uint64(), Key: key(i), Now: now})
		second += n.Index
		p.Done(n, now, 1e6, true)
	}
	return float64(second) / picks
}

func TestAJoiningNodeWarmsUp(t *testing.T) {
	for _, typ := range []string{RoundRobin, CHash, CRC32APISIX, Emmie} {
		t.Run(typ, func(t *testing.T) {
			w := &WarmUp{SlowStart: 100 * testSecond, MinPercent: 10, Interval: 10 * testSecond}
			p, _ := joined(t, typ, w)
			full := shareOfSecond(p, 500*testSecond)
			check := func(at int64, part float64) {
				t.Helper()
				got := shareOfSecond(p, at*testSecond)
				want := part / (1 + part) // of two nodes, one at part of its weight
				if typ != RoundRobin {
					want = full * part // the part of its keys
				}
				if math.Abs(got-want) > 0.03 {
					t.Errorf("at %d s the node has %.3f of the traffic, want %.3f", at, got, want)
				}
			}
			check(100, 0.1)
			check(105, 0.1)
			check(110, 0.1)
			check(130, 0.3)
			check(139, 0.3)
			check(150, 0.5)
			check(190, 0.9)
			if full < 0.4 || full > 0.6 {
				t.Errorf("warm, the node has %.3f of the traffic", full)
			}
		})
	}
}

func TestLoadAwarePickersWarmUp(t *testing.T) {
	w := &WarmUp{SlowStart: 100 * testSecond, MinPercent: 1, Interval: testSecond}
	for _, typ := range []string{LeastConn, EWMA} {
		p, nodes := joined(t, typ, w)
		at := 125 * testSecond
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 5000 { // all stay open
			p.Pick(&Input{Rand: rnd.Uint64(), Now: at})
			nodes[0].ObserveLatency(at, 1e6)
			nodes[1].ObserveLatency(at, 1e6)
		}
		if got := nodes[1].InFlight.Load(); got < 900 || got > 1100 {
			t.Errorf("%s: a node at a quarter of its weight has %d of 5000, want about 1000", typ, got)
		}
	}
}

func TestAggressionBendsTheRamp(t *testing.T) {
	at := func(w WarmUp, age int64) float64 {
		w.SlowStart, w.Interval = 100*testSecond, testSecond
		p, nodes := joined(t, RoundRobin, &w)
		_ = p
		return float64(newRamp(&w).share(nodes[1], 100*testSecond+age*testSecond)) / fullShare
	}
	f := func(got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.001 {
			t.Errorf("got %.4f, want %.4f", got, want)
		}
	}
	f(at(WarmUp{MinPercent: 1}, 25), 0.25)
	f(at(WarmUp{MinPercent: 1, Aggression: 2}, 25), 0.5)
	f(at(WarmUp{MinPercent: 1, Aggression: 0.5}, 50), 0.25)
	f(at(WarmUp{MinPercent: 30}, 25), 0.3)
	f(at(WarmUp{MinPercent: 1}, 0), 0.01) // counts as one second
	f(at(WarmUp{MinPercent: 1}, 100), 1)
	f(at(WarmUp{MinPercent: 1, MatureUntil: 100 * testSecond}, 0), 1)
}

func TestANodeThatComesBackWarmsUp(t *testing.T) {
	nodes := makeNodes(t, specs(1, 1))
	p := makePicker(t, Config{Nodes: nodes, WarmUp: &WarmUp{SlowStart: 10 * testSecond, MinPercent: 1}})
	if got := shareOfSecond(p, 2*testSecond); got != 0.5 {
		t.Errorf("the first nodes of an upstream share %.3f, want 0.5", got)
	}
	down(nodes[1])
	up(nodes[1], 100*testSecond)
	if got := shareOfSecond(p, 101*testSecond); got > 0.12 {
		t.Errorf("a second after it came back the node has %.3f", got)
	}
	if got := shareOfSecond(p, 110*testSecond); got != 0.5 {
		t.Errorf("warm again, it has %.3f", got)
	}
}

func TestWarmingNodesAloneServe(t *testing.T) {
	reg := node.NewRegistry()
	if _, err := reg.Nodes("u", specs(1), 1); err != nil {
		t.Fatal(err)
	}
	list := specs(1, 1, 1)[1:]
	nodes, err := reg.Nodes("u", list, 100*testSecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range Types() {
		p := makePicker(t, Config{Type: typ, Nodes: nodes, WarmUp: &WarmUp{SlowStart: 1000 * testSecond, MinPercent: 1}})
		if got := shareOfSecond(p, 101*testSecond); got < 0.35 || got > 0.65 {
			t.Errorf("%s: of two nodes that both warm up, the second has %.3f", typ, got)
		}
	}
}
