package loop

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// Dial opens a TCP connection to addr and attaches it to the loop, waiting
// until deadline (clock time, 0: none). c is reused storage.
func (l *Loop) Dial(t *Task, c *Conn, addr netip.AddrPort, deadline int64) error {
	l.stats.Dials.Store(l.stats.Dials.Load() + 1)
	family := unix.AF_INET
	if addr.Addr().Is6() && !addr.Addr().Is4In6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return ioError("socket", err.(unix.Errno))
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if l.u != nil {
		return l.dialRing(t, c, fd, addr, deadline)
	}
	var errno error
	if family == unix.AF_INET {
		sa := unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().Unmap().As4()}
		errno = unix.Connect(fd, &sa)
	} else {
		sa := unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
		errno = unix.Connect(fd, &sa)
	}
	if errno != nil && errno != unix.EINPROGRESS {
		unix.Close(fd)
		return ioError("connect", errno.(unix.Errno))
	}
	if err := c.Init(l, fd, nil); err != nil {
		unix.Close(fd)
		return err
	}
	c.Peer = addr
	if errno == nil {
		return nil
	}
	if err := c.awaitConnect(t, deadline); err != nil {
		return err
	}
	if c.state&broken != 0 {
		v, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		c.Close()
		if v == 0 {
			v = int(unix.ECONNRESET)
		}
		return ioError("connect", unix.Errno(v))
	}
	return nil
}

// awaitConnect parks t until the connection is made or has failed.
func (c *Conn) awaitConnect(t *Task, deadline int64) error {
	for c.state&(writable|closed) == 0 {
		c.wr = t
		ok := t.Park(deadline)
		c.wr = nil
		if !ok && c.state&(writable|closed) == 0 {
			c.Close()
			return ErrTimeout
		}
	}
	if c.state&closed != 0 {
		return ErrClosed
	}
	return nil
}

// dialAddr is an address as the kernel reads it, kept until it has.
type dialAddr struct {
	raw  unix.RawSockaddrAny
	len  uint32
	next *dialAddr
}

func (d *dialAddr) set(addr netip.AddrPort) {
	port := addr.Port()<<8 | addr.Port()>>8
	if a := addr.Addr().Unmap(); a.Is4() {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.raw))
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.As4()}
		d.len = unix.SizeofSockaddrInet4
		return
	}
	sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&d.raw))
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: addr.Addr().As16()}
	d.len = unix.SizeofSockaddrInet6
}

// dialRing connects the socket fd by the ring.
func (l *Loop) dialRing(t *Task, c *Conn, fd int, addr netip.AddrPort, deadline int64) error {
	u := l.u
	d := u.dials
	if d == nil {
		d = &dialAddr{}
	} else {
		u.dials = d.next
		d.next = nil
	}
	d.set(addr)
	_ = c.Init(l, fd, nil)
	c.Peer = addr
	c.state = 0
	c.s.state |= sockConnecting
	c.s.dial = d
	if err := c.awaitConnect(t, deadline); err != nil {
		return err
	}
	if e := c.s.txErr; e != 0 {
		c.Close()
		return ioError("connect", e)
	}
	return nil
}

// connect submits the connect of s, unless it is in flight.
func (u *uring) connect(s *sock) {
	if s.flying > 0 {
		return
	}
	e := u.entry()
	e.Opcode, e.FD = ring.OpConnect, s.fd
	e.Addr, e.Off = uint64(uintptr(unsafe.Pointer(&s.dial.raw))), uint64(s.dial.len)
	e.UserData = userData(opConnect, s.gen, s.idx)
	u.began(s)
}

// connected is told of the outcome.
func (u *uring) connected(s *sock, c *ring.CQE) {
	u.done(s)
	s.state &^= sockConnecting | sockStop | sockStopping
	u.freeDial(s)
	u.want(s)
	conn := s.conn
	if conn == nil {
		return
	}
	conn.state |= writable
	if c.Res < 0 {
		s.txErr = unix.Errno(-c.Res)
		conn.state |= broken
	}
	conn.wakeWriter()
}

func (u *uring) freeDial(s *sock) {
	if d := s.dial; d != nil {
		s.dial = nil
		d.next = u.dials
		u.dials = d
	}
}
