package pick

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	"github.com/sluicegw/sluice/lb/node"
)

// levels is what all policies share: an upstream's nodes with weight, grouped
// by priority, and the order in which the groups are asked.
type levels struct {
	list  []level // highest priority first; empty when all weights are 0
	group *node.Group
	warm  *ramp // nil: nodes start with their full weight
}

// level is the nodes of one priority.
type level struct {
	nodes []*node.Node
	// states are those of nodes, in the same order, so that a pick can count
	// without waiting for the node to be loaded first.
	states []*node.State
	// weights are the nodes' weights divided by what they have in common, in
	// the order of nodes; sum, which fits 31 bits, is their total; even says
	// that they are all the same.
	weights []uint32
	sum     uint32
	even    bool

	// up caches the weight of the nodes that are up, in the lower half, beside
	// the group's epoch at which it was counted. Whoever finds another epoch
	// counts again; that several loops may do so at once does no harm, and
	// between health flips the word is only read.
	up atomic.Uint64

	cursor *atomic.Uint64 // see roundRobin
	table  []uint32       // interleaving of indices into nodes; see interleave
	ring   *ring          // of the policies with keys
}

// policy picks within one level.
type policy interface {
	// from returns a node of l that in has not tried, or nil. anyHealth lets
	// it be one that is down.
	from(l *level, in *Input, anyHealth bool) *node.Node
}

func newLevels(cfg *Config) levels {
	ls := levels{warm: newRamp(cfg.WarmUp)}
	if s := cfg.Nodes[0].State; s != nil {
		ls.group = s.Group()
	}
	nodes := make([]*node.Node, 0, len(cfg.Nodes))
	for _, n := range cfg.Nodes {
		if n.Weight > 0 {
			nodes = append(nodes, n)
		}
	}
	slices.SortStableFunc(nodes, func(a, b *node.Node) int {
		return cmp.Compare(b.Priority, a.Priority)
	})
	// The levels are made in place: their atomics must not be copied.
	count := 0
	for i := range nodes {
		if i == 0 || nodes[i].Priority != nodes[i-1].Priority {
			count++
		}
	}
	ls.list = make([]level, count)
	at := -1
	for i, n := range nodes {
		if i == 0 || n.Priority != nodes[i-1].Priority {
			at++
		}
		ls.list[at].nodes = append(ls.list[at].nodes, n)
	}
	for i := range ls.list {
		l := &ls.list[i]
		l.weights = reduce(l.nodes, 1<<30)
		l.even = true
		for _, n := range l.nodes {
			l.states = append(l.states, n.State)
		}
		for _, w := range l.weights {
			l.sum += w
			l.even = l.even && w == l.weights[0]
		}
		l.countUp(ls.epoch())
	}
	return ls
}

func (ls *levels) epoch() uint32 {
	if ls.group == nil {
		return 0
	}
	return uint32(ls.group.Epoch())
}

// upWeight returns the weight of the level's nodes that are up.
func (ls *levels) upWeight(l *level) uint32 {
	w := l.up.Load()
	epoch := ls.epoch()
	if uint32(w>>32) == epoch && ls.group != nil {
		return uint32(w)
	}
	return l.countUp(epoch)
}

// countUp counts the weight that is up and keeps it for epoch, which was read
// before: a flip that comes while counting moves the epoch on and makes the
// next pick count again.
func (l *level) countUp(epoch uint32) uint32 {
	var sum uint32
	for i, n := range l.nodes {
		if !n.Down() {
			sum += l.weights[i]
		}
	}
	l.up.Store(uint64(epoch)<<32 | uint64(sum))
	return sum
}

// calm reports whether the first level can serve in with nothing to look out
// for: it is the first try, every node is up and none warms up.
func (ls *levels) calm(in *Input) bool {
	if len(in.Tried) != 0 || len(ls.list) == 0 {
		return false
	}
	l := &ls.list[0]
	return ls.upWeight(l) == l.sum && !ls.warming(in.Now)
}

// warming reports whether some node of the upstream may be warming up.
func (ls *levels) warming(now int64) bool {
	return ls.warm != nil && ls.group != nil && ls.warm.covers(ls.group.LastRise(), now)
}

// choose asks the levels in turn. Nodes that are down are left out unless all
// nodes of the upstream are.
func (ls *levels) choose(p policy, in *Input) *node.Node {
	allDown := true
	for i := range ls.list {
		l := &ls.list[i]
		if ls.upWeight(l) == 0 {
			continue
		}
		allDown = false
		if n := p.from(l, in, false); n != nil {
			return n
		}
	}
	// The last healthy node may have gone down since it was counted: the first
	// try of a request must still find one.
	if !allDown && len(in.Tried) != 0 {
		return nil
	}
	for i := range ls.list {
		if n := p.from(&ls.list[i], in, true); n != nil {
			return n
		}
	}
	return nil
}

// usable reports whether in may be sent to n.
func usable(n *node.Node, in *Input, anyHealth bool) bool {
	if !anyHealth && n.Down() {
		return false
	}
	for _, t := range in.Tried {
		// Compared by state, so that a server listed twice counts as one.
		if t.State == n.State {
			return false
		}
	}
	return true
}

// anyUsable picks among all usable nodes of the level at random by weight. It
// looks at every node: for the rare picks at which the quick way of a policy
// found nothing, such as when most of the weight is down.
func (l *level) anyUsable(in *Input, anyHealth bool) *node.Node {
	var sum uint64
	for i, n := range l.nodes {
		if usable(n, in, anyHealth) {
			sum += uint64(l.weights[i])
		}
	}
	if sum == 0 {
		return nil
	}
	point := mix(in.Rand) % sum
	var last *node.Node
	for i, n := range l.nodes {
		if !usable(n, in, anyHealth) {
			continue
		}
		last = n
		if w := uint64(l.weights[i]); point >= w {
			point -= w
			continue
		}
		return n
	}
	return last // health changed between the two passes
}

// reduce divides the nodes' weights by their greatest common divisor. When the
// total still exceeds limit they are scaled down to it, each to at least 1, so
// that a node's share is off by at most about 1/limit of the traffic.
func reduce(nodes []*node.Node, limit int) []uint32 {
	limit = max(limit, len(nodes))
	var div uint64
	sum := 0.0
	for _, n := range nodes {
		div = gcd(div, uint64(n.Weight))
		sum += float64(n.Weight)
	}
	sum /= float64(div)
	out := make([]uint32, len(nodes))
	for i, n := range nodes {
		w := uint64(n.Weight) / div
		if sum > float64(limit) {
			w = uint64(max(1, math.Round(float64(w)*float64(limit)/sum)))
		}
		out[i] = uint32(w)
	}
	return out
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// mix turns a word into one whose bits all depend on all of its bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
