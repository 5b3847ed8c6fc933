package pick

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/sluicegw/sluice/lb/node"
)

// roundRobin follows a precomputed interleaving of the nodes.
//
// All loops share one cursor and take positions by atomic addition, so no
// position is served twice or left out: whichever loops the requests came to,
// every cycle gives each node exactly its weight, and no moment of it is off by
// more than one request. The
// price is one contended cache line: a fetch-and-add costs 5 ns alone and some
// 20-50 ns when every core does nothing else, which at 100,000 requests per
// second and core is below 0.5 % of a core. A cursor for each loop would be
// free but let nodes drift apart by the number of loops.
//
// Turns of nodes that are down are skipped by taking the next position, which
// keeps the interleaving of the rest exact as well.
type roundRobin struct{ levels }

// cursor is a position on a cache line of its own.
type cursor struct {
	_ [64]byte
	atomic.Uint64
	_ [56]byte
}

func newRoundRobin(cfg *Config) Picker {
	p := &roundRobin{newLevels(cfg)}
	p.addTables()
	return p
}

// addTables gives every level its interleaving and a cursor. The first level
// uses the upstream's, which outlives the picker: a change of configuration
// that leaves the nodes alone does not restart the cycle.
func (ls *levels) addTables() {
	for i := range ls.list {
		l := &ls.list[i]
		l.table = interleave(reduce(l.nodes, max(maxTable, 4*len(l.nodes))))
		if i == 0 && ls.group != nil {
			l.cursor = &ls.group.Cursor
			continue
		}
		c := new(cursor)
		c.Store(rand.Uint64() >> 1)
		l.cursor = &c.Uint64
	}
}

// turn takes the next position of the level for this request alone.
func (l *level) turn() *node.Node {
	at := l.cursor.Add(1) % uint64(len(l.table))
	return l.nodes[l.table[at]]
}

// Pick returns the node whose turn it is.
func (p *roundRobin) Pick(in *Input) *node.Node {
	if p.calm(in) { // Fast path
		return take(p.list[0].turn())
	}
	return take(p.choose(p, in))
}

// Done ends a try.
func (p *roundRobin) Done(n *node.Node, now, latency int64, ok bool) { release(n) }

// maxSkips bounds the turns that one pick skips beyond two for each node.
const maxSkips = 256

func (p *roundRobin) from(l *level, in *Input, anyHealth bool) *node.Node {
	warming := p.warming(in.Now)
	declined := 0
	for range maxSkips + 2*len(l.nodes) {
		n := l.turn()
		if !usable(n, in, anyHealth) {
			// A node that was tried has lost its turn; it just failed.
			if len(in.Tried) >= len(l.nodes) {
				break
			}
			continue
		}
		if warming && declined < maxDeclined && p.warm.declines(n, in.Now, mix(in.Rand+uint64(declined))) {
			declined++
			continue
		}
		return n
	}
	return l.anyUsable(in, anyHealth)
}
