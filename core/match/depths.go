package match

import "math/bits"

// depths counts keys by how many separators they have, so that a lookup only
// probes the depths at which there are keys: a client that sends a path of a
// thousand segments must not cause a thousand probes.
type depths struct {
	mask   uint64 // which depths have keys; the last bit stands for maxDepth and more
	counts *depthCounts
}

type depthCounts struct {
	own *owner
	n   [maxDepth + 1]uint32
}

// maxDepth is the last depth that is counted by itself. No real key comes near
// it.
const maxDepth = 15

func (d *depths) has(depth int) bool { return d.mask>>min(depth, maxDepth)&1 != 0 }

// deepest is the highest depth with keys; -1 without keys, and no limit when
// there are some beyond maxDepth.
func (d *depths) deepest() int {
	n := bits.Len64(d.mask) - 1
	if n == maxDepth {
		return int(^uint(0) >> 1)
	}
	return n
}

func (d *depths) change(own *owner, depth, by int) {
	switch {
	case d.counts == nil:
		d.counts = &depthCounts{own: own}
	case d.counts.own != own:
		c := *d.counts
		c.own = own
		d.counts = &c
	}
	depth = min(depth, maxDepth)
	d.counts.n[depth] += uint32(by)
	if d.counts.n[depth] == 0 {
		d.mask &^= 1 << depth
	} else {
		d.mask |= 1 << depth
	}
	if d.mask == 0 {
		d.counts = nil
	}
}
