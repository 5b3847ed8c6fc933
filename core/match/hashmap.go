package match

import (
	"hash/maphash"
	"math/bits"
	"unsafe"
)

// hashMap maps strings to values. The zero value is empty. It is a hash array
// mapped trie with 32-way nodes: five bits of the hash a level, entries inside
// the nodes. A change copies the arrays of the three or four nodes on the way
// to its entry.
//
// Looking something up in a large table costs what the memory takes to answer,
// so nodes are small (half a cache line: arrays without length, which the
// bitmaps know) and stand by value in their parent's array, the root in the
// map itself.
type hashMap[V any] struct {
	own     *owner        // of both arrays
	data    *hashEntry[V] // as many as entries has bits
	kids    *hashMap[V]   // as many as nodes has bits
	entries uint32        // which slots hold an entry; beyond lastShift, how many there are
	nodes   uint32        // which slots hold a node
}

type hashEntry[V any] struct {
	hash uint64
	key  string
	val  V
}

const (
	levelBits = 5
	fanout    = 1 << levelBits
	// lastShift is the first shift at which the hash is used up; nodes there
	// are plain lists of entries with equal hashes.
	lastShift = 65
)

func hashBytes(seed maphash.Seed, b []byte) uint64 { return maphash.Bytes(seed, b) }

func hashString(seed maphash.Seed, s string) uint64 { return maphash.String(seed, s) }

// slot is the bit of a hash in the bitmaps of a level.
func slot(hash uint64, shift int) uint32 { return 1 << (hash >> shift & (fanout - 1)) }

// before is how many bits of a bitmap stand before bit.
func before(bitmap, bit uint32) int { return bits.OnesCount32(bitmap & (bit - 1)) }

func (m *hashMap[V]) empty() bool { return m.entries|m.nodes == 0 }

// list returns the entries of a node that is not beyond lastShift.
func (m *hashMap[V]) list() []hashEntry[V] {
	return unsafe.Slice(m.data, bits.OnesCount32(m.entries))
}

// equals returns the entries of a node beyond lastShift.
func (m *hashMap[V]) equals() []hashEntry[V] { return unsafe.Slice(m.data, m.entries) }

func (m *hashMap[V]) below() []hashMap[V] { return unsafe.Slice(m.kids, bits.OnesCount32(m.nodes)) }

func (m *hashMap[V]) setList(s []hashEntry[V]) { m.data = unsafe.SliceData(s) }

func (m *hashMap[V]) setBelow(s []hashMap[V]) { m.kids = unsafe.SliceData(s) }

// get returns the value of key, nil when there is none.
func (m *hashMap[V]) get(hash uint64, key []byte) *V {
	for shift := 0; shift < lastShift; shift += levelBits {
		bit := slot(hash, shift)
		if m.entries&bit != 0 {
			i := before(m.entries, bit)
			e := &unsafe.Slice(m.data, i+1)[i]
			if e.hash == hash && e.key == string(key) {
				return &e.val
			}
			return nil
		}
		if m.nodes&bit == 0 {
			return nil
		}
		i := before(m.nodes, bit)
		m = &unsafe.Slice(m.kids, i+1)[i]
	}
	return find(m.equals(), key)
}

func find[V any, K string | []byte](list []hashEntry[V], key K) *V {
	for i := range list {
		if list[i].key == string(key) {
			return &list[i].val
		}
	}
	return nil
}

// edit returns the value of key for changing it, a new zero value when there
// was none. The pointer is good until the next change of the map.
func (m *hashMap[V]) edit(own *owner, hash uint64, key string) *V {
	for shift := 0; shift < lastShift; shift += levelBits {
		m.writable(own, shift)
		bit := slot(hash, shift)
		i, at := before(m.entries, bit), before(m.nodes, bit)
		switch list := m.list(); {
		case m.nodes&bit != 0:
		case m.entries&bit == 0:
			list = insertAt(list, i, hashEntry[V]{hash: hash, key: key})
			m.entries |= bit
			m.setList(list)
			return &list[i].val
		case list[i].hash == hash && list[i].key == key:
			return &list[i].val
		default:
			// Two keys want the slot: move the one that is there a level down.
			kid := hashMap[V]{own: own, entries: 1}
			if next := shift + levelBits; next < lastShift {
				kid.entries = slot(list[i].hash, next)
			}
			kid.setList([]hashEntry[V]{list[i]})
			kids := insertAt(m.below(), at, kid)
			m.setList(removeAt(list, i))
			m.setBelow(kids)
			m.entries &^= bit
			m.nodes |= bit
		}
		m = &m.below()[at]
	}
	m.writable(own, lastShift)
	list := m.equals()
	if v := find(list, key); v != nil {
		return v
	}
	list = insertAt(list, len(list), hashEntry[V]{hash: hash, key: key})
	m.entries++
	m.setList(list)
	return &list[len(list)-1].val
}

// remove deletes key if it is there.
func (m *hashMap[V]) remove(own *owner, hash uint64, key string) {
	if m.get(hash, []byte(key)) != nil {
		m.without(own, 0, hash, key)
	}
}

func (m *hashMap[V]) without(own *owner, shift int, hash uint64, key string) {
	m.writable(own, shift)
	if shift >= lastShift {
		list := m.equals()
		for i := range list {
			if list[i].key == key {
				m.setList(removeAt(list, i))
				m.entries--
				return
			}
		}
		panic("BUG: a key that was found is not there")
	}
	bit := slot(hash, shift)
	i, at := before(m.entries, bit), before(m.nodes, bit)
	if m.entries&bit != 0 {
		m.setList(removeAt(m.list(), i))
		m.entries &^= bit
		return
	}
	kid := &m.below()[at]
	kid.without(own, shift+levelBits, hash, key)
	if kid.nodes != 0 || kid.size(shift+levelBits) > 1 {
		return
	}
	// A node with a single entry is not worth a level.
	list := insertAt(m.list(), i, *kid.data)
	m.setList(list)
	m.entries |= bit
	m.setBelow(removeAt(m.below(), at))
	m.nodes &^= bit
}

// size is the number of entries in the node itself.
func (m *hashMap[V]) size(shift int) int {
	if shift >= lastShift {
		return int(m.entries)
	}
	return bits.OnesCount32(m.entries)
}

// all calls yield for every entry until it returns false, in no order.
func (m *hashMap[V]) all(yield func(key string, val *V) bool) bool { return m.each(0, yield) }

func (m *hashMap[V]) each(shift int, yield func(key string, val *V) bool) bool {
	list := unsafe.Slice(m.data, m.size(shift))
	for i := range list {
		if !yield(list[i].key, &list[i].val) {
			return false
		}
	}
	kids := m.below()
	for i := range kids {
		if !kids[i].each(shift+levelBits, yield) {
			return false
		}
	}
	return true
}

// writable makes the node's arrays its own.
func (m *hashMap[V]) writable(own *owner, shift int) {
	if m.own == own {
		return
	}
	m.own = own
	m.setList(append([]hashEntry[V](nil), unsafe.Slice(m.data, m.size(shift))...))
	m.setBelow(append([]hashMap[V](nil), m.below()...))
}

// insertAt returns s with v at i. It uses room behind s when there is some, so
// s must not be shared, and grows by one element at most: nodes live long and
// there are many.
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
