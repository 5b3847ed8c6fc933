// Package secure is TLS over a loop's connection: crypto/tls without a
// goroutine, and without a lock held while a coroutine is parked.
package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/sluicegw/sluice/core/loop"
)

// Conn is a TLS connection on a loop. As with loop.Conn each direction has at
// most one task at a time.
//
// crypto/tls locks its two directions. A task that parked inside such a lock
// could meet another task of the same thread at it, and the thread would never
// turn again. So nothing below parks within crypto/tls once the handshake is
// done: reads give up with errWouldBlock, which crypto/tls treats as temporary,
// and writes go to memory and are sent after the lock is free.
type Conn struct {
	raw     *loop.Conn
	tls     *tls.Conn
	in      *loop.Buf // received records that crypto/tls has not taken yet
	out     []byte    // records that wait to be sent
	sending bool      // a task is sending out
	task    *loop.Task
	due     int64
	more    bool // crypto/tls may hold bytes that were not read yet
}

// Client makes the client's side over raw, which stays the caller's.
func Client(raw *loop.Conn, cfg *tls.Config) *Conn {
	c := &Conn{raw: raw}
	c.tls = tls.Client((*transport)(c), cfg)
	return c
}

// Server makes the server's side over raw.
func Server(raw *loop.Conn, cfg *tls.Config) *Conn {
	c := &Conn{raw: raw}
	c.tls = tls.Server((*transport)(c), cfg)
	return c
}

// Handshake runs the handshake on task t until it is done or the deadline
// (clock time, 0: none) has passed. ctx reaches the callbacks of the
// configuration.
func (c *Conn) Handshake(ctx context.Context, t *loop.Task, deadline int64) error {
	c.task, c.due = t, deadline
	err := c.tls.HandshakeContext(ctx)
	if ferr := c.flush(t, 0); err == nil {
		err = ferr
	}
	c.task = nil
	c.more = true
	return err
}

// State describes the handshake's outcome.
func (c *Conn) State() tls.ConnectionState { return c.tls.ConnectionState() }

// TryRecv reads payload into b without waiting. It returns 0, nil when none is
// there.
func (c *Conn) TryRecv(b *loop.Buf) (int, error) {
	total := 0
	c.more = false
	for {
		p := b.Tail()
		if len(p) == 0 {
			c.more = true
			return total, nil
		}
		n, err := c.tls.Read(p)
		b.Extend(n)
		total += n
		if err == nil {
			continue
		}
		// What reading made necessary, such as the answer to a key update.
		if len(c.out) > 0 && !c.sending {
			c.trySend()
		}
		if errors.Is(err, errWouldBlock) || total > 0 {
			// An error behind payload comes up again at the next call.
			c.more = c.more || !errors.Is(err, errWouldBlock)
			return total, nil
		}
		return 0, err
	}
}

// Readable tells whether TryRecv may give payload or an error.
func (c *Conn) Readable() bool { return c.more || c.in != nil || c.raw.Readable() }

// Send encrypts p and returns when the kernel has all of it. silence is the
// longest time without progress in nanoseconds, 0: no limit.
func (c *Conn) Send(t *loop.Task, p []byte, silence int64) error {
	// Piecewise, so that little is held in memory when the peer is slow.
	for len(p) > 0 {
		n := min(len(p), 64<<10)
		if _, err := c.tls.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
		if err := c.flush(t, silence); err != nil {
			return err
		}
	}
	return nil
}

// flush sends the records in memory. Only one task at a time sends; what
// another one adds meanwhile goes out with the same loop.
func (c *Conn) flush(t *loop.Task, silence int64) error {
	if c.sending {
		return nil
	}
	c.sending = true
	defer func() { c.sending = false }()
	for len(c.out) > 0 {
		p := c.out
		c.out = nil
		err := c.raw.Send(t, p, silence)
		if len(c.out) == 0 && cap(p) <= 128<<10 {
			c.out = p[:0]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trySend sends what the kernel takes at once; the rest waits for the next
// flush.
func (c *Conn) trySend() {
	n, err := c.raw.TrySend(c.out)
	if err == nil {
		c.out = c.out[:copy(c.out, c.out[n:])]
	}
}

// Release gives back what the connection holds. Its owner calls it when the
// socket is closed.
func (c *Conn) Release() {
	if c.in != nil {
		c.raw.Loop().PutBuf(c.in)
		c.in = nil
	}
}

// CloseNotify tells the peer that no more follows, as far as the kernel takes
// it at once. The connection itself is closed by its owner.
func (c *Conn) CloseNotify() {
	if !c.sending {
		_ = c.tls.CloseWrite()
		c.trySend()
	}
}

// errWouldBlock is what crypto/tls gets for a read that would have to wait. It
// keeps its state on temporary errors.
var errWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// transport is the net.Conn that crypto/tls sees.
type transport Conn

var _ net.Conn = (*transport)(nil)

// Read implements net.Conn. During the handshake it parks.
func (tr *transport) Read(p []byte) (int, error) {
	c := (*Conn)(tr)
	for {
		if c.in != nil {
			n := copy(p, c.in.Bytes())
			c.in.Consume(n)
			if c.in.Len() == 0 {
				c.raw.Loop().PutBuf(c.in)
				c.in = nil
			}
			return n, nil
		}
		b := c.raw.Loop().GetBuf()
		n, err := c.raw.TryRecv(b)
		if n > 0 {
			c.in = b
			continue
		}
		c.raw.Loop().PutBuf(b)
		if err != nil {
			return 0, err
		}
		if c.task == nil {
			return 0, errWouldBlock
		}
		// The peer waits for what was written so far.
		if err := c.flush(c.task, 0); err != nil {
			return 0, err
		}
		if err := c.raw.WaitRead(c.task, c.due); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn. It never waits.
func (tr *transport) Write(p []byte) (int, error) {
	if tr.raw.Closed() {
		return 0, io.ErrClosedPipe
	}
	tr.out = append(tr.out, p...)
	return len(p), nil
}

// Close implements net.Conn: the socket is its owner's.
func (tr *transport) Close() error { return nil }

func (tr *transport) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(tr.raw.LocalAddr()) }
func (tr *transport) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(tr.raw.Peer) }
func (tr *transport) SetDeadline(time.Time) error      { return nil }
func (tr *transport) SetReadDeadline(time.Time) error  { return nil }
func (tr *transport) SetWriteDeadline(time.Time) error { return nil }
