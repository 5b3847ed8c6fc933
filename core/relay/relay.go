// Package relay carries a request to an upstream node and the answer back:
// attempts, time limits, streaming both ways, and the answers the gateway
// makes itself when that fails.
package relay

import (
	"math/rand/v2"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pick"
	"github.com/sluicegw/sluice/lb/pool"
)

// Relay is one loop's upstream side: its connection pools and counters. It is
// used on that loop only.
type Relay struct {
	loop  *loop.Loop
	pool  *pool.Pool[*upConn]
	sweep loop.Timer
	spare *upConn // unused connection records
	tries *attempt
	named namedPools
	ups   *upload
	seed  uint64
	stats Stats
	opts  Options
}

// Options are settings that hold for all upstreams.
type Options struct {
	// ShowUpstreamStatus adds X-APISIX-Upstream-Status to every proxied
	// response instead of those with a 5xx status only.
	ShowUpstreamStatus bool
	// ReplayBytes is how much of a request body is kept so that the request
	// can be sent again. Default 64 KiB.
	ReplayBytes int
}

// New makes the upstream side of loop l.
func New(l *loop.Loop, o Options) *Relay {
	if o.ReplayBytes <= 0 {
		o.ReplayBytes = 64 << 10
	}
	r := &Relay{loop: l, opts: o, seed: rand.Uint64()}
	r.pool = pool.New(0, r.dropped)
	l.Post(func() {
		r.sweep.Init(func() {
			r.Sweep()
			l.SetTimer(&r.sweep, l.Now()+sweepEvery)
		})
		l.SetTimer(&r.sweep, l.Now()+sweepEvery)
	})
	return r
}

// attempt is the state of one request's way through its tries.
type attempt struct {
	r   *Relay
	ctx *req.Ctx
	t   *loop.Task
	up  *req.Upstream
	in  pick.Input

	node    *node.Node
	conn    *upConn
	reused  bool // conn came from the pool
	sent    bool // bytes of the request may have reached the node
	started bool // a response head was passed to the client
	trying  bool // a try is under way: its books are open
	// announced is how long the node says it keeps the connection open, in
	// nanoseconds; 0: it does not say.
	announced int64
	upload    *upload // nil once it has ended
	// consumed: bytes of the request body were taken from the client and are
	// lost to a further try. uploadFailed: the body did not reach the node.
	consumed, uploadFailed bool

	connect, send, read int64 // limits in nanoseconds

	chunks h1.Chunked // of the response body
	next   *attempt
}

func (r *Relay) getAttempt() *attempt {
	a := r.tries
	if a == nil {
		return &attempt{r: r}
	}
	r.tries = a.next
	a.next = nil
	return a
}

// putAttempt ends an attempt. A try that is still under way was left by a
// panic: what it holds is closed, so that nothing leaks and no task goes on.
func (r *Relay) putAttempt(a *attempt) {
	if a.trying {
		if a.conn != nil {
			a.conn.Close()
		}
		a.endUpload()
		a.finishTry(failClient)
	}
	*a = attempt{r: r, chunks: a.chunks, next: r.tries}
	r.tries = a
}

