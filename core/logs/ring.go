package logs

import (
	"encoding/binary"
	"sync/atomic"
)

// ring carries records from one loop to one reader. Positions only grow; the
// place in buf is their remainder. A record is contiguous: where the end of buf
// is too near, a mark sends the reader back to its start.
type ring struct {
	buf []byte
	// seen is what the loop last knew of read.
	seen uint64
	_    [64]byte
	// written is moved by the loop, read by the reader.
	written atomic.Uint64
	dropped atomic.Uint64 // records that found no room
	_       [64]byte
	read    atomic.Uint64
}

const (
	recordHead = 4
	wrapMark   = ^uint32(0)
)

// newRing makes a ring of size bytes, rounded up to whole words of a record.
func newRing(size int) *ring { return &ring{buf: make([]byte, (size+3)&^3)} }

// put copies a record in, or counts it as dropped. It reports whether the ring
// is more than half full.
func (r *ring) put(rec []byte) (half bool) {
	size := uint64(len(r.buf))
	need := uint64(recordHead+len(rec)+3) &^ 3
	at := r.written.Load()
	pos := at % size
	skip := uint64(0)
	if size-pos < need {
		skip = size - pos
	}
	if need > size/2 || at+skip+need-r.seen > size {
		r.seen = r.read.Load()
		if need > size/2 || at+skip+need-r.seen > size {
			r.dropped.Store(r.dropped.Load() + 1)
			return true
		}
	}
	if skip > 0 {
		binary.LittleEndian.PutUint32(r.buf[pos:], wrapMark)
		at, pos = at+skip, 0
	}
	binary.LittleEndian.PutUint32(r.buf[pos:], uint32(len(rec)))
	copy(r.buf[pos+recordHead:], rec)
	r.written.Store(at + need)
	if at+need-r.seen > size/2 {
		r.seen = r.read.Load()
		return at+need-r.seen > size/2
	}
	return false
}

// next returns the oldest record, nil when there is none. It stays valid until
// done.
func (r *ring) next() []byte {
	at, size := r.read.Load(), uint64(len(r.buf))
	for at != r.written.Load() {
		pos := at % size
		n := binary.LittleEndian.Uint32(r.buf[pos:])
		if n != wrapMark {
			return r.buf[pos+recordHead:][:n:n]
		}
		at += size - pos
		r.read.Store(at)
	}
	return nil
}

// done gives the place of the record that next returned back.
func (r *ring) done(rec []byte) { r.read.Add(uint64(recordHead+len(rec)+3) &^ 3) }
