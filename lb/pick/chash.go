package pick

import (
	"github.com/cespare/xxhash/v2"

	"github.com/sluicegw/sluice/lb/node"
)

// chash sends a key to the node that owns its place on the ring, and on to the
// owners of the next points when that one was tried or is down. The ring
// itself never changes with health, so the keys of nodes that are up stay where
// they are. Nothing is written but the node's own count, so loops do not
// contend.
type chash struct{ levels }

func newChash(cfg *Config, kind ringKind) Picker {
	p := &chash{newLevels(cfg)}
	p.addRings(kind)
	return p
}

func (ls *levels) addRings(kind ringKind) {
	for i := range ls.list {
		ls.list[i].ring = newRing(ls.list[i].nodes, kind)
	}
}

// Pick returns the node that in.Key belongs to.
func (p *chash) Pick(in *Input) *node.Node {
	if p.calm(in) { // Fast path
		l := &p.list[0]
		i := l.ring.node(l.ring.find(l.ring.hash(in.Key)))
		l.states[i].InFlight.Add(1)
		return l.nodes[i]
	}
	return take(p.choose(p, in))
}

// Done ends a try.
func (p *chash) Done(n *node.Node, now, latency int64, ok bool) { release(n) }

// at returns the node at a position of the ring.
func (l *level) at(pos int) *node.Node { return l.nodes[l.ring.node(pos)] }

// patience is how many points a walk passes before it makes sure that there is
// something to find.
const patience = 64

func (p *chash) from(l *level, in *Input, anyHealth bool) *node.Node {
	hash := l.ring.hash(in.Key)
	pos := l.ring.find(hash)
	warming := p.warming(in.Now)
	var declined *node.Node
	for step := range l.ring.points {
		n := l.at(pos)
		if pos++; pos == len(l.ring.points) {
			pos = 0
		}
		if step == patience && declined == nil && !l.someUsable(in, anyHealth) {
			return nil
		}
		if !usable(n, in, anyHealth) {
			continue
		}
		if warming && p.warm.declines(n, in.Now, declineWord(hash, n)) {
			if declined == nil {
				declined = n
			}
			if step < maxDeclined {
				continue
			}
			return declined
		}
		return n
	}
	return declined
}

// declineWord is the word by which a node that warms up accepts a key. It
// depends on the two alone and the node accepts from the small words up: as it
// warms up it takes keys over and never gives one back.
func declineWord(hash uint32, n *node.Node) uint64 {
	return mix(uint64(hash) ^ xxhash.Sum64String(n.Key))
}

func (l *level) someUsable(in *Input, anyHealth bool) bool {
	for _, n := range l.nodes {
		if usable(n, in, anyHealth) {
			return true
		}
	}
	return false
}
