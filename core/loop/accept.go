package loop

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// acceptBatch bounds how many connections one event takes, so that a flood of
// new ones does not starve those being served.
const acceptBatch = 64

// Listener is a listening socket of one loop.
type Listener struct {
	conn   Conn
	accept func(fd int, peer netip.AddrPort)
	fd     int
	// OnError is told of accept failures other than a connection that went
	// away (EMFILE, ENFILE, ENOBUFS...). The listener rests for 100 ms then.
	OnError func(error)
}

// Listen takes new connections from fd, which stays open after CloseListener:
// it belongs to the caller. accept gets a non-blocking socket that it owns.
func (l *Loop) Listen(fd int, accept func(fd int, peer netip.AddrPort)) (*Listener, error) {
	ln := &Listener{accept: accept, fd: fd}
	// A descriptor of our own, so that closing it leaves the caller's alone.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, ioError("dup", err.(unix.Errno))
	}
	if err := unix.SetNonblock(own, true); err != nil {
		unix.Close(own)
		return nil, err
	}
	if l.u != nil {
		l.u.listen(ln, l, own)
		return ln, nil
	}
	if err := ln.conn.Init(l, own, ln); err != nil {
		unix.Close(own)
		return nil, err
	}
	return ln, nil
}

// Close stops accepting. Connections in the kernel's queue stay there for
// whoever else holds the socket; those that the engine has taken already are
// still delivered.
func (ln *Listener) Close() {
	// The caller's descriptor keeps the socket, and with it the epoll entry,
	// alive: take it out of the set by hand.
	if ep := ln.conn.loop.ep; ep != nil && !ln.conn.Closed() {
		_ = unix.EpollCtl(ep.fd, unix.EPOLL_CTL_DEL, int(ln.conn.fd), nil)
	}
	ln.conn.Close()
}

// flushLimit bounds how many waiting connections Flush takes.
const flushLimit = 65536 / acceptBatch

// Flush takes the connections that are waiting now.
func (ln *Listener) Flush() {
	ln.conn.state |= readable
	for range flushLimit {
		if ln.conn.Closed() || !ln.conn.Readable() {
			return
		}
		ln.Ready(&ln.conn)
	}
}

// Ready implements Handler: it takes a batch of connections that wait.
func (ln *Listener) Ready(c *Conn) {
	for range acceptBatch {
		var sa unix.RawSockaddrAny
		n := uint32(unsafe.Sizeof(sa))
		fd, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(c.fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch e {
		case 0:
			ln.accept(int(fd), rawAddr(&sa))
			if c.Closed() {
				return
			}
			continue
		case unix.EAGAIN:
			c.state &^= readable
			return
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO:
			continue
		}
		ln.rest(e)
		return
	}
	if c.s == nil {
		// More are waiting: come back after the events of this turn.
		c.SetIdle(c.loop.now + 1)
	}
}

// rest stops accepting for a while after a failure.
func (ln *Listener) rest(e unix.Errno) {
	if ln.OnError != nil {
		ln.OnError(ioError("accept", e))
	}
	if s := ln.conn.s; s != nil {
		s.state |= sockResting
	}
	ln.conn.SetIdle(ln.conn.loop.now + 100e6)
}

// Expired implements Handler: the rest after a failure is over.
func (ln *Listener) Expired(c *Conn) {
	if s := c.s; s != nil {
		s.state &^= sockResting
		c.loop.u.want(s)
		return
	}
	ln.Ready(c)
}

// listen attaches a listener's socket.
func (u *uring) listen(ln *Listener, l *Loop, fd int) {
	c := &ln.conn
	c.loop, c.fd, c.h = l, int32(fd), ln
	c.timer.owner, c.timer.fire = c, connTimer
	u.attach(c, sockListen).ln = ln
	l.stats.Conns.Store(l.stats.Conns.Load() + 1)
}

// armAccept asks for connections, one completion each.
func (u *uring) armAccept(s *sock) {
	e := u.entry()
	e.Opcode, e.FD, e.Ioprio = ring.OpAccept, s.fd, ring.AcceptMultishot
	e.OpFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	e.UserData = userData(opAccept, s.gen, s.idx)
	s.state |= sockArmed
	s.state &^= sockStop | sockStopping
	u.began(s)
}

// accepted is told of a new connection, or of the end of accepting.
func (u *uring) accepted(s *sock, c *ring.CQE) {
	if c.Flags&ring.HasMore == 0 {
		s.state &^= sockArmed | sockStop | sockStopping
		u.done(s)
		u.want(s)
	}
	if c.Res >= 0 {
		fd := int(c.Res)
		peer, ok := peerOf(fd)
		if u.stopping || !ok {
			closeRaw(fd) // a peer without an address has left again
			return
		}
		s.ln.accept(fd, peer)
		return
	}
	switch e := unix.Errno(-c.Res); e {
	case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ECANCELED, unix.EAGAIN:
	default:
		if s.conn != nil {
			s.ln.rest(e)
		}
	}
}

// peerOf asks for the other end of fd: a multishot accept cannot tell it.
func peerOf(fd int) (netip.AddrPort, bool) {
	var sa unix.RawSockaddrAny
	n := uint32(unsafe.Sizeof(sa))
	_, _, e := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)))
	return rawAddr(&sa), e == 0
}

func rawAddr(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), a.Port<<8|a.Port>>8)
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), a.Port<<8|a.Port>>8)
	}
	return netip.AddrPort{}
}
