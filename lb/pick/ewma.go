package pick

import (
	"math"

	"github.com/sluicegw/sluice/lb/node"
)

// ewma draws two nodes by weight and takes the one that is expected to answer
// sooner: recent peak latency times the requests it already has. Chance keeps
// loops apart that pick at the same moment; taking the better of two is nearly
// as good as taking the best, and reads two counts instead of all.
type ewma struct{ levels }

func newEWMA(cfg *Config) Picker {
	p := &ewma{newLevels(cfg)}
	p.addTables()
	return p
}

// Pick returns the better of two nodes.
func (p *ewma) Pick(in *Input) *node.Node {
	return take(p.choose(p, in))
}

// failurePenalty is the least that a failed try counts as, in nanoseconds. A
// connection that is refused at once must not make its node look fast.
const failurePenalty = int64(1e9)

// Done ends a try and adds its latency to the node's average.
func (p *ewma) Done(n *node.Node, now, latency int64, ok bool) {
	observe(n, now, latency, ok)
	release(n)
}

func observe(n *node.Node, now, latency int64, ok bool) {
	if !ok {
		latency = max(latency, failurePenalty)
	}
	n.ObserveLatency(now, latency)
}

func (p *ewma) from(l *level, in *Input, anyHealth bool) *node.Node {
	word := in.Rand
	const none = math.MaxUint32
	first := uint32(none)
	// Draws that hit an unusable node or the first one again are repeated a few
	// times; a level with few usable nodes is then searched whole.
	for range 8 {
		at := l.sample(&word)
		if at == first || !usable(l.nodes[at], in, anyHealth) {
			continue
		}
		if first == none {
			first = at
			continue
		}
		if p.cost(l, at, in.Now) < p.cost(l, first, in.Now) {
			return l.nodes[at]
		}
		return l.nodes[first]
	}
	if first != none {
		return l.nodes[first]
	}
	return l.anyUsable(in, anyHealth)
}

// cost is a node's expected latency in microseconds for its weight.
func (p *ewma) cost(l *level, at uint32, now int64) float64 {
	n := l.nodes[at]
	inFlight := float64(max(n.InFlight.Load(), 0))
	latency, measured := n.Latency(now)
	if !measured {
		if inFlight > 0 {
			// Nothing is known before the first answer: one request at a time
			// finds out.
			return math.MaxFloat64
		}
		return 0
	}
	weight := float64(l.weights[at])
	if p.warming(now) {
		weight *= float64(p.warm.share(n, now)) / fullShare
	}
	return latency * (inFlight + 1) / weight
}
