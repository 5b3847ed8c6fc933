package pick

import "github.com/sluicegw/sluice/lb/node"

// emmie is consistent hashing with bounded load: no node takes a request that
// would put it above c times its weight's share of the requests in flight,
// rounded up; the request walks on along the ring. Popular keys spread over as
// many nodes as they need, and no further.
//
// A place is reserved before it is used: the picker adds to the total, then to
// the node, and gives the node's place back when it turns out to be above the
// bound. Sums only err upwards that way, so loops that pick at once can make a
// request walk further than it had to but never exceed the bound. Two words are
// contended: the total and, for a popular key, its node's count.
type emmie struct {
	levels
	load  float64
	total *node.Group
}

func newEmmie(cfg *Config) Picker {
	p := &emmie{levels: newLevels(cfg), load: cfg.Load}
	p.addRings(xxhashRing)
	p.total = p.group
	if p.total == nil {
		p.total = new(node.Group)
	}
	return p
}

// Pick returns the first node from in.Key's place on that has room.
func (p *emmie) Pick(in *Input) *node.Node {
	total := p.total.InFlight.Add(1)
	if p.calm(in) { // Fast path: the key's own node has room
		l := &p.list[0]
		i := l.ring.node(l.ring.find(l.ring.hash(in.Key)))
		if reserve(l.states[i], float64(l.sum), p.load*float64(total)*float64(l.weights[i])) {
			return l.nodes[i]
		}
	}
	n := p.choose(p, in)
	if n == nil {
		p.total.InFlight.Add(-1)
	}
	return n
}

// reserve counts a request at s unless that would exceed ceil(room/weight).
// For whole numbers n, n+1 <= ceil(x) says the same as n < x.
func reserve(s *node.State, weight, room float64) bool {
	if float64(s.InFlight.Load())*weight >= room {
		return false
	}
	if float64(s.InFlight.Add(1)-1)*weight < room {
		return true
	}
	s.InFlight.Add(-1)
	return false
}

// Done ends a try.
func (p *emmie) Done(n *node.Node, now, latency int64, ok bool) {
	release(n)
	p.total.InFlight.Add(-1)
}

// from returns a node with its place taken.
func (p *emmie) from(l *level, in *Input, anyHealth bool) *node.Node {
	weight := float64(l.sum)
	if !anyHealth {
		weight = float64(p.upWeight(l))
	}
	// The bound of a node is its part of all weight times room. Nodes that are
	// down hold requests too but take none, so the weight is of those that are
	// up.
	room := p.load * float64(p.total.InFlight.Load())
	hash := l.ring.hash(in.Key)
	pos := l.ring.find(hash)
	warming := p.warming(in.Now)
	for step := range min(len(l.ring.points), maxWalk) {
		index := l.ring.node(pos)
		n := l.nodes[index]
		if pos++; pos == len(l.ring.points) {
			pos = 0
		}
		if step == patience && !l.someUsable(in, anyHealth) {
			return nil
		}
		if !usable(n, in, anyHealth) {
			continue
		}
		if warming && step < maxDeclined && p.warm.declines(n, in.Now, declineWord(hash, n)) {
			continue
		}
		if reserve(n.State, weight, room*float64(l.weights[index])) {
			return n
		}
	}
	return take(l.leastLoaded(in, anyHealth))
}

// maxWalk bounds a walk, in points.
const maxWalk = 4096

// leastLoaded returns the usable node with the fewest requests for its weight.
// It serves when a walk found no room. The bound being above the average, that
// takes a retry that may not use the nodes with room, other loops' reservations
// of the same moment, or requests that another picker of the upstream counted.
func (l *level) leastLoaded(in *Input, anyHealth bool) *node.Node {
	var best *node.Node
	var bestLoad, bestWeight uint64
	start := 0
	if len(l.nodes) > 0 {
		start = int(in.Rand % uint64(len(l.nodes)))
	}
	for i := range l.nodes {
		at := start + i
		if at >= len(l.nodes) {
			at -= len(l.nodes)
		}
		n := l.nodes[at]
		if !usable(n, in, anyHealth) {
			continue
		}
		load, weight := uint64(max(n.InFlight.Load(), 0))+1, uint64(l.weights[at])
		if best == nil || load*bestWeight < bestLoad*weight {
			best, bestLoad, bestWeight = n, load, weight
		}
	}
	return best
}
