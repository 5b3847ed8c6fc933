package loop

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptBatch bounds how many connections one event takes, so that a flood of
// new ones does not starve those being served.
const acceptBatch = 64

// Listener is a listening socket of one loop.
type Listener struct {
	conn   Conn
	accept func(fd int, peer netip.AddrPort)
	fd     int
	paused bool
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
	if err := ln.conn.Init(l, own, ln); err != nil {
		unix.Close(own)
		return nil, err
	}
	return ln, nil
}

// Close stops accepting. Connections in the kernel's queue stay there for
// whoever else holds the socket.
func (ln *Listener) Close() {
	// The caller's descriptor keeps the socket, and with it the epoll entry,
	// alive: take it out of the set by hand.
	if !ln.conn.Closed() {
		_ = unix.EpollCtl(ln.conn.loop.ep, unix.EPOLL_CTL_DEL, int(ln.conn.fd), nil)
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

// Ready implements Handler.
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
		if ln.OnError != nil {
			ln.OnError(ioError("accept", e))
		}
		c.SetIdle(c.loop.now + 100e6)
		return
	}
	// More are waiting: come back after the events of this turn.
	c.SetIdle(c.loop.now + 1)
}

// Expired implements Handler: the rest after a failure is over.
func (ln *Listener) Expired(c *Conn) { ln.Ready(c) }

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
