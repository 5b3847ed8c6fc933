package pick

import (
	"math/bits"

	"github.com/sluicegw/sluice/lb/node"
)

// leastConn picks the node with the smallest (1 + in flight) / weight. The
// counts are of the whole host: every loop reads and writes the same ones.
//
// Up to exactNodes nodes it looks at all of them. Above, reading a thousand
// counts that other cores keep changing would cost more than a request, so it
// looks at sampleNodes drawn by weight: the busiest node is then within a small
// constant of the least busy one with overwhelming probability, and loops that
// pick at the same moment do not all run to the same node.
type leastConn struct{ levels }

const (
	exactNodes  = 32
	sampleNodes = 4
)

func newLeastConn(cfg *Config) Picker {
	p := &leastConn{newLevels(cfg)}
	p.addTables()
	return p
}

// Pick returns the least busy node for its weight.
func (p *leastConn) Pick(in *Input) *node.Node {
	return take(p.choose(p, in))
}

// Done ends a try.
func (p *leastConn) Done(n *node.Node, now, latency int64, ok bool) { release(n) }

func (p *leastConn) from(l *level, in *Input, anyHealth bool) *node.Node {
	warming := p.warming(in.Now)
	word := in.Rand
	var best *node.Node
	var bestLoad, bestWeight uint64
	consider := func(at uint32) {
		n := l.nodes[at]
		load, weight := uint64(max(n.InFlight.Load(), 0))+1, uint64(l.weights[at])
		if warming {
			weight *= uint64(p.warm.share(n, in.Now))
		}
		if best == nil || less(load, bestWeight, bestLoad, weight) {
			best, bestLoad, bestWeight = n, load, weight
		}
	}
	if len(l.nodes) <= exactNodes {
		if l.even && p.calm(in) { // Fast path
			return l.fewest(int(word % uint64(len(l.nodes))))
		}
		at := uint32(word % uint64(len(l.nodes)))
		for range l.nodes {
			if usable(l.nodes[at], in, anyHealth) {
				consider(at)
			}
			if at++; at == uint32(len(l.nodes)) {
				at = 0
			}
		}
		return best
	}
	found := 0
	for range 2 * sampleNodes {
		at := l.sample(&word)
		if !usable(l.nodes[at], in, anyHealth) {
			continue
		}
		consider(at)
		if found++; found == sampleNodes {
			return best
		}
	}
	if best == nil {
		return l.leastLoaded(in, anyHealth)
	}
	return best
}

// fewest returns the node with the fewest requests in flight, looking from
// start on so that equals take turns.
func (l *level) fewest(start int) *node.Node {
	best := l.nodes[start]
	least := best.InFlight.Load()
	for _, n := range l.nodes[start+1:] {
		if c := n.InFlight.Load(); c < least {
			best, least = n, c
		}
	}
	for _, n := range l.nodes[:start] {
		if c := n.InFlight.Load(); c < least {
			best, least = n, c
		}
	}
	return best
}

// less reports whether a*b < c*d without overflow.
func less(a, b, c, d uint64) bool {
	hi1, lo1 := bits.Mul64(a, b)
	hi2, lo2 := bits.Mul64(c, d)
	return hi1 < hi2 || hi1 == hi2 && lo1 < lo2
}

// sample draws a node by weight and moves word on.
func (l *level) sample(word *uint64) uint32 {
	*word = mix(*word)
	return l.table[(*word>>32)*uint64(len(l.table))>>32]
}
