package loop

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// uring is the io_uring engine of one loop. Operations are not submitted where
// they are asked for: what a connection wants stands in its record (sock), and
// flush turns it into entries at the end of the turn, which one call submits.
type uring struct {
	l    *Loop
	ring *ring.Ring
	ring.Features

	socks  []*sock
	spare  *sock
	gen    uint32
	dirty  sockList // those that want something
	flying int      // operations whose last completion has not come

	sends []*sock // whose send is taken for done unless a completion says otherwise
	eager bool    // and whose end somebody waits for

	rx      *ring.Bufs
	lent    []*Buf   // by number: lent to the kernel for receiving
	bids    []uint16 // free numbers
	nLent   int
	depth   int   // how many are to be lent
	low     int   // the fewest that were, since adapt
	short   bool  // they did not suffice in this turn
	adaptAt int64 // when depth is looked at again

	views    *Buf // spare headers of lent-out memory, see Conn.sendRing
	dials    *dialAddr
	closing  sockList // closed, with bytes still to send, oldest first; linked by nextOld
	stopping bool
}

const (
	sqEntries = 1024
	cqEntries = 8192
	// maxDepth bounds the receive buffers that the kernel holds: 64 MiB when
	// every one of them was filled once.
	maxDepth = 1024
	minDepth = 32
	// adaptEvery is how long buffers must have been plenty before fewer are
	// lent.
	adaptEvery = int64(2 * time.Second)
)

// probeRing tells what the kernel offers; tests replace it.
var probeRing = ring.Probe

// newUring sets an engine up. It is enabled by the loop's own thread.
func newUring(l *Loop, sq, cq uint32) (*uring, error) {
	offers, err := probeRing()
	if err != nil {
		return nil, err
	}
	r, err := ring.New(sq, cq)
	if err != nil {
		return nil, err
	}
	u := &uring{l: l, ring: r, Features: offers, depth: minDepth, low: minDepth, lent: make([]*Buf, maxDepth)}
	if u.rx, err = ring.NewBufs(r, 0, maxDepth); err != nil {
		r.Close()
		return nil, err
	}
	u.bids = make([]uint16, 0, maxDepth)
	for i := range maxDepth {
		u.bids = append(u.bids, uint16(maxDepth-1-i))
	}
	return u, nil
}

// start makes the calling thread the engine's.
func (u *uring) start() error {
	if err := u.ring.Enable(); err != nil {
		return fmt.Errorf("loop %d: io_uring: %w", u.l.ID, err)
	}
	u.watchWake()
	return nil
}

// What a completion belongs to stands in its user data: the kind of operation,
// the generation and the index of the sock.
const (
	opNone uint8 = iota // nobody waits for it
	opRecv
	opSend
	opConnect
	opAccept
	opCancel
	opWake
)

const genMask = 1<<24 - 1

func userData(op uint8, gen, idx uint32) uint64 {
	return uint64(op)<<56 | uint64(gen&genMask)<<32 | uint64(idx)
}

// turnUring handles one batch of completions.
func (l *Loop) turnUring() {
	u := l.u
	u.eager = len(u.sends) > 0
	u.flush()
	if l.naps && !u.eager && len(l.ready) == 0 && u.ring.Idle() {
		// Fast path: one call submits what this turn has made, and takes what
		// is there or comes soon.
		now := Clock()
		l.noteStall(now - l.now)
		if l.mayNap() {
			u.check(u.ring.Nap(min(napLimit, int64(l.wheel.wait(now))*1e6)))
		}
		l.wake(now)
	} else {
		if u.ring.Unsubmitted() > 0 || u.ring.Pressing() {
			u.check(u.ring.Submit())
		}
		l.now = u.sleepIfIdle()
	}
	quiet := u.quiet()
	l.stats.TurnStart.Store(l.now)
	l.stats.Turns.Store(l.stats.Turns.Load() + 1)
	u.reap()
	if quiet && len(u.sends) > 0 {
		u.settleSends()
	}
	l.afterEvents()
}

// quiet tells whether the kernel has taken all entries and told all that it
// had to tell of them.
func (u *uring) quiet() bool { return u.ring.Unsubmitted() == 0 && !u.ring.Overflown() }

// sleepIfIdle waits, with the scheduler told, until a completion, the next
// timer or a Post, unless there is something to do. It returns the time.
func (u *uring) sleepIfIdle() int64 {
	l := u.l
	now := Clock()
	l.noteStall(now - l.now)
	if !u.ring.Idle() || len(l.ready) > 0 || len(u.sends) > 0 {
		return now
	}
	if l.mayNap() {
		if ms := l.wheel.wait(now); ms > 0 {
			l.stats.Waits.Store(l.stats.Waits.Load() + 1)
			l.stats.TurnStart.Store(0)
			u.check(u.ring.Wait(int64(ms) * 1e6))
		}
	}
	l.wake(now)
	return l.now
}

func (u *uring) check(e unix.Errno) {
	switch e {
	case 0, unix.EINTR, unix.ETIME:
	case unix.EAGAIN, unix.EBUSY, unix.ENOMEM:
		// Short of memory, or of room for completions: what was not submitted
		// stays in the queue and goes with the next turn.
	default:
		panic(fmt.Sprintf("BUG: loop %d: io_uring_enter: %v", u.l.ID, e))
	}
}

