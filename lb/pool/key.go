// Package pool keeps idle upstream connections for the requests to come.
package pool

import (
	"fmt"
	"net/netip"
	"sync"
)

// Key is what an idle connection must agree with to serve a request: requests
// of different upstreams may share connections whose keys are equal.
type Key struct {
	Scheme string // http, https, grpc, grpcs
	Addr   netip.AddrPort
	// ServerName is the TLS server name, empty without TLS.
	ServerName string
	// Certificate identifies the client certificate, empty for none.
	Certificate string
	// Verify says that the server's certificate was checked. A connection that
	// skipped the check never serves an upstream that asks for it.
	Verify bool
}

// ID is a Key's number. Requests find connections by it without hashing the
// key. The lower half is an index, which is given out again when its key is
// gone; the upper half tells one owner of the index from the next. The zero ID
// belongs to no key.
type ID int64

func (id ID) index() uint32      { return uint32(id) }
func (id ID) generation() uint32 { return uint32(id >> 32) }

// Keys numbers keys, for the thread that builds configuration. All pools of the
// host use the numbers of one Keys.
type Keys struct {
	mu         sync.Mutex
	byKey      map[Key]*entry
	byIndex    []*entry // nil where the index is free
	free       []uint32
	generation uint32
}

type entry struct {
	key  Key
	id   ID
	refs int
}

// NewKeys returns an empty numbering.
func NewKeys() *Keys { return &Keys{byKey: make(map[Key]*entry)} }

// Acquire returns the number of a key and counts one more use of it. Each call
// is followed by one Release, when the configuration that asked is gone.
func (k *Keys) Acquire(key Key) ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.byKey[key]
	if e == nil {
		index := uint32(len(k.byIndex))
		if n := len(k.free); n > 0 {
			index, k.free = k.free[n-1], k.free[:n-1]
		} else {
			k.byIndex = append(k.byIndex, nil)
		}
		k.generation++
		e = &entry{key: key, id: ID(k.generation)<<32 | ID(index)}
		k.byKey[key], k.byIndex[index] = e, e
	}
	e.refs++
	return e.id
}

// Release takes a use of a number back. Pools close the connections of a number
// without users when its index is used again, or when they time out.
func (k *Keys) Release(id ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entry(id)
	if e == nil {
		panic(fmt.Sprintf("BUG: pool key %#x was released more often than acquired", int64(id)))
	}
	if e.refs--; e.refs > 0 {
		return
	}
	delete(k.byKey, e.key)
	k.byIndex[id.index()] = nil
	k.free = append(k.free, id.index())
}

// Key returns the key of a number, and false when the number is no longer used.
func (k *Keys) Key(id ID) (Key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.entry(id); e != nil {
		return e.key, true
	}
	return Key{}, false
}

// Len returns how many keys are in use.
func (k *Keys) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byKey)
}

func (k *Keys) entry(id ID) *entry {
	if i := int(id.index()); i < len(k.byIndex) {
		if e := k.byIndex[i]; e != nil && e.id == id {
			return e
		}
	}
	return nil
}
