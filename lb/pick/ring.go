package pick

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sluicegw/sluice/lb/node"
)

// pointsPerUnit is how many points a node has on a ring for each unit of its
// weight, after the weights were divided by their greatest common divisor.
const pointsPerUnit = 160

// maxRingPoints bounds a ring: 8 MiB. Weights that would need more points are
// scaled down to it, with at least one unit for each node.
const maxRingPoints = 1 << 20

// ring is a circle of 2^32 places on which every node has points. A key belongs
// to the node of the first point at or behind its own place.
type ring struct {
	// points are place<<32 | index of the node, ascending.
	points []uint64
	// guide holds, for every value of a place's upper bits, where in points
	// to start looking: two to four points per entry, so that a lookup touches
	// one line of each slice however long the ring is.
	guide []uint32
	shift uint
	hash  func(key []byte) uint32
}

// ringKind is how a ring is drawn.
type ringKind struct {
	hash   func(key []byte) uint32
	points func(nodeKey string, n int, add func(place uint32))
}

var (
	xxhashRing = ringKind{xxhashPlace, xxhashPoints}
	crc32Ring  = ringKind{crc32Place, crc32Points}
)

func xxhashPlace(key []byte) uint32 { return uint32(xxhash.Sum64(key) >> 32) }

// xxhashPoints adds the first n points of a node: the two halves of
// xxHash(key + counter). A node of greater weight has all points that it would
// have with a smaller one.
func xxhashPoints(nodeKey string, n int, add func(place uint32)) {
	b := append([]byte(nodeKey), 0, 0, 0, 0)
	for i := 0; i < n; i += 2 {
		binary.LittleEndian.PutUint32(b[len(nodeKey):], uint32(i/2))
		h := xxhash.Sum64(b)
		add(uint32(h >> 32))
		if i+1 < n {
			add(uint32(h))
		}
	}
}

func newRing(nodes []*node.Node, kind ringKind) *ring {
	units := reduce(nodes, maxRingPoints/pointsPerUnit)
	total := 0
	for _, u := range units {
		total += int(u) * pointsPerUnit
	}
	r := &ring{hash: kind.hash, points: make([]uint64, 0, total)}
	for i, n := range nodes {
		kind.points(n.Key, int(units[i])*pointsPerUnit, func(place uint32) {
			r.points = append(r.points, uint64(place)<<32|uint64(i))
		})
	}
	// Two points on one place are ordered by their nodes' keys, so that the
	// order of the node list does not matter.
	slices.SortFunc(r.points, func(a, b uint64) int {
		if c := cmp.Compare(a>>32, b>>32); c != 0 {
			return c
		}
		return strings.Compare(nodes[uint32(a)].Key, nodes[uint32(b)].Key)
	})
	guideBits := uint(bits.Len(uint(max(total/4, 1))))
	r.shift = 32 - guideBits
	r.guide = make([]uint32, 1<<guideBits)
	at := 0
	for i := range r.guide {
		for at < len(r.points) && uint32(r.points[at]>>32) < uint32(i)<<r.shift {
			at++
		}
		r.guide[i] = uint32(at)
	}
	return r
}

// find returns the position in points that a place belongs to.
func (r *ring) find(place uint32) int {
	at := int(r.guide[place>>r.shift])
	for at < len(r.points) {
		if uint32(r.points[at]>>32) >= place {
			return at
		}
		at++
	}
	return 0
}
