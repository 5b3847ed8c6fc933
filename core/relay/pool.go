package relay

import (
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/secure"
	"github.com/sluicegw/sluice/lb/pool"
)

// upConn is a connection to an upstream node.
type upConn struct {
	loop.Conn
	pool.Item[*upConn]
	r    *Relay
	id   pool.ID
	tls  *secure.Conn
	next *upConn // of the spare records
}

var _ req.Duplex = (*upConn)(nil)

// The methods below stand before those of the socket: with TLS payload is not
// what the socket carries.

// TryRecv is loop.Conn's on payload.
func (c *upConn) TryRecv(b *loop.Buf) (int, error) {
	if c.tls != nil {
		return c.tls.TryRecv(b)
	}
	return c.Conn.TryRecv(b)
}

// Readable is loop.Conn's on payload.
func (c *upConn) Readable() bool {
	if c.tls != nil {
		return c.tls.Readable()
	}
	return c.Conn.Readable()
}

// WaitRead is loop.Conn's on payload.
func (c *upConn) WaitRead(t *loop.Task, deadline int64) error {
	if c.tls != nil && c.tls.Readable() {
		return nil
	}
	return c.Conn.WaitRead(t, deadline)
}

// Send is loop.Conn's on payload.
func (c *upConn) Send(t *loop.Task, p []byte, silence int64) error {
	if c.tls != nil {
		return c.tls.Send(t, p, silence)
	}
	return c.Conn.Send(t, p, silence)
}

// SendMore is loop.Conn's on payload.
func (c *upConn) SendMore(t *loop.Task, p []byte, silence int64) error {
	if c.tls != nil {
		return c.tls.Send(t, p, silence)
	}
	return c.Conn.SendMore(t, p, silence)
}

// CloseWrite is loop.Conn's with TLS's own notice before it.
func (c *upConn) CloseWrite() {
	if c.tls != nil {
		c.tls.CloseNotify()
	}
	c.Conn.CloseWrite()
}

// usable tells whether an idle connection may serve another request: it is
// open and nothing was said on it. What TLS itself says (session tickets come
// when they please) does not count.
func (c *upConn) usable() bool {
	if c.tls == nil || c.Closed() || c.PeerGone() {
		return c.Fresh()
	}
	if !c.Readable() {
		return true
	}
	b := c.r.loop.GetBuf()
	n, err := c.tls.TryRecv(b)
	c.r.loop.PutBuf(b)
	return n == 0 && err == nil && !c.PeerGone()
}

// take returns an idle connection of pool id that is still good, or nil.
func (r *Relay) take(id pool.ID) *upConn {
	for {
		it := r.pool.Take(id, r.loop.Now())
		if it == nil {
			return nil
		}
		c := it.Conn
		c.SetHandler(nil)
		if c.usable() {
			return c
		}
		c.Close()
		r.freeConn(c)
	}
}

// keepMargin is taken off the time that a node announces: a request must not be
// on its way when that time is over.
const keepMargin = int64(1e9)

// put makes c idle, or closes it when it may not be kept.
func (r *Relay) put(c *upConn, l pool.Limits, announced int64) {
	if announced > 0 && announced-keepMargin < l.Idle {
		l.Idle = announced - keepMargin
	}
	c.SetHandler(c)
	r.pool.Put(c.id, &c.Item, r.loop.Now(), l)
}

// Ready implements loop.Handler: an idle connection spoke or was closed; either
// way it is of no more use.
func (c *upConn) Ready(*loop.Conn) {
	if c.tls != nil && c.usable() {
		return
	}
	if c.r.pool.Remove(&c.Item) {
		c.Close()
		c.r.freeConn(c)
	}
}

// Expired implements loop.Handler. Idle times are the pool's affair.
func (c *upConn) Expired(*loop.Conn) {}

// dropped is told of connections that the pool gives up.
func (r *Relay) dropped(c *upConn, _ pool.Reason) {
	c.Close()
	r.freeConn(c)
}

// newConn gives an unconnected record for a connection of pool id.
func (r *Relay) newConn(id pool.ID) *upConn {
	c := r.spare
	if c != nil {
		r.spare = c.next
		c.next = nil
	} else {
		c = &upConn{r: r}
		c.Item.Conn = c
	}
	c.id = id
	c.Uses = 0
	return c
}

func (r *Relay) freeConn(c *upConn) {
	if c.tls != nil {
		c.tls.Release()
		c.tls = nil
	}
	c.next = r.spare
	r.spare = c
}

// CloseIdle closes every pooled connection: the loop is draining.
func (r *Relay) CloseIdle() { r.pool.Clear() }

// sweepEvery is the time between two looks for idle connections whose time is
// over, sweepBudget how many are looked at.
const (
	sweepEvery  = int64(500e6)
	sweepBudget = 256
)

// Sweep closes idle connections whose time is over. The loop calls it now and
// then.
func (r *Relay) Sweep() { r.pool.Sweep(r.loop.Now(), sweepBudget) }

// Stats counts what happened on one loop. Read on the loop only.
type Stats struct {
	Pool    pool.Stats
	Stale   uint64 // pooled connections that the peer had closed unnoticed
	Retries uint64
	Refused uint64 // retries that the budget did not allow
}

// Stats returns the counters so far.
func (r *Relay) Stats() Stats {
	s := r.stats
	s.Pool = r.pool.Stats()
	return s
}
