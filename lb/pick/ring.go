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

// maxRingPoints bounds a ring: 4 MiB. Weights that would need more points are
// scaled down to it, with at least one unit for each node.
const maxRingPoints = 1 << 20

// ring is a circle of 2^32 places on which every node has points. A key belongs
// to the node of the first point at or behind its own place.
//
// The circle is cut into buckets by the upper bits of a place, two to four
// points each, so a lookup touches one line of guide and one of points however
// long the ring is. Since the bucket gives the upper bits, a point fits 32 bits
// with its node's index: a thousand nodes take 640 KiB, which stays in the
// second-level cache.
type ring struct {
	// points are the lower bits of the place above the index of the node, in
	// the order of places.
	points []uint32
	// guide holds where in points each bucket begins, and their number at the
	// end.
	guide     []uint32
	shift     uint // of a place, to its bucket
	indexBits uint
	hash      func(key []byte) uint32
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
	drawn := draw(nodes, kind)
	guideBits := uint(bits.Len(uint(len(drawn) / 4)))
	r := &ring{
		hash:      kind.hash,
		points:    make([]uint32, len(drawn)),
		guide:     make([]uint32, 1<<guideBits+1),
		shift:     32 - guideBits,
		indexBits: uint(bits.Len(uint(len(nodes) - 1))),
	}
	if r.shift+r.indexBits > 32 {
		panic("BUG: a ring of fewer than 32 points for each node")
	}
	for i, p := range drawn {
		low := uint32(p>>32) & (1<<r.shift - 1)
		r.points[i] = low<<r.indexBits | uint32(p)
	}
	at := 0
	for bucket := range r.guide {
		for at < len(drawn) && int(drawn[at]>>32>>r.shift) < bucket {
			at++
		}
		r.guide[bucket] = uint32(at)
	}
	return r
}

// draw returns the points of a ring in order, each the place above the index of
// the node in 32 bits.
func draw(nodes []*node.Node, kind ringKind) []uint64 {
	units := reduce(nodes, maxRingPoints/pointsPerUnit)
	total := 0
	for _, u := range units {
		total += int(u) * pointsPerUnit
	}
	points := make([]uint64, 0, total)
	for i, n := range nodes {
		kind.points(n.Key, int(units[i])*pointsPerUnit, func(place uint32) {
			points = append(points, uint64(place)<<32|uint64(i))
		})
	}
	// Two points on one place are ordered by their nodes' keys, so that the
	// order of the node list does not matter.
	slices.SortFunc(points, func(a, b uint64) int {
		if c := cmp.Compare(a>>32, b>>32); c != 0 {
			return c
		}
		return strings.Compare(nodes[uint32(a)].Key, nodes[uint32(b)].Key)
	})
	return points
}

// find returns the position in points that a place belongs to.
func (r *ring) find(place uint32) int {
	bucket := place >> r.shift
	at, end := r.guide[bucket], r.guide[bucket+1]
	low := (place & (1<<r.shift - 1)) << r.indexBits
	for at < end && r.points[at] < low {
		at++
	}
	// Past the bucket's last point comes the first of a later bucket.
	if int(at) == len(r.points) {
		return 0
	}
	return int(at)
}

// node returns the index of the node at a position.
func (r *ring) node(pos int) uint32 { return r.points[pos] & (1<<r.indexBits - 1) }
