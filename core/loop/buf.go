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

// maxFreeBufs bounds how many unused buffers a loop keeps (4 MiB). More than
// that exist only while as many requests hold one.
const maxFreeBufs = 64

// Buf is a loop's receive or send buffer. Whoever holds it owns it: it is
// handed on (Send) or given back (Release) exactly once.
type Buf struct {
	mem      []byte
	off, end int
	next     *Buf
	free     bool
	view     bool  // mem is not ours: see Conn.lendRing
	lender   *Task // that waits until the kernel is done with a view
}

// GetBuf takes an empty buffer. LIFO, so that the one last used, which is
// still in the cache, is used next.
func (l *Loop) GetBuf() *Buf {
	b := l.freeBufs
	if b == nil {
		b = &Buf{mem: l.newMem()}
	} else {
		l.freeBufs = b.next
		l.nFreeBufs--
	}
	b.next, b.free = nil, false
	b.off, b.end = headroom, headroom
	return b
}

// GetBufSize takes a buffer with room for n bytes. Beyond BufSize it gets memory
// of its own, which is not kept when it is given back.
func (l *Loop) GetBufSize(n int) *Buf {
	if n <= BufSize {
		return l.GetBuf()
	}
	return &Buf{mem: make([]byte, headroom+n), off: headroom, end: headroom}
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
	poison(b.mem)
	if len(b.mem) != headroom+BufSize || (l.nFreeBufs >= maxFreeBufs && !l.arena.has(b.mem)) {
		return
	}
	b.next = l.freeBufs
	l.freeBufs = b
	l.nFreeBufs++
}

// newMem is memory for a buffer.
func (l *Loop) newMem() []byte {
	if m := l.arena.take(); m != nil {
		return m
	}
	return make([]byte, headroom+BufSize)
}

// arenaBufs is how many buffers lie in a loop's arena, 16 MiB. Further ones
// come from the heap.
const arenaBufs = 256

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

// has tells whether p lies in the arena.
func (a *arena) has(p []byte) bool {
	base := uintptr(unsafe.Pointer(unsafe.SliceData(a.mem)))
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))-base < uintptr(len(a.mem))
}

// Bytes is the content, valid as long as the buffer is held.
func (b *Buf) Bytes() []byte { return b.mem[b.off:b.end] }

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
	b.off -= len(p)
	copy(b.mem[b.off:], p)
}

// Tail is the free space behind the content; Extend says how much of it was
// filled.
func (b *Buf) Tail() []byte { return b.mem[b.end:] }

// Extend adds n bytes of Tail to the content.
func (b *Buf) Extend(n int) { b.end += n }

// Append copies as much of p as fits behind the content and returns how much
// that was.
func (b *Buf) Append(p []byte) int {
	n := copy(b.mem[b.end:], p)
	b.end += n
	return n
}

// Reset empties the buffer and restores its headroom.
func (b *Buf) Reset() { b.off, b.end = headroom, headroom }
