package pick

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluicegw/sluice/lb/node"
)

func TestRoundRobinIsExactOverAllLoops(t *testing.T) {
	f := func(weights ...int) {
		t.Helper()
		sum := 0
		for _, w := range weights {
			sum += w
		}
		nodes := makeNodes(t, specs(weights...))
		p := makePicker(t, Config{Nodes: nodes})
		const nLoops, cycles = 4, 8
		counts := make([][]int, nLoops)
		loops(nLoops, func(loop int, rnd *rand.Rand) {
			counts[loop] = make([]int, len(nodes))
			for range sum * cycles {
				in := Input{Rand: rnd.Uint64()}
				n := p.Pick(&in)
				counts[loop][n.Index]++
				p.Done(n, 0, 1, true)
			}
		})
		for i, w := range weights {
			got := 0
			for _, c := range counts {
				got += c[i]
			}
			if want := w * cycles * nLoops; got != want {
				t.Errorf("weights %v: node %d was picked %d times by %d loops, want %d", weights, i, got, nLoops, want)
			}
		}
		settled(t, nodes)
	}
	f(1, 1)
	f(1, 1, 1)
	f(5, 1, 1)
	f(3, 2)
	f(1, 0, 2)
	f(7, 13, 29, 1)
	f(equal(100, 1)...)
}

func TestInterleavingNeverStraysFromTheShare(t *testing.T) {
	f := func(weights ...uint32) {
		t.Helper()
		table := interleave(weights)
		total := uint64(0)
		for _, w := range weights {
			total += uint64(w)
		}
		if uint64(len(table)) != total {
			t.Fatalf("weights %v: a cycle of %d turns, want %d", weights, len(table), total)
		}
		counts := make([]uint64, len(weights))
		for at, i := range table {
			counts[i]++
			turns := uint64(at + 1)
			for i, w := range weights {
				low := turns * uint64(w) / total
				high := (turns*uint64(w) + total - 1) / total
				if counts[i] < low || counts[i] > high {
					t.Fatalf("weights %v: after %d turns index %d had %d, want %d..%d", weights, turns, i, counts[i], low, high)
				}
			}
		}
	}
	f(1)
	f(1, 1)
	f(5, 1, 1)
	f(1, 1, 5)
	f(3, 2)
	f(4, 3, 2, 1)
	f(100, 1, 1, 1)
	f(31, 17, 11, 7, 5, 3, 2, 1)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		w := make([]uint32, 2+rnd.IntN(20))
		for i := range w {
			w[i] = 1 + rnd.Uint32N(60)
		}
		f(w...)
	}
}

func TestHugeWeightsAreBounded(t *testing.T) {
	nodes := makeNodes(t, specs(1_000_000_007, 1_000_000_009, 3))
	w := reduce(nodes, maxTable)
	if sum := w[0] + w[1] + w[2]; sum > maxTable+3 {
		t.Fatalf("weights %v add up to %d, want at most %d", w, sum, maxTable)
	}
	if w[2] != 1 || w[0] != maxTable/2 {
		t.Fatalf("weights became %v, want the same shares with at least 1 each", w)
	}
	f := func(want []uint32, weights ...int) {
		t.Helper()
		if got := reduce(makeNodes(t, specs(weights...)), maxTable); !slices.Equal(got, want) {
			t.Errorf("weights %v became %v, want %v", weights, got, want)
		}
	}
	f([]uint32{1, 1}, 100, 100)
	f([]uint32{2, 3, 1}, 200, 300, 100)
	f([]uint32{1}, 7)
}

func TestRoundRobinStaysExactForTheNodesThatAreUp(t *testing.T) {
	nodes := makeNodes(t, specs(1, 2, 3, 4))
	p := makePicker(t, Config{Nodes: nodes})
	down(nodes[3])
	const nLoops, each = 4, 6 * 50
	counts := make([][4]int, nLoops)
	loops(nLoops, func(loop int, rnd *rand.Rand) {
		for range each {
			n := p.Pick(&Input{})
			counts[loop][n.Index]++
			p.Done(n, 0, 1, true)
		}
	})
	for i, w := range []int{1, 2, 3, 0} {
		got := 0
		for _, c := range counts {
			got += c[i]
		}
		want := w * each * nLoops / 6
		// Cycles of ten turns of which six are used: the last one may be cut.
		if got < want-w || got > want+w {
			t.Errorf("node %d was picked %d times, want %d", i, got, want)
		}
	}
	up(nodes[3], 1)
	seen := 0
	for range 10 {
		n := p.Pick(&Input{})
		if n == nodes[3] {
			seen++
		}
		p.Done(n, 0, 1, true)
	}
	if seen != 4 {
		t.Errorf("the node that came back had %d of the next ten turns, want 4", seen)
	}
}

func TestTheCycleSurvivesAConfigurationChange(t *testing.T) {
	reg := node.NewRegistry()
	list := specs(1, 1, 1)
	nodes, _ := reg.Nodes("u", list, 1)
	counts := make(map[string]int)
	for range 30 {
		p := makePicker(t, Config{Nodes: nodes})
		for range 2 { // a part of a cycle between two changes
			counts[p.Pick(&Input{}).Key]++
		}
		nodes, _ = reg.Nodes("u", list, 1)
	}
	for k, c := range counts {
		if c != 20 {
			t.Errorf("%s was picked %d times of 60, want 20", k, c)
		}
	}
}

func TestRoundRobinStartsAtRandom(t *testing.T) {
	first := make(map[int]bool)
	for i := range 200 {
		nodes, err := node.NewRegistry().Nodes(fmt.Sprint(i), specs(1, 1, 1), 1)
		if err != nil {
			t.Fatal(err)
		}
		first[makePicker(t, Config{Nodes: nodes}).Pick(&Input{}).Index] = true
	}
	if len(first) != 3 {
		t.Errorf("200 fresh pickers began with %d different nodes of 3", len(first))
	}
}

func TestLightNodesServeWhenTheHeavyOneIsDown(t *testing.T) {
	nodes := makeNodes(t, specs(1, 60000, 2))
	p := makePicker(t, Config{Nodes: nodes})
	down(nodes[1])
	rnd := rand.New(rand.NewPCG(3, 4))
	var counts [3]int
	for range 3000 {
		n := p.Pick(&Input{Rand: rnd.Uint64()})
		counts[n.Index]++
		p.Done(n, 0, 1, true)
	}
	if counts[1] != 0 || counts[0] < 900 || counts[0] > 1100 {
		t.Errorf("picks were %v, want about 1000, 0, 2000", counts)
	}
}
