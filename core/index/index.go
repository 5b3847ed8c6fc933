// Package index finds values by byte strings while one writer changes them:
// readers take no lock, allocate nothing and see every entry either whole or
// not at all.
package index

import (
	"crypto/subtle"
	"hash/maphash"
	"sync/atomic"
)

// Table maps keys to values. A change replaces one short chain of immutable
// entries; nothing that a reader may hold is written again. Get may be called
// from any goroutine, everything else from one at a time. Make one with New.
//
// The directory of chains is twice as large after every doubling of the number
// of entries and never shrinks: an entry costs 40 bytes, its value and about
// 12 bytes of directory.
type Table[V any] struct {
	seed maphash.Seed
	dir  atomic.Pointer[directory[V]]
	n    int
}

// directory holds the chains, a power of two of them.
type directory[V any] struct {
	mask   uint64
	chains []atomic.Pointer[entry[V]]
}

type entry[V any] struct {
	hash uint64
	key  string
	next *entry[V]
	val  V
}

// firstChains is the size of a new directory.
const firstChains = 8

// New returns an empty table.
func New[V any]() *Table[V] {
	t := &Table[V]{seed: maphash.MakeSeed()}
	t.dir.Store(newDirectory[V](firstChains))
	return t
}

func newDirectory[V any](n int) *directory[V] {
	return &directory[V]{mask: uint64(n - 1), chains: make([]atomic.Pointer[entry[V]], n)}
}

// Get returns the value of key, nil when there is none. The value must not be
// changed; it stays good after the key was removed. The time does not depend on
// how much of a wrong key is right: the hash is keyed, and what it does not
// tell apart is compared in constant time.
func (t *Table[V]) Get(key []byte) *V {
	h := maphash.Bytes(t.seed, key)
	d := t.dir.Load()
	for e := d.chains[h&d.mask].Load(); e != nil; e = e.next {
		if e.hash == h && len(e.key) == len(key) && equal(e.key, key) {
			return &e.val
		}
	}
	return nil
}

// GetString is Get for a string.
func (t *Table[V]) GetString(key string) *V { return t.Get(bytesOf(key)) }

// Set puts a value in the place of the key's former one.
func (t *Table[V]) Set(key string, val V) {
	h := maphash.String(t.seed, key)
	d := t.dir.Load()
	slot := &d.chains[h&d.mask]
	rest, found := without(slot.Load(), h, key)
	slot.Store(&entry[V]{hash: h, key: key, next: rest, val: val})
	if found {
		return
	}
	if t.n++; t.n > len(d.chains) {
		t.grow(d)
	}
}

// Delete removes a key and tells whether it was there.
func (t *Table[V]) Delete(key string) bool {
	h := maphash.String(t.seed, key)
	d := t.dir.Load()
	slot := &d.chains[h&d.mask]
	rest, found := without(slot.Load(), h, key)
	if found {
		slot.Store(rest)
		t.n--
	}
	return found
}

// Len is the number of keys.
func (t *Table[V]) Len() int { return t.n }

// All calls yield for every entry, in no order, until it returns false.
func (t *Table[V]) All(yield func(key string, val *V) bool) {
	d := t.dir.Load()
	for i := range d.chains {
		for e := d.chains[i].Load(); e != nil; e = e.next {
			if !yield(e.key, &e.val) {
				return
			}
		}
	}
}

// without returns the chain less the key. What stands behind the key is shared
// with the old chain, what stands before it is copied.
func without[V any](e *entry[V], h uint64, key string) (rest *entry[V], found bool) {
	at := e
	for at != nil && (at.hash != h || at.key != key) {
		at = at.next
	}
	if at == nil {
		return e, false
	}
	rest = at.next
	for ; e != at; e = e.next {
		c := *e
		c.next = rest
		rest = &c
	}
	return rest, true
}

// grow publishes a directory twice as large. Readers finish in the old one,
// which does not change any more.
func (t *Table[V]) grow(old *directory[V]) {
	d := newDirectory[V](2 * len(old.chains))
	for i := range old.chains {
		for e := old.chains[i].Load(); e != nil; e = e.next {
			slot := &d.chains[e.hash&d.mask]
			c := *e
			c.next = slot.Load()
			slot.Store(&c)
		}
	}
	t.dir.Store(d)
}

func equal(a string, b []byte) bool {
	return subtle.ConstantTimeCompare(bytesOf(a), b) == 1
}
