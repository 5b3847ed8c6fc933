package loop

import (
	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// sock is what the io_uring engine knows of a socket. It outlives its Conn:
// the kernel may have operations in flight that refer to it, and bytes to
// send, after Close.
type sock struct {
	conn *Conn // nil once closed by its owner
	ln   *Listener
	next *sock // of the list it is in: dirty or spare
	idx  uint32
	gen  uint32
	fd   int32 // -1 once its closing was submitted

	state  uint32
	size   uint32 // of the send in flight
	flying uint8  // operations whose last completion has not come
	rxErr  unix.Errno
	txErr  unix.Errno

	rx      bufQueue // received and not yet read
	tx      bufQueue // to be sent; the kernel reads of the first one while sending
	moved   int64    // clock of the last progress in sending
	nextOld *sock    // closing list
	prevOld *sock
	since   int64 // clock of Close, while bytes are left to send
	dial    *dialAddr
}

const (
	sockQueued     uint32 = 1 << iota // in the dirty list
	sockArmed                         // a receive or accept is in flight
	sockOnce                          // that receive, or the next one, is not multishot
	sockStop                          // the receive in flight is to end
	sockStopping                      // and a cancel was submitted
	sockSending                       // a send is in flight
	sockSilent                        // of which only a failure is told
	sockSlow                          // the last send did not go at once
	sockDropSend                      // which is to be cancelled
	sockDropping                      // and a cancel was submitted
	sockConnecting                    // a connect is wanted or in flight
	sockMore                          // the last bytes to send expect more
	sockFin                           // FIN follows the bytes to send
	sockEOF                           // the other side's FIN was received
	sockListen
	sockResting // a listener that takes nothing for a while
	sockLinger  // in the closing list
)

// sockList is a first-in first-out list of socks that want something.
type sockList struct{ head, tail *sock }

func (l *sockList) push(s *sock) {
	s.next = nil
	if l.tail == nil {
		l.head = s
	} else {
		l.tail.next = s
	}
	l.tail = s
}

func (l *sockList) pop() *sock {
	s := l.head
	if s == nil {
		return nil
	}
	l.head = s.next
	if l.head == nil {
		l.tail = nil
	}
	s.next = nil
	s.state &^= sockQueued
	return s
}

// want puts s into the list of those that flush looks at.
func (u *uring) want(s *sock) {
	if s.state&sockQueued == 0 {
		s.state |= sockQueued
		u.dirty.push(s)
	}
}

// attach gives c a record. state is what it begins with.
func (u *uring) attach(c *Conn, state uint32) *sock {
	s := u.spare
	if s == nil {
		s = u.grow()
	}
	u.spare = s.next
	u.gen++
	*s = sock{conn: c, idx: s.idx, gen: u.gen, fd: c.fd, state: state}
	c.s = s
	u.want(s)
	return s
}

// grow makes some records at once, so that they lie together.
func (u *uring) grow() *sock {
	const n = 32
	block := make([]sock, n)
	for i := range block {
		s := &block[i]
		s.idx = uint32(len(u.socks))
		s.fd = -1
		u.socks = append(u.socks, s)
		s.next = u.spare
		u.spare = s
	}
	return u.spare
}

// issue submits what s wants. It may be called with nothing to do.
func (u *uring) issue(s *sock) {
	if s.state&sockDropSend != 0 && s.state&(sockSending|sockDropping) == sockSending {
		s.state |= sockDropping
		u.cancel(s, opSend)
	}
	if s.state&sockStop != 0 && s.state&(sockArmed|sockStopping) == sockArmed {
		s.state |= sockStopping
		op := opRecv
		if s.state&sockListen != 0 {
			op = opAccept
		}
		u.cancel(s, op)
	}
	switch {
	case s.conn == nil:
		u.finish(s)
	case s.state&sockListen != 0:
		if s.state&(sockArmed|sockResting) == 0 {
			u.armAccept(s)
		}
	case s.state&sockConnecting != 0:
		u.connect(s)
	default:
		if s.tx.head != nil && s.state&sockSending == 0 && s.txErr == 0 {
			u.send(s)
		}
		if s.state&(sockArmed|sockEOF) == 0 && s.rxErr == 0 && s.rx.head == nil {
			u.armRecv(s)
		}
	}
}

// cancel submits the end of s's operation op. Only a failure to find it is
// told.
func (u *uring) cancel(s *sock, op uint8) {
	e := u.entry()
	e.Opcode, e.FD, e.Flags = ring.OpCancel, -1, ring.SkipSuccess
	e.Addr = userData(op, s.gen, s.idx)
	e.UserData = userData(opCancel, s.gen, s.idx)
}

// cancelFailed is told that a cancel found nothing, or found the operation
// where it could not be stopped. If its last completion is not here yet, the
// cancel is repeated.
func (u *uring) cancelFailed(s *sock, c *ring.CQE) {
	if c.Res >= 0 {
		return
	}
	s.state &^= sockStopping | sockDropping
	if s.flying > 0 {
		u.want(s)
	}
}

// done notes that an operation of s is over.
func (u *uring) done(s *sock) {
	s.flying--
	u.flying--
}

func (u *uring) began(s *sock) {
	s.flying++
	u.flying++
}

// detach takes s from its Conn: the owner has closed it. What is queued is
// still sent, unless drop is set. Tasks that wait in Send may run.
func (u *uring) detach(s *sock, drop bool) {
	s.conn = nil
	u.dropReceived(s)
	s.state |= sockStop
	u.want(s)
	if drop || s.state&(sockConnecting|sockListen) != 0 || s.txErr != 0 || u.stopping {
		u.abandon(s)
		return
	}
	u.dropViews(s)
	if s.tx.head != nil {
		s.since = u.l.now
		u.linger(s)
	}
}

// abandon drops what s was still to send.
func (u *uring) abandon(s *sock) {
	if s.state&sockSending != 0 {
		s.state |= sockDropSend
	}
	u.want(s)
	u.dropQueued(s)
}

// finish goes on with a closed socket: first what is queued is sent, then the
// descriptor is closed, then the record is free.
func (u *uring) finish(s *sock) {
	if s.state&sockConnecting != 0 && s.flying > 0 && s.state&sockStopping == 0 {
		s.state |= sockStopping
		u.cancel(s, opConnect)
	}
	if s.tx.head != nil && s.state&sockDropSend == 0 {
		if s.state&sockSending == 0 {
			u.send(s)
		}
		return
	}
	if s.fd >= 0 {
		// By the ring, in order: the number must not be given to a new socket
		// before the entries in front were taken.
		e := u.entry()
		e.Opcode, e.FD, e.Flags = ring.OpClose, s.fd, ring.SkipSuccess
		s.fd = -1
	}
	u.settle(s)
}

// settle frees the record of a closed socket when nothing refers to it.
func (u *uring) settle(s *sock) {
	if s.conn != nil || s.flying > 0 || s.fd >= 0 || s.state&sockQueued != 0 {
		return
	}
	u.unlinger(s)
	u.freeDial(s)
	u.gen++
	*s = sock{idx: s.idx, gen: u.gen, fd: -1, next: u.spare}
	u.spare = s
}

// lingerLimit is how long a closed connection may take to hand its last bytes
// to the kernel before it is reset.
const lingerLimit = int64(30e9)

// linger notes that s, which is closed, still has bytes to send.
func (u *uring) linger(s *sock) {
	s.state |= sockLinger
	s.prevOld, s.nextOld = u.closing.tail, nil
	if u.closing.tail == nil {
		u.closing.head = s
	} else {
		u.closing.tail.nextOld = s
	}
	u.closing.tail = s
}

func (u *uring) unlinger(s *sock) {
	if s.state&sockLinger == 0 {
		return
	}
	s.state &^= sockLinger
	if s.prevOld == nil {
		u.closing.head = s.nextOld
	} else {
		s.prevOld.nextOld = s.nextOld
	}
	if s.nextOld == nil {
		u.closing.tail = s.prevOld
	} else {
		s.nextOld.prevOld = s.prevOld
	}
	s.prevOld, s.nextOld = nil, nil
}

// expire gives up on closed connections whose last bytes nobody takes.
func (u *uring) expire(now int64) {
	for s := u.closing.head; s != nil && now-s.since > lingerLimit; s = u.closing.head {
		u.unlinger(s)
		resetOnClose(int(s.fd))
		u.abandon(s)
		u.want(s)
	}
}
