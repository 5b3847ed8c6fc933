package match

import (
	"hash/maphash"
	"math/bits"
)

// The map is a hash array mapped trie: 64-way nodes, six bits of the hash a
// level, entries inside the nodes. A change copies the three or four nodes on
// the way to its entry.
const (
	levelBits = 6
	levelMask = 1<<levelBits - 1
	// lastShift is the first shift at which the hash is used up; nodes there
	// are plain lists of entries with equal hashes.
	lastShift = 66
)

type hashMap[V any] struct {
	root *hashNode[V]
	n    int
}

type hashNode[V any] struct {
	own     *owner
	entries uint64 // which slots of the node hold an entry
	nodes   uint64 // which hold a node
	data    []hashEntry[V]
	kids    []*hashNode[V]
}

type hashEntry[V any] struct {
	hash uint64
	key  string
	val  V
}

func hashBytes(seed maphash.Seed, b []byte) uint64 { return maphash.Bytes(seed, b) }

func hashString(seed maphash.Seed, s string) uint64 { return maphash.String(seed, s) }

// get returns the value of key, nil when there is none.
func (m *hashMap[V]) get(hash uint64, key []byte) *V {
	n := m.root
	for shift := 0; n != nil; shift += levelBits {
		if shift >= lastShift {
			for i := range n.data {
				if n.data[i].key == string(key) {
					return &n.data[i].val
				}
			}
			return nil
		}
		bit := uint64(1) << (hash >> shift & levelMask)
		if n.entries&bit != 0 {
			e := &n.data[bits.OnesCount64(n.entries&(bit-1))]
			if e.hash == hash && e.key == string(key) {
				return &e.val
			}
			return nil
		}
		if n.nodes&bit == 0 {
			return nil
		}
		n = n.kids[bits.OnesCount64(n.nodes&(bit-1))]
	}
	return nil
}

// edit returns the value of key for changing it, a new zero value when there
// was none. The pointer is good until the next change of the map.
func (m *hashMap[V]) edit(own *owner, hash uint64, key string) *V {
	if m.root == nil {
		m.root = &hashNode[V]{own: own}
	}
	m.root = m.root.writable(own)
	n := m.root
	for shift := 0; ; shift += levelBits {
		if shift >= lastShift {
			for i := range n.data {
				if n.data[i].key == key {
					return &n.data[i].val
				}
			}
			n.data = append(n.data, hashEntry[V]{hash: hash, key: key})
			m.n++
			return &n.data[len(n.data)-1].val
		}
		bit := uint64(1) << (hash >> shift & levelMask)
		at := bits.OnesCount64(n.nodes & (bit - 1))
		switch {
		case n.nodes&bit != 0:
			n.kids[at] = n.kids[at].writable(own)
			n = n.kids[at]
			continue
		case n.entries&bit == 0:
			i := bits.OnesCount64(n.entries & (bit - 1))
			n.entries |= bit
			n.data = insertAt(n.data, i, hashEntry[V]{hash: hash, key: key})
			m.n++
			return &n.data[i].val
		}
		i := bits.OnesCount64(n.entries & (bit - 1))
		if e := &n.data[i]; e.hash == hash && e.key == key {
			return &e.val
		}
		// Two keys want the slot: move the one that is there a level down.
		kid := &hashNode[V]{own: own}
		if next := shift + levelBits; next < lastShift {
			kid.entries = 1 << (n.data[i].hash >> next & levelMask)
		}
		kid.data = append(kid.data, n.data[i])
		n.data = removeAt(n.data, i)
		n.entries &^= bit
		n.nodes |= bit
		n.kids = insertAt(n.kids, at, kid)
		n = kid
	}
}

// remove deletes key if it is there.
func (m *hashMap[V]) remove(own *owner, hash uint64, key string) {
	if m.get(hash, []byte(key)) == nil {
		return
	}
	m.n--
	m.root = m.root.without(own, 0, hash, key)
	if m.n == 0 {
		m.root = nil
	}
}

func (n *hashNode[V]) without(own *owner, shift int, hash uint64, key string) *hashNode[V] {
	n = n.writable(own)
	if shift >= lastShift {
		for i := range n.data {
			if n.data[i].key == key {
				n.data = removeAt(n.data, i)
				break
			}
		}
		return n
	}
	bit := uint64(1) << (hash >> shift & levelMask)
	if n.entries&bit != 0 {
		n.data = removeAt(n.data, bits.OnesCount64(n.entries&(bit-1)))
		n.entries &^= bit
		return n
	}
	at := bits.OnesCount64(n.nodes & (bit - 1))
	kid := n.kids[at].without(own, shift+levelBits, hash, key)
	if len(kid.kids) > 0 || len(kid.data) > 1 {
		n.kids[at] = kid
		return n
	}
	// A node with a single entry is not worth a level.
	n.kids = removeAt(n.kids, at)
	n.nodes &^= bit
	n.data = insertAt(n.data, bits.OnesCount64(n.entries&(bit-1)), kid.data[0])
	n.entries |= bit
	return n
}

// all calls yield for every entry until it returns false, in no order.
func (m *hashMap[V]) all(yield func(key string, val *V) bool) bool {
	return m.root == nil || m.root.all(yield)
}

func (n *hashNode[V]) all(yield func(key string, val *V) bool) bool {
	for i := range n.data {
		if !yield(n.data[i].key, &n.data[i].val) {
			return false
		}
	}
	for _, k := range n.kids {
		if !k.all(yield) {
			return false
		}
	}
	return true
}

// writable returns n if own made it, else a copy.
func (n *hashNode[V]) writable(own *owner) *hashNode[V] {
	if n.own == own {
		return n
	}
	c := *n
	c.own = own
	c.data = append([]hashEntry[V](nil), n.data...)
	c.kids = append([]*hashNode[V](nil), n.kids...)
	return &c
}

// insertAt grows s by exactly one element: nodes live long and there are many.
func insertAt[T any](s []T, i int, v T) []T {
	if len(s) < cap(s) {
		s = s[:len(s)+1]
		copy(s[i+1:], s[i:])
		s[i] = v
		return s
	}
	out := make([]T, len(s)+1)
	copy(out, s[:i])
	out[i] = v
	copy(out[i+1:], s[i:])
	return out
}

// removeAt takes element i out of s, which must not be shared.
func removeAt[T any](s []T, i int) []T {
	copy(s[i:], s[i+1:])
	clear(s[len(s)-1:])
	return s[:len(s)-1]
}
