package loop

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// The epoll engine: edge-triggered, one registration for a connection's life,
// and reads and writes where they are asked for.

const maxEvents = 256

// epoll is what a loop with this engine holds.
type epoll struct {
	fd     int
	conns  []*Conn // by descriptor
	events [maxEvents]unix.EpollEvent
}

func newEpoll(evfd int) (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | epollET, Fd: int32(evfd), Pad: 0}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, evfd, &ev); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	return &epoll{fd: fd}, nil
}

// close ends every connection.
func (ep *epoll) close() {
	for _, c := range ep.conns {
		if c != nil {
			c.Close()
		}
	}
	unix.Close(ep.fd)
}

// turnEpoll handles one batch of events.
func (l *Loop) turnEpoll() {
	var n int
	var errno unix.Errno
	if l.naps && len(l.ready) == 0 {
		// Fast path: what is waiting is taken, or comes soon.
		now := Clock()
		l.noteStall(now - l.now)
		if l.mayNap() {
			n, errno = epollWaitRaw(l.ep.fd, &l.ep.events, min(int(napLimit/1e6), l.wheel.wait(now)))
		}
		l.wake(now)
	} else {
		n, errno = epollWaitRaw(l.ep.fd, &l.ep.events, 0)
		now := Clock()
		l.noteStall(now - l.now)
		l.now = now
		if n == 0 && errno == 0 && len(l.ready) == 0 {
			n, errno = l.sleepEpoll(now)
		}
	}
	if errno != 0 && errno != unix.EINTR {
		panic(fmt.Sprintf("BUG: loop %d: epoll_wait: %v", l.ID, errno))
	}
	l.stats.TurnStart.Store(l.now)
	l.stats.Turns.Store(l.stats.Turns.Load() + 1)
	if n > 0 {
		l.stats.Events.Store(l.stats.Events.Load() + uint64(n))
		for i := range l.ep.events[:n] {
			l.dispatch(&l.ep.events[i])
		}
	}
	l.afterEvents()
}

// sleepEpoll waits in the kernel, with the scheduler told, until an event, the
// next timer or a Post.
func (l *Loop) sleepEpoll(now int64) (n int, errno unix.Errno) {
	if l.mayNap() {
		l.stats.Waits.Store(l.stats.Waits.Load() + 1)
		l.stats.TurnStart.Store(0)
		n, errno = epollWaitBlock(l.ep.fd, &l.ep.events, l.wheel.wait(now))
	}
	l.wake(now)
	return n, errno
}

func (l *Loop) dispatch(ev *unix.EpollEvent) {
	fd := int(ev.Fd)
	if fd == l.evfd {
		var b [8]byte
		_, _ = unix.Read(fd, b[:])
		return
	}
	if fd >= len(l.ep.conns) {
		return
	}
	c := l.ep.conns[fd]
	if c == nil || c.gen != uint32(ev.Pad) {
		return // closed earlier in this batch; the number may be in use again
	}
	c.event(ev.Events)
}

// epollAdd registers c for all that can happen to it.
func (l *Loop) epollAdd(c *Conn) error {
	fd := int(c.fd)
	ev := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | epollET,
		Fd:     c.fd, Pad: int32(c.gen),
	}
	if err := unix.EpollCtl(l.ep.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	for fd >= len(l.ep.conns) {
		l.ep.conns = append(l.ep.conns, make([]*Conn, max(64, len(l.ep.conns)))...)
	}
	l.ep.conns[fd] = c
	return nil
}

func (c *Conn) event(ev uint32) {
	if ev&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		c.state |= broken | readable | writable
	}
	if ev&unix.EPOLLRDHUP != 0 {
		c.state |= peerGone | readable
	}
	if ev&unix.EPOLLIN != 0 {
		c.state |= readable
	}
	if ev&unix.EPOLLOUT != 0 {
		c.state |= writable
	}
	c.wakeWriter()
	c.wakeReader()
}

func (c *Conn) tryRecvEpoll(b *Buf) (int, error) {
	p := b.Tail()
	if len(p) == 0 {
		return 0, nil
	}
	n, e := recvRaw(int(c.fd), p)
	switch {
	case e == unix.EAGAIN:
		c.state &^= readable
		return 0, nil
	case e != 0:
		c.state |= broken
		return 0, ioError("recv", e)
	case n == 0:
		c.state |= peerGone
		return 0, io.EOF
	}
	if n < len(p) && c.state&(peerGone|broken) == 0 {
		// A short read has emptied the socket; the next byte makes a new edge.
		c.state &^= readable
	}
	b.Extend(n)
	return n, nil
}

func (c *Conn) sendEpoll(t *Task, p []byte, silence int64, more bool) error {
	for len(p) > 0 {
		if c.state&closed != 0 {
			return ErrClosed
		}
		n, e := sendRaw(int(c.fd), p, more)
		if n > 0 {
			p = p[n:]
			continue
		}
		if e != unix.EAGAIN {
			// What the peer sent before it broke off can still be read.
			c.state |= broken | readable
			return ioError("send", e)
		}
		c.state &^= writable
		if err := c.WaitWrite(t, silence); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) trySendEpoll(p []byte) (int, error) {
	n, e := sendRaw(int(c.fd), p, false)
	if e == unix.EAGAIN {
		c.state &^= writable
		return 0, nil
	}
	if e != 0 {
		c.state |= broken
		return 0, ioError("send", e)
	}
	return n, nil
}
