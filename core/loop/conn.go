package loop

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handler is told of a connection's events while no task waits on it. Both
// methods run on the loop's own stack and must not park.
type Handler interface {
	// Ready is called when the connection became readable or was closed by the
	// other side.
	Ready(c *Conn)
	// Expired is called when the deadline set with SetIdle passed.
	Expired(c *Conn)
}

// Conn is a non-blocking socket of one loop: about 160 bytes, made for being
// idle most of the time. Reading and writing are for tasks; each direction has
// at most one task at a time.
type Conn struct {
	loop   *Loop
	s      *sock // of the io_uring engine, until Close
	h      Handler
	rd, wr *Task
	timer  Timer
	fd     int32
	gen    uint32
	state  uint8
	// Peer is the other end. Local is not kept: see LocalAddr.
	Peer netip.AddrPort
}

const (
	readable uint8 = 1 << iota // a read may give data; cleared by EAGAIN or a short read
	writable
	peerGone // the other side sent FIN or RST
	broken   // reset or socket error
	closed
	canceled // a parked reader is to give up
)

// Init attaches an open non-blocking stream socket to the loop. h may be nil.
func (c *Conn) Init(l *Loop, fd int, h Handler) error {
	l.gen++
	c.loop, c.fd, c.gen, c.h = l, int32(fd), l.gen, h
	c.state, c.s = 0, nil
	c.rd, c.wr = nil, nil
	c.timer.owner, c.timer.fire = c, connTimer
	if l.u != nil {
		c.state = writable
		l.u.attach(c, 0)
	} else if err := l.epollAdd(c); err != nil {
		return err
	}
	l.stats.Conns.Store(l.stats.Conns.Load() + 1)
	return nil
}

// Loop is the loop that the connection belongs to.
func (c *Conn) Loop() *Loop { return c.loop }

// FD is the socket, for options. It belongs to the connection.
func (c *Conn) FD() int { return int(c.fd) }

// SetHandler replaces the handler.
func (c *Conn) SetHandler(h Handler) { c.h = h }

// SetIdle arms the idle deadline (clock time; 0: none), see Handler.Expired.
func (c *Conn) SetIdle(at int64) { c.loop.SetTimer(&c.timer, at) }

// Closed tells whether Close was called.
func (c *Conn) Closed() bool { return c.state&closed != 0 }

// PeerGone tells whether the other side has closed or reset the connection, as
// far as the loop has heard. Bytes may still be unread.
func (c *Conn) PeerGone() bool { return c.state&(peerGone|broken) != 0 }

// Readable tells whether a read may give data.
func (c *Conn) Readable() bool { return c.state&readable != 0 }

// Fresh tells whether a pooled connection may be used again: nothing has
// arrived on it and nobody closed it.
func (c *Conn) Fresh() bool { return c.state&(readable|peerGone|broken|closed) == 0 }

// WatchRead makes t the task that read-side events wake; nil gives the events
// back to the handler.
func (c *Conn) WatchRead(t *Task) { c.rd = t }

// wakeReader tells whoever reads that the connection is readable.
func (c *Conn) wakeReader() {
	if c.state&(readable|closed) == readable {
		if c.rd != nil {
			c.rd.Wake()
		} else if c.h != nil {
			c.h.Ready(c)
		}
	}
}

// wakeWriter tells the task that waits until the connection is writable.
func (c *Conn) wakeWriter() {
	if c.state&writable != 0 && c.wr != nil {
		c.wr.Wake()
	}
}

func connTimer(tm *Timer) {
	c := tm.owner.(*Conn)
	if c.h != nil && c.state&closed == 0 {
		c.h.Expired(c)
	}
}

// Close closes the socket and wakes the tasks that wait on it; their calls
// return ErrClosed. What Send has taken still goes out. Closing twice is
// allowed.
func (c *Conn) Close() { c.close(false) }

// Reset closes the connection so that the other side sees a reset: a
// half-delivered message must not look complete. What Send has taken and the
// kernel has not is dropped.
func (c *Conn) Reset() {
	if c.state&closed == 0 && c.loop != nil {
		resetOnClose(int(c.fd))
	}
	c.close(true)
}

func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
}

func (c *Conn) close(drop bool) {
	if c.state&closed != 0 || c.loop == nil {
		return
	}
	l := c.loop
	c.state |= closed
	l.DropTimer(&c.timer)
	l.stats.Conns.Store(l.stats.Conns.Load() - 1)
	rd, wr, s := c.rd, c.wr, c.s
	if s != nil {
		// Tasks that run from here on may use c for another socket.
		c.s = nil
		l.u.detach(s, drop)
	} else {
		l.ep.conns[c.fd] = nil
		closeRaw(int(c.fd)) // leaves the epoll set with it
	}
	for _, t := range [2]*Task{rd, wr} {
		if t != nil && t != l.current {
			t.Wake()
		}
	}
}