// rand is a fast pseudo-random sequence (splitmix64) of the loop's own.
func (r *Relay) rand() uint64 {
	r.seed += 0x9E3779B97F4A7C15
	z := r.seed
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Do relays the request to ctx.Upstream and sends the client an answer in any
// case. It returns when the response is complete or broken off.
func (r *Relay) Do(ctx *req.Ctx) {
	up := ctx.Upstream
	if up == nil || up.Picker == nil {
		ctx.Source = req.FromGateway
		r.answerFailure(ctx, failNoNodes)
		return
	}
	a := r.getAttempt()
	defer r.putAttempt(a)
	a.ctx, a.t, a.up = ctx, ctx.Task, up
	a.limits()
	up.Budget.Request()
	if up.Key != nil {
		ctx.HashKey = up.Key(ctx.HashKey[:0], ctx)
		a.in.Key = ctx.HashKey
	}
	a.in.Rand = r.rand()
	if ctx.BodyState == req.BodyStreaming {
		// A body that is here already is kept, so that the request can be
		// sent again and needs no second task.
		if err := ctx.Stream.TakeBody(r.opts.ReplayBytes); err != nil {
			r.clientFailed(ctx, err)
			return
		}
	}
	a.run()
}

func (a *attempt) limits() {
	a.connect, a.send, a.read = a.up.Connect, a.up.Send, a.up.Read
	if e := a.ctx.Eff; e != nil && e.Connect > 0 {
		a.connect, a.send, a.read = e.Connect, e.Send, e.Read
	}
}

// run makes attempts until one gives an answer or none may follow.
func (a *attempt) run() {
	ctx, up := a.ctx, a.up
	left := up.Retries
	for {
		a.in.Now, a.in.Tried = a.r.loop.Now(), ctx.Tried
		a.node = up.Picker.Pick(&a.in)
		if a.node == nil {
			if len(ctx.Tries) == 0 {
				a.r.answerFailure(ctx, failNoNodes)
			} else {
				a.r.answerFailure(ctx, failNoneLeft)
			}
			return
		}
		f := a.try()
		a.finishTry(f)
		if f == okay || a.started {
			return
		}
		switch f {
		case failClient:
			a.r.clientFailed(ctx, loop.ErrClosed)
			return
		case failBody, failUploadTimeout:
			a.r.clientFault(ctx, f)
			return
		}
		if f != failStatus && (left <= 0 || !a.mayRetry(f)) {
			a.r.answerFailure(ctx, f)
			return
		}
		left--
		a.r.stats.Retries++
	}
}

// try sends the request to a.node once; on a pooled connection that turns out
// to be stale it does so again on a new one.
func (a *attempt) try() failure {
	ctx := a.ctx
	ctx.Tried = append(ctx.Tried, a.node)
	ctx.Tries = append(ctx.Tries, req.Try{Node: a.node, Start: a.r.loop.Now(), Connect: -1, Header: -1})
	a.sent, a.trying = false, true
	if ctx.RunPhase(req.BeforeProxy) == req.Exit {
		a.r.Answer(ctx)
		a.started = true
		return okay
	}
	for fresh := false; ; fresh = true {
		if f := a.open(fresh); f != okay {
			return f
		}
		f := a.exchange()
		if f != failStale {
			return f
		}
		if !a.mayResend() {
			return failClosed
		}
		a.r.stats.Stale++
		a.closeConn()
	}
}

// exchange writes the request and passes the response on.
func (a *attempt) exchange() failure {
	if f := a.writeRequest(); f != okay {
		return f
	}
	f := a.readResponse()
	a.endUpload()
	return f
}

// open takes a pooled connection unless a fresh one is asked for, or dials.
func (a *attempt) open(fresh bool) failure {
	try := &a.ctx.Tries[len(a.ctx.Tries)-1]
	id := a.up.Pools[a.node.Index]
	if a.up.TLS != nil && a.up.TLS.ByNode == nil {
		id = a.r.named.pool(a.up, a.node, serverName(a.ctx.Host))
	}
	if !fresh {
		if c := a.r.take(id); c != nil {
			a.conn, a.reused = c, true
			try.Connect = 0
			return okay
		}
	}
	a.reused = false
	start := a.r.loop.Now()
	c := a.r.newConn(id)
	err := a.r.loop.Dial(a.t, &c.Conn, a.node.Addr, start+a.connect)
	if err == nil && a.up.TLS != nil {
		if err = a.handshake(c, start+a.connect); err != nil {
			c.Close()
		}
	}
	if err != nil {
		a.r.freeConn(c)
		if err == loop.ErrTimeout {
			return failConnectTimeout
		}
		return failConnect
	}
	try.Connect = a.r.loop.Now() - start
	a.conn = c
	return okay
}

// finishTry settles the books of the running try.
func (a *attempt) finishTry(f failure) {
	a.trying = false
	now := a.r.loop.Now()
	try := &a.ctx.Tries[len(a.ctx.Tries)-1]
	try.Total = now - try.Start
	if try.Status == 0 && f != okay && f != failClient {
		try.Status = failures[f].status
	}
	ok := f == okay || f == failClient
	a.up.Picker.Done(a.node, now, try.Total, ok)
	switch {
	case try.Header >= 0:
		a.up.Checks.Response(a.node, try.Status, now)
	case failures[f].report != node.Success:
		a.up.Checks.Failure(a.node, failures[f].report, now)
	}
	if a.conn != nil {
		a.closeConn()
	}
}

func (a *attempt) closeConn() {
	c := a.conn
	a.conn = nil
	c.Close()
	a.r.freeConn(c)
}

// keepConn gives the connection back to its pool: the exchange on it is
// complete.
func (a *attempt) keepConn() {
	c := a.conn
	a.conn = nil
	if !c.usable() {
		c.Close()
		a.r.freeConn(c)
		return
	}
	a.r.put(c, a.up.Limits, a.announced)
}
