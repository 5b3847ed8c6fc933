package pick

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/sluicegw/sluice/lb/node"
)

// specs returns one node for each weight, on 10.0.0.0/8 port 80.
func specs(weights ...int) []node.Spec {
	out := make([]node.Spec, len(weights))
	for i, w := range weights {
		out[i] = node.Spec{
			Host:   netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(),
			Port:   80,
			Weight: w,
		}
	}
	return out
}

func equal(n, weight int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = weight
	}
	return out
}

func makeNodes(t testing.TB, specs []node.Spec) []*node.Node {
	t.Helper()
	nodes, err := node.NewRegistry().Nodes("upstreams/1", specs, 1)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func makePicker(t testing.TB, cfg Config) Picker {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// loops runs f on n goroutines that stand for loops and waits for them.
func loops(n int, f func(loop int, rnd *rand.Rand)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	wg.Wait()
}

// down marks a node unhealthy by one report.
func down(n *node.Node) { n.Report(node.TCPFailure, 1, 1) }

func up(n *node.Node, now int64) { n.Report(node.Success, 1, now) }

func key(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }

// settled fails the test when a picker lost count of its requests.
func settled(t *testing.T, nodes []*node.Node) {
	t.Helper()
	for _, n := range nodes {
		if got := n.InFlight.Load(); got != 0 {
			t.Errorf("%s has %d requests in flight after all ended", n.Key, got)
		}
	}
	if g := nodes[0].Group(); g.InFlight.Load() != 0 {
		t.Errorf("the upstream has %d requests in flight after all ended", g.InFlight.Load())
	}
}