// TryRecv reads what is there into b without waiting. It returns 0, nil when
// nothing is. An empty b gets other memory.
func (c *Conn) TryRecv(b *Buf) (int, error) {
	if c.state&(readable|closed) != readable {
		if c.state&closed != 0 {
			return 0, ErrClosed
		}
		return 0, nil
	}
	if c.loop.u != nil {
		return c.tryRecvRing(b)
	}
	return c.tryRecvEpoll(b)
}

// Recv reads at least one byte into b, waiting for it until deadline (clock
// time, 0: none). Errors: io.EOF, ErrTimeout, ErrClosed, or a socket error.
func (c *Conn) Recv(t *Task, b *Buf, deadline int64) (int, error) {
	for {
		n, err := c.TryRecv(b)
		if n > 0 || err != nil {
			return n, err
		}
		if b.full() {
			panic("BUG: Recv into a full buffer")
		}
		if err := c.WaitRead(t, deadline); err != nil {
			return 0, err
		}
	}
}

// WaitRead parks t until the connection may be readable.
func (c *Conn) WaitRead(t *Task, deadline int64) error {
	prev := c.rd
	for c.state&(readable|closed|canceled) == 0 {
		c.rd = t
		ok := t.Park(deadline)
		c.rd = prev
		if !ok && c.state&(readable|closed|canceled) == 0 {
			return ErrTimeout
		}
	}
	if c.state&closed != 0 {
		return ErrClosed
	}
	if c.state&canceled != 0 {
		c.state &^= canceled
		return ErrCanceled
	}
	return nil
}

// CancelRead makes a task that is parked in WaitRead or Recv return
// ErrCanceled. Without one it does nothing.
func (c *Conn) CancelRead() {
	if t := c.rd; t != nil && t.parked {
		c.state |= canceled
		t.Wake()
		c.state &^= canceled
	}
}

// Send writes p and returns when the kernel, or the engine on its behalf, has
// all of it: p is the caller's again. The engine holds at most 256 KiB of a
// connection; an error that it meets later is returned by the next call.
// silence is the longest time without progress in nanoseconds (0: no limit):
// it bounds each wait and not the whole, so that a slow reader who goes on
// reading is served.
func (c *Conn) Send(t *Task, p []byte, silence int64) error {
	if c.loop.u != nil {
		return c.sendRing(t, p, silence, false)
	}
	return c.sendEpoll(t, p, silence, false)
}

// SendMore is Send with the hint that more follows at once, so that the kernel
// may wait with an unfull packet.
func (c *Conn) SendMore(t *Task, p []byte, silence int64) error {
	if c.loop.u != nil {
		return c.sendRing(t, p, silence, true)
	}
	return c.sendEpoll(t, p, silence, true)
}

// TrySend writes what is taken of p without waiting.
func (c *Conn) TrySend(p []byte) (int, error) {
	if c.state&closed != 0 {
		return 0, ErrClosed
	}
	if c.loop.u != nil {
		return c.trySendRing(p)
	}
	return c.trySendEpoll(p)
}

// WaitWrite parks t until the connection may be writable, for at most silence
// nanoseconds (0: no limit).
func (c *Conn) WaitWrite(t *Task, silence int64) error {
	var deadline int64
	if silence > 0 {
		deadline = c.loop.now + silence
	}
	for c.state&(writable|closed) == 0 {
		c.wr = t
		ok := t.Park(deadline)
		c.wr = nil
		if !ok && c.state&(writable|closed) == 0 {
			return ErrTimeout
		}
	}
	if c.state&closed != 0 {
		return ErrClosed
	}
	return nil
}

// CloseWrite sends FIN behind what was sent: no more bytes follow.
func (c *Conn) CloseWrite() {
	if c.state&closed != 0 {
		return
	}
	if s := c.s; s != nil && s.tx.head != nil {
		s.state |= sockFin
		return
	}
	_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
}

// LocalAddr asks the kernel for this side's address.
func (c *Conn) LocalAddr() netip.AddrPort {
	sa, err := unix.Getsockname(int(c.fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return addrOf(sa)
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// OpError is a failed socket call. Each (call, errno) pair is made once.
type OpError struct {
	Op  string
	Err syscall.Errno
}

func (e *OpError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap gives the errno.
func (e *OpError) Unwrap() error { return e.Err }

// ioError is kept off the fast path; failures may allocate.
func ioError(op string, e unix.Errno) error { return &OpError{Op: op, Err: e} }
