package listen

import (
	"io"
	"net/netip"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/relay"
	"github.com/sluicegw/sluice/core/req"
)

// client is a client's connection. While it is idle it is this record and
// nothing else: no goroutine, no buffer.
type client struct {
	conn       loop.Conn
	w          *worker
	prev, next *client
	x          *exchange // the request in flight
	part       []byte    // the beginning of a head that is not complete
	id         uint64
	requests   uint32
	local      netip.AddrPort
}

func (c *client) link(w *worker) {
	c.next, c.prev = w.clients.next, &w.clients
	c.next.prev, c.prev.next = c, c
	w.stats.Active.Store(w.stats.Active.Load() + 1)
}

// close ends the connection and forgets the record. No request may be in
// flight.
func (c *client) close() {
	w := c.w
	c.conn.Close()
	c.prev.next, c.next.prev = c.next, c.prev
	w.stats.Active.Store(w.stats.Active.Load() - 1)
	w.freeClient(c)
}

// Ready implements loop.Handler: bytes came while no request was in flight.
func (c *client) Ready(*loop.Conn) {
	if c.x != nil {
		return // looked at when the request is done
	}
	w := c.w
	b := w.loop.GetBuf()
	if len(c.part) > 0 {
		b.Append(c.part)
	}
	n, err := c.conn.TryRecv(b)
	if err != nil || n == 0 {
		w.loop.PutBuf(b)
		if err != nil {
			if err != io.EOF && len(c.part) > 0 {
				add(&w.stats.Aborted)
			}
			c.close()
		}
		return
	}
	c.begin(b)
}

// begin looks for a head in b, which it takes over, and starts its request.
func (c *client) begin(b *loop.Buf) {
	x := c.w.newExchange()
	if x.scan(c, b) {
		c.w.loop.Start(x)
		return
	}
	c.keepPart(b)
	c.w.freeExchange(x)
}

// keepPart stores an incomplete head until more of it comes.
func (c *client) keepPart(b *loop.Buf) {
	first := len(c.part) == 0
	c.part = append(c.part[:0], b.Bytes()...)
	c.w.loop.PutBuf(b)
	if first && c.requests > 0 && c.x == nil {
		c.conn.SetIdle(c.w.after(c.w.srv.cfg.HeaderTimeout))
	}
}

// Expired implements loop.Handler: the connection was idle, or its head
// unfinished, for too long.
func (c *client) Expired(*loop.Conn) {
	if c.x != nil {
		return
	}
	if len(c.part) > 0 {
		add(&c.w.stats.Timeouts)
		_, _ = c.conn.TrySend(headTimeout)
	}
	c.close()
}

var headTimeout = []byte("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

// exchange is one request on a client's HTTP/1.x connection: the context, and
// what the stream keeps.
type exchange struct {
	req.Ctx
	w     *worker
	c     *client
	buf   *loop.Buf // received and not yet read: body, then what follows it
	nextX *exchange

	bad       *h1.Error // the head was refused
	remaining int64     // of a body with Content-Length
	payload   int64     // of a chunked body so far
	chunks    h1.Chunked
	bodyDone  bool
	waiting   bool // the client waits for 100 (Continue)
	frame     req.Framing
	headSent  bool
	ended     bool // the response is complete
	close     bool // the connection ends with this response
	aborted   bool
	hijacked  bool
}

// scan looks for a complete head in b and makes x its request.
func (x *exchange) scan(c *client, b *loop.Buf) bool {
	n, bad := x.Req.Scan(b.Bytes(), &x.w.srv.cfg.Limits)
	if n == 0 && bad == nil {
		return false
	}
	c.part = c.part[:0]
	c.x = x
	c.requests++
	c.conn.SetIdle(0)
	b.Consume(n)
	if b.Len() == 0 {
		// No buffer is held while the request is in flight: they are few, hot
		// in the cache, and requests that wait are many.
		x.w.loop.PutBuf(b)
		b = nil
	}
	x.c, x.buf, x.bad = c, b, bad
	x.Peer, x.Local = c.conn.Peer, c.local
	x.Client = c.conn.Peer.Addr()
	x.ConnID, x.ConnRequests = c.id, c.requests
	x.Start, x.Wall = x.w.loop.Now(), x.w.loop.Wall()
	x.BytesIn = int64(n)
	x.remaining = max(x.Req.ContentLength, 0)
	x.chunks.Reset()
	x.payload = 0
	x.bodyDone = x.remaining == 0 && !x.Req.Chunked
	x.waiting = x.Req.Expect100 && !x.bodyDone
	x.frame, x.headSent, x.ended = req.FrameNone, false, false
	x.close, x.aborted, x.hijacked = false, false, false
	x.BodyState = req.BodyNone
	if !x.bodyDone {
		x.BodyState = req.BodyStreaming
	}
	return true
}

// burst is how many requests of one connection are served before the other
// connections of the loop get their turn.
const burst = 32

// Run implements loop.Runner: one request, and then those that the client had
// sent behind it.
func (x *exchange) Run(t *loop.Task) {
	for n := 1; ; n++ {
		x.Task = t
		add(&x.w.stats.Requests)
		if x.bad != nil {
			x.refuse(x.bad)
		} else {
			x.serve()
		}
		if !x.next() {
			return
		}
		if n%burst == 0 {
			t.Yield()
		}
	}
}

// next ends the request. It reports true when another one is at hand, which x
// is now; else x was given back and the connection is idle or closed.
func (x *exchange) next() bool {
	w, c, b := x.w, x.c, x.buf
	x.buf = nil
	if x.hijacked || x.close || x.aborted || !x.ended || !x.bodyDone {
		w.loop.PutBuf(b)
		if x.lingers() {
			linger(x.Task, &c.conn)
		}
		w.freeExchange(x)
		c.x = nil
		c.close()
		return false
	}
	x.Ctx.Reset()
	if b != nil && b.Len() == 0 {
		w.loop.PutBuf(b)
		b = nil
	}
	if b == nil {
		if !c.conn.Readable() {
			w.freeExchange(x)
			c.idle()
			return false
		}
		b = w.loop.GetBuf()
		if n, err := c.conn.TryRecv(b); err != nil || n == 0 {
			w.loop.PutBuf(b)
			w.freeExchange(x)
			c.x = nil
			if err != nil {
				c.close()
			} else {
				c.idle()
			}
			return false
		}
	}
	if x.scan(c, b) {
		return true
	}
	w.freeExchange(x)
	c.x = nil
	c.conn.SetIdle(w.after(w.srv.cfg.HeaderTimeout))
	c.keepPart(b)
	return false
}

// idle leaves the connection to its next event.
func (c *client) idle() {
	c.x = nil
	if c.w.srv.drain.Load() {
		c.close()
		return
	}
	c.conn.SetIdle(c.w.after(c.w.srv.cfg.KeepaliveTimeout))
}

// refuse answers a head that was not understood, and closes.
func (x *exchange) refuse(e *h1.Error) {
	add(&x.w.stats.Bad)
	x.close = true
	x.BodyState = req.BodyNone
	relay.Refuse(x.w.relay, &x.Ctx, e.Status)
}
