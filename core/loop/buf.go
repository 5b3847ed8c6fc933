package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// BufSize is the payload capacity of a Buf. Receive buffers decide how many
// packets a large response leaves in: 64 KiB lets a 16 KiB body go out in one
// piece together with its head.
const BufSize = 64 << 10

// headroom is kept free in front of received bytes, so that a rewritten
// response head that grew can be put before the body without moving it.
const headroom = 1 << 10

// maxFreeMem bounds how much unused memory for buffers a loop keeps that is not
// of its arena (4 MiB). More than that exists only while it is in use.
const maxFreeMem = 64

// Buf is a loop's receive or send buffer. Whoever holds it owns it: it is
// handed on or given back (PutBuf) exactly once. It has memory from its first
// byte on: what waits with an empty one holds none.
type Buf struct {
	mem      []byte
	off, end int
	l        *Loop
	next     *Buf
	free     bool
	view     bool  // mem is not ours: see Conn.lendRing
	lender   *Task // that waits until the kernel is done with a view
}

// GetBuf takes an empty buffer.
func (l *Loop) GetBuf() *Buf {
	b := l.freeBufs
	if b == nil {
		b = &Buf{l: l}
	} else {
		l.freeBufs = b.next
	}
	b.next, b.free = nil, false
	b.off, b.end = headroom, headroom
	return b
}

// GetBufSize takes a buffer with room for n bytes. Beyond BufSize it gets memory
// of its own, which is not kept when it is given back.
func (l *Loop) GetBufSize(n int) *Buf {
	b := l.GetBuf()
	if n > BufSize {
		b.mem = make([]byte, headroom+n)
	}
	return b
}

// PutBuf gives a buffer back. Nil is allowed.
func (l *Loop) PutBuf(b *Buf) {
	if b == nil {
		return
	}
	if b.free {
		panic("BUG: buffer released twice")
	}
	b.free = true
	if b.mem != nil {
		poison(b.mem)
		l.putMem(b.mem)
		b.mem = nil
	}
	b.next = l.freeBufs
	l.freeBufs = b
}

// grow gives b its memory.
func (b *Buf) grow() {
	if b.mem == nil {
		b.mem = b.l.getMem()
	}
}

// getMem takes memory for a buffer. LIFO, so that what was used last, and is
// still in the cache, is used next.
func (l *Loop) getMem() []byte {
	if last := len(l.freeMem) - 1; last >= 0 {
		m := l.freeMem[last]
		l.freeMem[last] = nil
		l.freeMem = l.freeMem[:last]
		return m
	}
	if m := l.arena.take(); m != nil {
		return m
	}
	return make([]byte, headroom+BufSize)
}

func (l *Loop) putMem(m []byte) {
	if len(m) == headroom+BufSize && (len(l.freeMem) < maxFreeMem || l.arena.has(m)) {
		l.freeMem = append(l.freeMem, m)
	}
}

// arenaBufs is how many buffers lie in a loop's arena, 32 MiB. Further ones
// come from the heap.
const arenaBufs = 512

// arena is memory outside the heap for most of a loop's buffers. What lies in
// it is known to stay where it is, unlike a slice that may be of a stack, so
// that the kernel may be shown it without a copy. The zero value is empty.
type arena struct {
	mem  []byte
	used int
}

// make maps the arena. Pages take memory once they are used.
func (a *arena) make() {
	mem, err := unix.Mmap(-1, 0, arenaBufs*(headroom+BufSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err == nil {
		a.mem = mem
	}
}

func (a *arena) take() []byte {
	const size = headroom + BufSize
	if a.used+size > len(a.mem) {
		return nil
	}
	m := a.mem[a.used : a.used+size : a.used+size]
	a.used += size
	return m
}

// drop gives the memory back to the system. It stays mapped: whoever still
// looks at it sees zeros.
func (a *arena) drop() {
	if len(a.mem) > 0 {
		_ = unix.Madvise(a.mem, unix.MADV_DONTNEED)
	}
}

// has tells whether p lies in the arena.
func (a *arena) has(p []byte) bool {
	base := uintptr(unsafe.Pointer(unsafe.SliceData(a.mem)))
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))-base < uintptr(len(a.mem))
}

// Bytes is the content, valid as long as the buffer is held.
func (b *Buf) Bytes() []byte {
	if b.off == b.end {
		return nil
	}
	return b.mem[b.off:b.end]
}

// Len is the content's length.
func (b *Buf) Len() int { return b.end - b.off }

// Consume drops n bytes from the front.
func (b *Buf) Consume(n int) {
	if n > b.end-b.off {
		panic("BUG: consumed more than the buffer holds")
	}
	b.off += n
}

// Truncate keeps the first n bytes of the content.
func (b *Buf) Truncate(n int) { b.end = b.off + n }

// Room is how many bytes fit in front of the content.
func (b *Buf) Room() int { return b.off }

// Prepend puts p in front of the content. The caller has checked Room.
func (b *Buf) Prepend(p []byte) {
	b.grow()
	b.off -= len(p)
	copy(b.mem[b.off:], p)
}

// Tail is the free space behind the content; Extend says how much of it was
// filled.
func (b *Buf) Tail() []byte {
	b.grow()
	return b.mem[b.end:]
}

// full tells whether Tail would be empty.
func (b *Buf) full() bool { return b.mem != nil && b.end == len(b.mem) }

// Extend adds n bytes of Tail to the content.
func (b *Buf) Extend(n int) {
	b.grow()
	b.end += n
}

// Append copies as much of p as fits behind the content and returns how much
// that was.
func (b *Buf) Append(p []byte) int {
	b.grow()
	n := copy(b.mem[b.end:], p)
	b.end += n
	return n
}

// Reset empties the buffer and restores its headroom.
func (b *Buf) Reset() { b.off, b.end = headroom, headroom }
