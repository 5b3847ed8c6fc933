// Package ring is a thin layer over io_uring's system calls: one submission
// and completion queue of one thread, and a ring of receive buffers.
//
// It knows nothing of sockets or tasks. A Ring is used from one thread only,
// the one that called Enable; it never allocates after New.
package ring

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ring is one io_uring instance: completions are worked off only inside the
// owner's own Submit and Wait calls (deferred task work), so that nothing
// touches its memory, or the buffers it was given, at any other time.
type Ring struct {
	fd         int
	enterFD    uintptr // fd, or its index once registered with the thread
	enterFlags uintptr

	sqHead, sqTail, sqFlags *uint32
	sqMask, sqEntries       uint32
	tail                    uint32 // of the entries handed out
	sqes                    unsafe.Pointer

	cqHead, cqTail *uint32
	cqMask         uint32
	cqes           unsafe.Pointer

	arg struct {
		sigmask, pad uint64 // sigmask 0: unchanged
		ts           uint64
	}
	ts  unix.Timespec
	reg rsrcUpdate

	rings, entries []byte // the two mappings
}

// Features that every Ring is made with. All of them exist since Linux 6.1.
const setupFlags = setupSubmitAll | setupClamp | setupCQSize | setupRDisabled |
	setupTaskrunFlag | setupSingleIssuer | setupDeferTaskrun

// New makes a ring with room for at least sq entries to submit and cq
// completions. It is disabled until Enable.
func New(sq, cq uint32) (*Ring, error) {
	p := params{cqEntries: cq, flags: setupFlags | setupNoSQArray}
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(sq), uintptr(unsafe.Pointer(&p)), 0)
	identity := false
	if e == unix.EINVAL {
		// Before Linux 6.6 entries are submitted through an index array.
		p = params{cqEntries: cq, flags: setupFlags}
		fd, _, e = unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(sq), uintptr(unsafe.Pointer(&p)), 0)
		identity = true
	}
	if e != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w%s", e, remedy(e))
	}
	r := &Ring{fd: int(fd), enterFD: fd}
	const need = featSingleMmap | featNoDrop | featExtArg | featCQESkip
	if p.features&need != need {
		r.Close()
		return nil, fmt.Errorf("io_uring lacks features: has %#x, needs %#x", p.features, need)
	}
	if err := r.mmap(&p, identity); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// remedy says what to do about a refused io_uring_setup.
func remedy(e unix.Errno) string {
	switch e {
	case unix.ENOSYS:
		return " (the kernel has no io_uring, or a seccomp profile hides it)"
	case unix.EPERM:
		return " (forbidden: see sysctl kernel.io_uring_disabled, and the container's seccomp profile)"
	case unix.EINVAL:
		return " (needs Linux 6.1)"
	case unix.ENOMEM:
		return " (raise the limit of locked memory, RLIMIT_MEMLOCK)"
	}
	return ""
}

func (r *Ring) mmap(p *params, identity bool) error {
	size := max(p.sqOff.array+p.sqEntries*4, p.cqOff.cqes+p.cqEntries*uint32(unsafe.Sizeof(CQE{})))
	var err error
	r.rings, err = unix.Mmap(r.fd, offSQRing, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("mmap of the rings: %w", err)
	}
	r.entries, err = unix.Mmap(r.fd, offSQEs, int(p.sqEntries)*int(unsafe.Sizeof(SQE{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("mmap of the submission entries: %w", err)
	}
	base := unsafe.Pointer(unsafe.SliceData(r.rings))
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Add(base, off)) }
	r.sqHead, r.sqTail, r.sqFlags = word(p.sqOff.head), word(p.sqOff.tail), word(p.sqOff.flags)
	r.sqMask, r.sqEntries = *word(p.sqOff.ringMask), p.sqEntries
	r.sqes = unsafe.Pointer(unsafe.SliceData(r.entries))
	r.cqHead, r.cqTail, r.cqMask = word(p.cqOff.head), word(p.cqOff.tail), *word(p.cqOff.ringMask)
	r.cqes = unsafe.Add(base, p.cqOff.cqes)
	r.tail = *r.sqTail
	if identity {
		for i := range p.sqEntries {
			*word(p.sqOff.array + i*4) = i
		}
	}
	return nil
}

// Enable makes the calling thread the ring's owner. The caller has locked its
// goroutine to it.
func (r *Ring) Enable() error {
	if _, e := r.register(registerEnableRings, nil, 0); e != 0 {
		return fmt.Errorf("enabling the ring: %w", e)
	}
	// A descriptor that the thread has registered is looked up for less on
	// every enter. Only a thread's 16 first rings can be.
	r.reg = rsrcUpdate{offset: ^uint32(0), data: uint64(r.fd)}
	if n, e := r.register(registerRingFDs, unsafe.Pointer(&r.reg), 1); e == 0 && n == 1 {
		r.enterFD, r.enterFlags = uintptr(r.reg.offset), enterRegisteredRing
	}
	return nil
}

// Close ends the ring. Operations in flight are cancelled by the kernel in the
// background: it may still read or write the memory of those that had begun.
func (r *Ring) Close() {
	if r.enterFlags != 0 {
		_, _ = r.register(unregisterRingFDs, unsafe.Pointer(&r.reg), 1)
		r.enterFlags = 0
	}
	if r.entries != nil {
		_ = unix.Munmap(r.entries)
		r.entries = nil
	}
	if r.rings != nil {
		_ = unix.Munmap(r.rings)
		r.rings = nil
	}
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}

func (r *Ring) register(op uintptr, arg unsafe.Pointer, n uintptr) (uintptr, unix.Errno) {
	v, _, e := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), op, uintptr(arg), n, 0, 0)
	return v, e
}

