package listen

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/relay"
	"github.com/sluicegw/sluice/core/req"
)

// worker is what one loop holds for its clients. It is used on that loop only,
// except for stats.
type worker struct {
	srv       *Server
	loop      *loop.Loop
	relay     *relay.Relay
	listeners []*loop.Listener
	clients   client // sentinel of the list of open connections
	spare     *client
	spareX    *exchange
	date      dateCache
	stats     Counters
	watch     req.Watch
	lastError int64
}

// Counters are one loop's client-side counters: one writer, any reader.
type Counters struct {
	Active   atomic.Int64  // open client connections
	Accepted atomic.Uint64 // connections so far
	Refused  atomic.Uint64 // closed at once: the loop's limit was reached
	Requests atomic.Uint64 // requests begun
	Bad      atomic.Uint64 // malformed requests
	Panics   atomic.Uint64 // requests that a panic ended
	Aborted  atomic.Uint64 // clients that left before their answer was complete
	Timeouts atomic.Uint64 // clients that were too slow
	Status   [6]atomic.Uint64
	_        [64]byte
}

func add(c *atomic.Uint64) { c.Store(c.Load() + 1) }

func (w *worker) listen(sk Socket) error {
	ln, err := w.loop.Listen(sk.FD, w.accept)
	if err != nil {
		return fmt.Errorf("accept on %s: %w", sk.Addr, err)
	}
	ln.OnError = w.acceptFailed
	w.listeners = append(w.listeners, ln)
	return nil
}

func (w *worker) accept(fd int, peer netip.AddrPort) {
	add(&w.stats.Accepted)
	if int(w.stats.Active.Load()) >= w.srv.cfg.MaxConns {
		add(&w.stats.Refused)
		_, _ = unix.Write(fd, refusal)
		unix.Close(fd)
		return
	}
	c := w.newClient()
	if err := c.conn.Init(w.loop, fd, c); err != nil {
		unix.Close(fd)
		w.freeClient(c)
		w.acceptFailed(err)
		return
	}
	c.conn.Peer = peer
	c.local = c.conn.LocalAddr()
	c.id = w.srv.connID.Add(1)
	c.link(w)
	// The limit for the first head counts from here.
	c.conn.SetIdle(w.after(w.srv.cfg.HeaderTimeout))
}

var refusal = []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

func (w *worker) acceptFailed(err error) {
	if now := w.loop.Now(); now-w.lastError > int64(time.Second) {
		w.lastError = now
		w.srv.log.Error("cannot accept connections: raise worker_rlimit_nofile or lower worker_connections", "loop", w.loop.ID, "error", err)
	}
}

// after is the clock time d from now, or 0 for no limit.
func (w *worker) after(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return w.loop.Now() + int64(d)
}

func (w *worker) newClient() *client {
	c := w.spare
	if c == nil {
		return &client{w: w}
	}
	w.spare = c.next
	c.next = nil
	return c
}

func (w *worker) freeClient(c *client) {
	part := c.part[:0]
	if cap(part) > 4<<10 {
		part = nil
	}
	*c = client{w: w, next: w.spare, part: part}
	w.spare = c
}

func (w *worker) newExchange() *exchange {
	x := w.spareX
	if x == nil {
		x = &exchange{w: w}
		x.Stream = x
		x.Loop, x.Watch, x.Inner = w.loop, &w.watch, w
		x.Ctx.Reset()
		return x
	}
	w.spareX = x.nextX
	x.nextX = nil
	return x
}

func (w *worker) freeExchange(x *exchange) {
	x.Ctx.Reset()
	x.c, x.buf = nil, nil
	x.nextX = w.spareX
	w.spareX = x
}

// drainGrace is how long a connection without a request may stay open while
// draining: a client that is just sending one gets it answered, with
// Connection: close, instead of a reset.
const drainGrace = int64(time.Second)

// startDrain stops accepting and lets the connections come to their end.
func (w *worker) startDrain() {
	for _, ln := range w.listeners {
		// Those that wait already are served: nobody else may hold the socket.
		ln.Flush()
		ln.Close()
	}
	w.listeners = nil
	for c := w.clients.next; c != &w.clients; c = c.next {
		if c.x == nil && len(c.part) == 0 {
			c.conn.SetIdle(w.loop.Now() + drainGrace)
		}
	}
	w.relay.CloseIdle()
}

// dateCache holds the Date field of the running second.
type dateCache struct {
	second int64
	text   [29]byte
}

func (d *dateCache) get(wall int64) []byte {
	s := wall / int64(time.Second)
	if s != d.second {
		d.second = s
		time.Unix(s, 0).UTC().AppendFormat(d.text[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return d.text[:]
}
