package relay

import (
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pool"
)

// upConn is a connection to an upstream node.
type upConn struct {
	loop.Conn
	pool.Item[*upConn]
	r    *Relay
	id   pool.ID
	next *upConn // of the spare records
}

// take returns an idle connection to n that is still good, or nil.
func (r *Relay) take(up *req.Upstream, n *node.Node) *upConn {
	for {
		it := r.pool.Take(up.Pools[n.Index], r.loop.Now())
		if it == nil {
			return nil
		}
		c := it.Conn
		c.SetHandler(nil)
		if c.Fresh() {
			return c
		}
		c.Close()
		r.freeConn(c)
	}
}

// put makes c idle, or closes it when it may not be kept.
func (r *Relay) put(c *upConn, up *req.Upstream) {
	c.SetHandler(c)
	r.pool.Put(c.id, &c.Item, r.loop.Now(), up.Limits)
}

// Ready implements loop.Handler: an idle connection spoke or was closed; either
// way it is of no more use.
func (c *upConn) Ready(*loop.Conn) {
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

// newConn gives an unconnected record for a connection to n.
func (r *Relay) newConn(up *req.Upstream, n *node.Node) *upConn {
	c := r.spare
	if c != nil {
		r.spare = c.next
		c.next = nil
	} else {
		c = &upConn{r: r}
		c.Item.Conn = c
	}
	c.id = up.Pools[n.Index]
	c.Uses = 0
	return c
}

func (r *Relay) freeConn(c *upConn) {
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
