package ring

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bufs is a ring of receive buffers that the kernel takes from, first in first
// out. Each has a number of the caller's choice, below the ring's size.
type Bufs struct {
	r     *Ring
	mem   []byte
	mask  uint16
	tail  uint16
	group uint16
}

type bufEntry struct {
	addr uint64
	len  uint32
	bid  uint16
	// In the first entry this is the ring's tail.
	tail uint16
}

// NewBufs registers a ring for n buffers (a power of two up to 32768) as group.
func NewBufs(r *Ring, group uint16, n int) (*Bufs, error) {
	if n <= 0 || n > 1<<15 || n&(n-1) != 0 {
		panic("BUG: a buffer ring's size is a power of two up to 32768")
	}
	mem, err := unix.Mmap(-1, 0, n*int(unsafe.Sizeof(bufEntry{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("mmap of the buffer ring: %w", err)
	}
	reg := bufReg{addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))), entries: uint32(n), group: group}
	if _, e := r.register(registerPbufRing, unsafe.Pointer(&reg), 1); e != 0 {
		_ = unix.Munmap(mem)
		return nil, fmt.Errorf("registering a buffer ring: %w", e)
	}
	return &Bufs{r: r, mem: mem, mask: uint16(n - 1), group: group}, nil
}

func (b *Bufs) entry(i uint16) *bufEntry {
	return (*bufEntry)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b.mem)), uintptr(i&b.mask)*unsafe.Sizeof(bufEntry{})))
}

// Add gives the kernel p as buffer bid; it sees it after Publish. p must stay
// where it is, and untouched, until a completion names bid.
func (b *Bufs) Add(bid uint16, p []byte) {
	e := b.entry(b.tail)
	e.addr, e.len, e.bid = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), uint32(len(p)), bid
	b.tail++
}

// Publish lets the kernel see what was added. It reads the tail inside the
// owner's own Submit and Wait only, so that no barrier is needed.
func (b *Bufs) Publish() { b.entry(0).tail = b.tail }

// Close takes the buffers back. No operation that could use one may be in
// flight.
func (b *Bufs) Close() {
	if b.mem == nil {
		return
	}
	reg := bufReg{group: b.group}
	_, _ = b.r.register(unregisterPbufRing, unsafe.Pointer(&reg), 1)
	_ = unix.Munmap(b.mem)
	b.mem = nil
}
