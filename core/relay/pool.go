package relay

import (
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
)

// upConn is a connection to an upstream node.
type upConn struct {
	loop.Conn
	r        *Relay
	pool     int64
	limit    int32
	requests uint32
	idleFor  int64
	prev     *upConn // toward the more recently used
	next     *upConn // toward the longer idle; also the list of spare records
	pooled   bool
}

// bucket holds a node's idle connections on this loop, most recently used
// first: the last one used is the one whose caches are warm and whose peer is
// least likely to have closed it.
type bucket struct {
	newest, oldest *upConn
	n              int32
}

func (r *Relay) bucket(id int64) *bucket {
	i := int(uint32(id))
	for i >= len(r.pools) {
		r.pools = append(r.pools, make([]bucket, max(16, len(r.pools)))...)
	}
	return &r.pools[i]
}

// take returns an idle connection to n that is still good, or nil.
func (r *Relay) take(up *req.Upstream, n *node.Node) *upConn {
	id := up.Pools[n.Index]
	b := r.bucket(id)
	for c := b.newest; c != nil; c = b.newest {
		b.unlink(c)
		c.SetIdle(0)
		c.SetHandler(nil)
		if c.pool == id && c.Fresh() {
			r.stats.Reused++
			r.stats.Idle--
			return c
		}
		r.stats.Idle--
		c.Close()
		r.freeConn(c)
	}
	return nil
}

// put makes c idle. The longest idle one leaves a full pool.
func (r *Relay) put(c *upConn) {
	b := r.bucket(c.pool)
	if c.limit <= 0 {
		c.Close()
		r.freeConn(c)
		return
	}
	if b.n >= c.limit {
		old := b.oldest
		b.unlink(old)
		r.stats.Idle--
		old.Close()
		r.freeConn(old)
	}
	c.next, c.prev = b.newest, nil
	if b.newest != nil {
		b.newest.prev = c
	} else {
		b.oldest = c
	}
	b.newest = c
	b.n++
	c.pooled = true
	r.stats.Idle++
	c.SetHandler(c)
	c.SetIdle(r.loop.Now() + c.idleFor)
}

func (b *bucket) unlink(c *upConn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		b.newest = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		b.oldest = c.prev
	}
	c.prev, c.next = nil, nil
	c.pooled = false
	b.n--
}

// Ready implements loop.Handler: an idle connection spoke or was closed;
// either way it is of no more use.
func (c *upConn) Ready(*loop.Conn) { c.drop() }

// Expired implements loop.Handler: the idle time is over.
func (c *upConn) Expired(*loop.Conn) { c.drop() }

func (c *upConn) drop() {
	if !c.pooled {
		return
	}
	r := c.r
	r.bucket(c.pool).unlink(c)
	r.stats.Idle--
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
	}
	c.pool = up.Pools[n.Index]
	c.limit, c.idleFor = int32(up.PoolSize), up.PoolIdle
	c.requests = 0
	return c
}

func (r *Relay) freeConn(c *upConn) {
	c.prev, c.pooled = nil, false
	c.next = r.spare
	r.spare = c
}

// CloseIdle closes every pooled connection: the loop is draining.
func (r *Relay) CloseIdle() {
	for i := range r.pools {
		for c := r.pools[i].oldest; c != nil; c = r.pools[i].oldest {
			c.drop()
		}
	}
}

// Stats counts what happened on one loop. Read on the loop only.
type Stats struct {
	Reused, Stale uint64
	Idle          int64
	Retries       uint64
}

// Stats returns the counters so far.
func (r *Relay) Stats() Stats { return r.stats }