// reap delivers the completions that are there.
func (u *uring) reap() {
	head, tail := u.ring.Completions()
	if head == tail {
		return
	}
	u.l.stats.Events.Store(u.l.stats.Events.Load() + uint64(tail-head))
	for ; head != tail; head++ {
		c := *u.ring.At(head)
		u.complete(&c)
	}
	u.ring.Seen(tail)
}

func (u *uring) complete(c *ring.CQE) {
	op := uint8(c.UserData >> 56)
	switch op {
	case opNone:
		return
	case opWake:
		if c.Flags&ring.HasMore == 0 && !u.stopping {
			u.watchWake()
		}
		return
	}
	s := u.socks[uint32(c.UserData)]
	if s.gen&genMask != uint32(c.UserData>>32)&genMask {
		if op == opCancel {
			return // the record is another connection's by now
		}
		panic("BUG: completion of a connection that was forgotten")
	}
	switch op {
	case opRecv:
		u.received(s, c)
	case opSend:
		u.sent(s, c.Res)
	case opConnect:
		u.connected(s, c)
	case opAccept:
		u.accepted(s, c)
	case opCancel:
		u.cancelFailed(s, c)
	}
}

// watchWake makes writes to the eventfd wake the loop.
func (u *uring) watchWake() {
	e := u.entry()
	e.Opcode, e.FD, e.OpFlags, e.Len = ring.OpPollAdd, int32(u.l.evfd), unix.POLLIN, ring.PollMultishot
	e.UserData = userData(opWake, 0, 0)
}

// entry is the next submission entry. While the queue is full it is submitted.
func (u *uring) entry() *ring.SQE {
	for range 1000 {
		if e := u.ring.Get(); e != nil {
			return e
		}
		u.check(u.ring.Submit())
	}
	panic(fmt.Sprintf("loop %d: the kernel takes no io_uring operations: out of memory?", u.l.ID))
}

// issueLimit bounds the connections whose wishes go into one submission, so
// that the thread cannot be kept from stopping for a garbage collection for
// long: a send costs some microseconds.
const issueLimit = 64

// flush turns what connections want into submission entries.
func (u *uring) flush() {
	if u.l.now >= u.adaptAt {
		u.adapt()
	}
	if u.short {
		u.short = false
		u.depth = min(2*u.depth, maxDepth)
	}
	if u.nLent < u.depth {
		u.lend()
	}
	for n := 1; ; n++ {
		s := u.dirty.pop()
		if s == nil {
			return
		}
		u.issue(s)
		if n%issueLimit == 0 {
			u.check(u.ring.Submit())
		}
	}
}

// lend gives the kernel buffers to receive into, up to depth.
func (u *uring) lend() {
	for u.nLent < u.depth {
		last := len(u.bids) - 1
		bid := u.bids[last]
		u.bids = u.bids[:last]
		b := u.l.GetBuf()
		b.grow()
		u.lent[bid] = b
		u.rx.Add(bid, b.mem[headroom:])
		u.nLent++
	}
	u.rx.Publish()
}

// taken is the buffer that a completion filled.
func (u *uring) taken(c *ring.CQE) *Buf {
	bid := c.BufferOf()
	b := u.lent[bid]
	if b == nil {
		panic("BUG: the kernel used a buffer that it was not lent")
	}
	u.lent[bid] = nil
	u.bids = append(u.bids, bid)
	u.nLent--
	u.low = min(u.low, u.nLent)
	return b
}

// adapt lends fewer buffers when half of them were never needed at once: each
// is used in turn, so few are warmer in the cache.
func (u *uring) adapt() {
	u.adaptAt = u.l.now + adaptEvery
	u.expire(u.l.now)
	if u.low > u.depth/2 && u.depth > minDepth {
		u.depth /= 2
	}
	u.low = u.depth
}

// exhausted notes that a receive found no buffer.
func (u *uring) exhausted() {
	u.l.stats.Starved.Store(u.l.stats.Starved.Load() + 1)
	u.low = 0
	u.short = true
}

// stopGrace bounds how long a stopping loop waits for its operations to end.
const stopGrace = time.Second

// close ends every connection, waits for the operations in flight, and lets
// the ring go.
func (u *uring) close() {
	u.stopping = true
	for i := 0; i < len(u.socks); i++ {
		s := u.socks[i]
		if s.conn != nil {
			s.conn.Close()
		} else if s.fd >= 0 || s.flying > 0 {
			u.abandon(s)
		}
	}
	end := Clock() + int64(stopGrace)
	for (u.flying > 0 || u.dirty.head != nil) && Clock() < end {
		u.flush()
		u.check(u.ring.Submit())
		if u.ring.Idle() && u.flying > len(u.sends) {
			u.check(u.ring.Wait(10e6))
		}
		quiet := u.quiet()
		u.reap()
		if quiet {
			u.settleSends()
		}
	}
	if u.flying > 0 {
		// The kernel may still write to these: they must never be freed.
		leak(u)
		u.ring.Close()
		return
	}
	u.rx.Close()
	u.ring.Close()
	for bid, b := range u.lent {
		if b != nil {
			u.lent[bid] = nil
			u.l.PutBuf(b)
		}
	}
}

var leaked struct {
	sync.Mutex
	engines []*uring
}

func leak(u *uring) {
	leaked.Lock()
	leaked.engines = append(leaked.engines, u)
	leaked.Unlock()
}