// Get hands out the next submission entry, zeroed, or nil when the queue is
// full. It is submitted by the next Submit or Wait.
func (r *Ring) Get() *SQE {
	if r.tail-atomic.LoadUint32(r.sqHead) >= r.sqEntries {
		return nil
	}
	e := (*SQE)(unsafe.Add(r.sqes, uintptr(r.tail&r.sqMask)*unsafe.Sizeof(SQE{})))
	r.tail++
	*e = SQE{}
	return e
}

// Space is how many entries Get can still hand out.
func (r *Ring) Space() uint32 { return r.sqEntries - (r.tail - atomic.LoadUint32(r.sqHead)) }

// Unsubmitted is how many entries were handed out and not yet taken by the
// kernel.
func (r *Ring) Unsubmitted() uint32 { return r.tail - atomic.LoadUint32(r.sqHead) }

// Pressing tells whether the kernel has work that only a Submit or Wait lets
// it do: completions to post, or such that had no room.
func (r *Ring) Pressing() bool {
	return atomic.LoadUint32(r.sqFlags)&(sqTaskrun|sqCQOverflow) != 0
}

// Overflown tells whether completions are waiting for room in the queue.
func (r *Ring) Overflown() bool { return atomic.LoadUint32(r.sqFlags)&sqCQOverflow != 0 }

// Submit hands the entries to the kernel and collects completions, without
// waiting. The Go scheduler is not told.
func (r *Ring) Submit() unix.Errno {
	atomic.StoreUint32(r.sqTail, r.tail)
	n := r.tail - atomic.LoadUint32(r.sqHead)
	_, _, e := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, r.enterFD, uintptr(n), 0, enterGetEvents|r.enterFlags, 0, 0)
	return e
}

// Wait submits and then sleeps until a completion comes, for at most ns
// nanoseconds, with the Go scheduler told. ETIME says that the time is over.
func (r *Ring) Wait(ns int64) unix.Errno {
	n := r.prepareWait(ns)
	_, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, r.enterFD, uintptr(n), 1, enterGetEvents|enterExtArg|r.enterFlags,
		uintptr(unsafe.Pointer(&r.arg)), unsafe.Sizeof(r.arg))
	return e
}

// Nap is Wait without telling the scheduler: for short times.
func (r *Ring) Nap(ns int64) unix.Errno {
	n := r.prepareWait(ns)
	_, _, e := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, r.enterFD, uintptr(n), 1, enterGetEvents|enterExtArg|r.enterFlags,
		uintptr(unsafe.Pointer(&r.arg)), unsafe.Sizeof(r.arg))
	return e
}

func (r *Ring) prepareWait(ns int64) uint32 {
	atomic.StoreUint32(r.sqTail, r.tail)
	r.ts = unix.NsecToTimespec(ns)
	r.arg.ts = uint64(uintptr(unsafe.Pointer(&r.ts)))
	return r.tail - atomic.LoadUint32(r.sqHead)
}

// Completions gives the positions of the completions that are there: from head
// up to, not including, tail.
func (r *Ring) Completions() (head, tail uint32) {
	return *r.cqHead, atomic.LoadUint32(r.cqTail)
}

// Idle tells whether no completion is there.
func (r *Ring) Idle() bool { return *r.cqHead == atomic.LoadUint32(r.cqTail) }

// At is the completion at a position that Completions gave.
func (r *Ring) At(pos uint32) *CQE {
	return (*CQE)(unsafe.Add(r.cqes, uintptr(pos&r.cqMask)*unsafe.Sizeof(CQE{})))
}

// Seen gives the completions before pos back to the kernel.
func (r *Ring) Seen(pos uint32) { atomic.StoreUint32(r.cqHead, pos) }
