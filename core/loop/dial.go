package loop

import (
	"net/netip"

	"golang.org/x/sys/unix"
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
