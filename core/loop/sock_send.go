package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

const (
	// maxQueued bounds the bytes that Send takes of a connection before it
	// waits for the peer.
	maxQueued = 256 << 10
	// viewMin is from how many bytes on waiting for the kernel is cheaper
	// than copying.
	viewMin = 4 << 10
)

// send submits the first buffer of the queue. A socket nearly always has room
// for it: then it is done when the kernel has taken the entry, and no
// completion says so, only that it was not (the flags make a part of it or no
// room a failure). Where that has happened the next send waits for room.
func (u *uring) send(s *sock) {
	b := s.tx.head
	e := u.entry()
	e.Opcode, e.FD = ring.OpSend, s.fd
	e.Addr, e.Len = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b.mem[b.off:])))), uint32(b.Len())
	e.OpFlags = unix.MSG_NOSIGNAL
	if b.next != nil || s.state&sockMore != 0 {
		e.OpFlags |= unix.MSG_MORE
	}
	if u.SilentSend && s.state&sockSlow == 0 {
		e.OpFlags |= unix.MSG_DONTWAIT | unix.MSG_WAITALL
		e.Flags = ring.SkipSuccess
		s.state |= sockSilent
		u.sends = append(u.sends, s)
		if b.view || b.next != nil || s.conn == nil || s.conn.wr != nil || s.state&sockFin != 0 {
			u.eager = true
		}
	}
	e.UserData = userData(opSend, s.gen, s.idx)
	s.state |= sockSending
	s.size = e.Len
	u.began(s)
}

// settleSends takes those sends for done of which no failure was told. All
// entries were taken by the kernel, and all completions seen that it had made
// by then.
func (u *uring) settleSends() {
	for i, s := range u.sends {
		u.sends[i] = nil
		if s.state&sockSilent != 0 {
			u.sent(s, int32(s.size))
		}
	}
	u.sends = u.sends[:0]
}

// sent is told how much of the first buffer the kernel has taken, or why none.
func (u *uring) sent(s *sock, res int32) {
	u.done(s)
	if res == int32(s.size) {
		s.state &^= sockSlow
	} else {
		s.state |= sockSlow
	}
	b := s.tx.head
	switch {
	case res >= 0:
		s.moved = u.l.now
		b.off += int(res)
		s.tx.n -= int(res)
	case res == -int32(unix.ECANCELED), res == -int32(unix.EINTR), res == -int32(unix.EAGAIN):
	default:
		s.txErr = unix.Errno(-res)
	}
	over := b.Len() == 0
	if s.state&sockDropSend != 0 || s.txErr != 0 {
		over = true
	}
	if over {
		s.tx.n -= b.Len()
		s.tx.pop()
	}
	s.state &^= sockSending | sockSilent | sockDropSend | sockDropping
	if s.tx.head != nil || s.conn == nil {
		u.want(s)
	} else if s.state&sockFin != 0 {
		s.state &^= sockFin
		_ = unix.Shutdown(int(s.fd), unix.SHUT_WR)
	}
	// From here on tasks run, which may close the connection.
	if over {
		u.release(b)
	}
	if s.txErr != 0 {
		u.dropQueued(s)
		if conn := s.conn; conn != nil {
			// What the peer sent before it broke off can still be read.
			conn.state |= broken | readable | writable
			conn.wakeWriter()
		}
		if conn := s.conn; conn != nil {
			conn.wakeReader()
		}
		return
	}
	if conn := s.conn; conn != nil && s.tx.n < maxQueued && conn.wr != nil {
		conn.state |= writable
		conn.wakeWriter()
	}
}

// release gives back a buffer that was sent, or tells who lent it.
func (u *uring) release(b *Buf) {
	if !b.view {
		u.l.PutBuf(b)
		return
	}
	b.mem = nil
	t := b.lender
	b.lender = nil
	t.Wake()
}

// dropQueued takes out what is not being sent at this moment.
func (u *uring) dropQueued(s *sock) {
	if s.state&sockSending != 0 {
		u.cut(s, s.tx.head)
	} else {
		u.cut(s, nil)
	}
}

// dropViews takes the first view out, whose task is to return, and what stands
// behind it: the stream has a hole.
func (u *uring) dropViews(s *sock) {
	var last *Buf
	for b := s.tx.head; b != nil; b = b.next {
		if b.view {
			if b == s.tx.head && s.state&sockSending != 0 {
				s.state |= sockDropSend
				last = b
			}
			u.cut(s, last)
			return
		}
		last = b
	}
}

