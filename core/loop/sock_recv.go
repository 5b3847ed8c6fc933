package loop

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// A receive is multishot: one request fills buffer after buffer as bytes come.
// Where bytes come faster than they are read it is ended, so that a connection
// holds two buffers and not all; the kernel's own buffer, and with it the
// window, fills up instead. While that goes on receives are asked for one by
// one.

func (u *uring) armRecv(s *sock) {
	e := u.entry()
	e.Opcode, e.FD, e.Flags = ring.OpRecv, s.fd, ring.BufferSelect
	if s.state&sockOnce == 0 {
		e.Ioprio = ring.RecvMultishot
		if u.CappedReceive {
			// At most one buffer of it in a turn.
			e.Ioprio |= ring.RecvBundle
			e.Len = BufSize
		}
	}
	e.UserData = userData(opRecv, s.gen, s.idx)
	s.state |= sockArmed
	s.state &^= sockStop | sockStopping
	u.began(s)
}

// received is told of bytes, the end of them, or of a receive's end.
func (u *uring) received(s *sock, c *ring.CQE) {
	var b *Buf
	if c.Flags&ring.HasBuffer != 0 {
		b = u.taken(c)
	}
	if c.Flags&ring.HasMore == 0 {
		s.state &^= sockArmed | sockStop | sockStopping
		u.done(s)
	}
	conn := s.conn
	if conn == nil {
		u.l.PutBuf(b)
		u.want(s)
		return
	}
	switch e := unix.Errno(-c.Res); {
	case c.Res > 0:
		b.end = b.off + int(c.Res)
		s.rx.add(u.l, b)
		if s.state&sockArmed == 0 && c.Res < BufSize/2 {
			s.state &^= sockOnce // it has kept up
		}
		conn.state |= readable
	case c.Res == 0:
		u.l.PutBuf(b)
		s.state |= sockEOF
		conn.state |= peerGone | readable
	case e == unix.ENOBUFS:
		u.l.PutBuf(b)
		u.exhausted()
		u.want(s)
		return
	case e == unix.ECANCELED || e == unix.EINTR || e == unix.EAGAIN:
		u.l.PutBuf(b)
		u.want(s)
		return
	default:
		u.l.PutBuf(b)
		s.rxErr = e
		conn.state |= broken | readable | writable
		if conn.wr != nil {
			conn.wr.Wake()
		}
	}
	if s.conn == conn {
		conn.wakeReader()
	}
	if s.conn == conn {
		u.pace(s)
	}
}

// pace ends a multishot receive that is ahead of its reader, and asks for
// more where the reader has caught up.
func (u *uring) pace(s *sock) {
	switch {
	case s.state&sockArmed == 0:
		if s.rx.head == nil && s.state&sockEOF == 0 && s.rxErr == 0 {
			u.want(s)
		}
	case s.rx.head != s.rx.tail && s.state&(sockStop|sockOnce) == 0:
		s.state |= sockStop | sockOnce
		u.want(s)
	}
}

// tryRecvRing is TryRecv. Where b is empty it takes the received buffer's
// memory, in exchange for its own if it has any, instead of copying.
func (c *Conn) tryRecvRing(b *Buf) (int, error) {
	if c.state&closed != 0 {
		return 0, ErrClosed
	}
	s := c.s
	src := s.rx.head
	if src == nil {
		switch {
		case s.rxErr != 0:
			return 0, ioError("recv", s.rxErr)
		case s.state&sockEOF != 0:
			return 0, io.EOF
		}
		c.state &^= readable
		return 0, nil
	}
	l := c.loop
	n := src.Len()
	if b.Len() == 0 && (b.mem == nil || len(b.mem) == len(src.mem)) {
		b.mem, src.mem = src.mem, b.mem
		b.off, b.end = src.off, src.end
	} else {
		n = copy(b.Tail(), src.Bytes())
		b.end += n
		if n < src.Len() {
			src.off += n
			s.rx.n -= n
			return n, nil
		}
	}
	s.rx.n -= n
	s.rx.pop()
	l.PutBuf(src)
	if s.rx.head == nil && s.state&sockEOF == 0 && s.rxErr == 0 {
		c.state &^= readable
		if s.state&sockArmed == 0 {
			l.u.want(s)
		}
	}
	return n, nil
}

// dropReceived frees what was received and not read.
func (u *uring) dropReceived(s *sock) {
	for b := s.rx.head; b != nil; b = s.rx.head {
		s.rx.pop()
		u.l.PutBuf(b)
	}
	s.rx.n = 0
}

// bufQueue is a first-in first-out list of buffers.
type bufQueue struct {
	head, tail *Buf
	n          int // bytes in them
}

func (q *bufQueue) push(b *Buf) {
	b.next = nil
	if q.tail == nil {
		q.head = b
	} else {
		q.tail.next = b
	}
	q.tail = b
}

// pop takes the first one out; n is the caller's affair.
func (q *bufQueue) pop() *Buf {
	b := q.head
	q.head = b.next
	if q.head == nil {
		q.tail = nil
	}
	b.next = nil
	return b
}

// add puts received bytes behind those that are there. A few of them are
// copied behind the last ones, so that a peer who sends byte by byte does not
// hold a buffer for each.
func (q *bufQueue) add(l *Loop, b *Buf) {
	const few = 4 << 10
	q.n += b.Len()
	if t := q.tail; t != nil && b.Len() <= few && b.Len() <= len(t.Tail()) {
		t.Append(b.Bytes())
		l.PutBuf(b)
		return
	}
	q.push(b)
}
