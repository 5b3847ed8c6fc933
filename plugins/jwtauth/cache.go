package jwtauth

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

const (
	// maxTokens is how many verified tokens all routes of a gateway remember
	// together.
	maxTokens = 1 << 14
	// maxTokenSize bounds what one of them may take; longer ones are verified
	// every time.
	maxTokenSize = 4 << 10
	// ways is in how many places a token may be.
	ways = 4
)

// cache remembers tokens whose signatures are good. All loops read and write it
// without a lock: a place holds a pointer to an immutable token, and when two
// write at once one of the tokens is forgotten.
type cache struct {
	seed maphash.Seed
	sets [][ways]atomic.Pointer[token]
}

func newCache(n int) *cache {
	return &cache{seed: maphash.MakeSeed(), sets: make([][ways]atomic.Pointer[token], n/ways)}
}

func (c *cache) hash(raw []byte) uint64 { return maphash.Bytes(c.seed, raw) }

// find returns a remembered token. Tokens are only compared when their keyed
// hashes of 64 bits are equal, so that the time tells nothing of how much of a
// guessed token is right.
func (c *cache) find(hash uint64, raw []byte, claim string) *token {
	set := &c.sets[hash&uint64(len(c.sets)-1)]
	for i := range set {
		if t := set[i].Load(); t != nil && t.hash == hash && t.claim == claim && bytes.Equal(t.raw, raw) {
			return t
		}
	}
	return nil
}

// put remembers a token in a free place, that of one which has expired by now,
// or any.
func (c *cache) put(hash uint64, t *token, now int64) {
	if len(t.raw) > maxTokenSize {
		return
	}
	t.hash = hash
	set := &c.sets[hash&uint64(len(c.sets)-1)]
	at := int(hash >> 60 % ways)
	for i := range set {
		old := set[i].Load()
		if old == nil || old.hash == hash && bytes.Equal(old.raw, t.raw) && old.claim == t.claim {
			at = i
			break
		}
		if old.exp > 0 && old.exp+old.by.grace < now {
			at = i
		}
	}
	set[at].Store(t)
}