// cut takes out what stands behind last; nil takes out everything. Tasks that
// lent some of it run.
func (u *uring) cut(s *sock, last *Buf) {
	b := s.tx.head
	if last != nil {
		b = last.next
		last.next = nil
	} else {
		s.tx.head = nil
	}
	s.tx.tail = last
	for x := b; x != nil; x = x.next {
		s.tx.n -= x.Len()
	}
	for b != nil {
		next := b.next
		b.next = nil
		u.release(b)
		b = next
	}
}

// sendRing is Send: p is copied and sent at the end of the turn, or, where it
// lies in one of the loop's own buffers and is not small, sent from there while
// the task waits.
func (c *Conn) sendRing(t *Task, p []byte, silence int64, more bool) error {
	u := c.loop.u
	for len(p) > 0 {
		if c.state&closed != 0 {
			return ErrClosed
		}
		s := c.s
		if s.txErr != 0 {
			return ioError("send", s.txErr)
		}
		if len(p) >= viewMin && c.loop.arena.has(p) {
			return c.lendRing(t, p, silence, more)
		}
		room := maxQueued - s.tx.n
		if room <= 0 {
			if err := c.awaitProgress(t, silence); err != nil {
				return err
			}
			continue
		}
		n := min(room, len(p))
		u.queue(s, p[:n])
		p = p[n:]
		s.setMore(more)
		u.want(s)
	}
	return nil
}

func (s *sock) setMore(more bool) {
	if more {
		s.state |= sockMore
	} else {
		s.state &^= sockMore
	}
}

// queue copies p behind what is to be sent. Bytes behind those that are being
// sent may be written: the kernel reads what it was told of only.
func (u *uring) queue(s *sock, p []byte) {
	if s.tx.head == nil {
		s.moved = u.l.now
	}
	s.tx.n += len(p)
	for len(p) > 0 {
		b := s.tx.tail
		if b == nil || b.view || b.full() {
			b = u.l.GetBuf()
			s.tx.push(b)
		}
		p = p[b.Append(p):]
	}
}

// lendRing sends p from where it is and returns when the kernel no longer
// looks at it.
func (c *Conn) lendRing(t *Task, p []byte, silence int64, more bool) error {
	l, s := c.loop, c.s
	u := l.u
	v := u.views
	if v == nil {
		v = &Buf{view: true}
	} else {
		u.views = v.next
	}
	if s.tx.head == nil {
		s.moved = l.now
	}
	v.mem, v.off, v.end, v.next, v.lender = p, 0, len(p), nil, t
	s.tx.push(v)
	s.tx.n += len(p)
	s.setMore(more)
	u.want(s)
	var failed error
	gen := s.gen
	for v.lender != nil {
		var deadline int64
		if silence > 0 && failed == nil {
			deadline = s.moved + silence
		}
		if t.Park(deadline) || v.lender == nil {
			if failed == nil && v.lender != nil && (s.gen != gen || s.conn != c) {
				failed = ErrClosed
			}
			continue
		}
		if s.moved+silence > l.now {
			continue // it moves, slowly
		}
		failed = ErrTimeout
		u.dropViews(s)
		u.want(s)
	}
	left := v.Len()
	v.off, v.end = 0, 0
	v.next = u.views
	u.views = v
	switch {
	case failed != nil:
		return failed
	case left == 0:
		return nil
	case s.gen != gen || s.conn != c:
		return ErrClosed
	case s.txErr != 0:
		return ioError("send", s.txErr)
	}
	return ErrClosed
}

// awaitProgress parks t until there is room in the queue, for as long as the
// peer goes on taking bytes.
func (c *Conn) awaitProgress(t *Task, silence int64) error {
	s := c.s
	c.state &^= writable
	for c.state&(writable|closed) == 0 {
		var deadline int64
		if silence > 0 {
			deadline = s.moved + silence
		}
		c.wr = t
		ok := t.Park(deadline)
		if c.wr == t {
			c.wr = nil
		}
		if !ok && c.state&(writable|closed) == 0 && s.moved+silence <= c.loop.now {
			return ErrTimeout
		}
	}
	if c.state&closed != 0 {
		return ErrClosed
	}
	return nil
}

// trySendRing is TrySend: it takes what the queue has room for.
func (c *Conn) trySendRing(p []byte) (int, error) {
	s := c.s
	if s.txErr != 0 {
		return 0, ioError("send", s.txErr)
	}
	n := min(len(p), maxQueued-s.tx.n)
	if n <= 0 {
		c.state &^= writable
		return 0, nil
	}
	u := c.loop.u
	u.queue(s, p[:n])
	s.setMore(false)
	u.want(s)
	return n, nil
}
