package relay

import (
	"bytes"
	"io"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
)

// readResponse waits for the head, passes it on and then the body.
func (a *attempt) readResponse() failure {
	a.ctx.Resp.Reset()
	b := a.r.loop.GetBuf()
	var first int64 // when the first byte of the head was due
	for got := false; ; {
		if f := a.await(&first); f != okay {
			a.r.loop.PutBuf(b)
			return f
		}
		n, err := a.conn.TryRecv(b)
		if err != nil {
			a.r.loop.PutBuf(b)
			return a.headFailure(got, err)
		}
		if n == 0 {
			continue
		}
		got = true
		f, done := a.head(b)
		if done {
			return f
		}
		if f == okay && len(b.Tail()) == 0 {
			f = failBadHead
		}
		if f != okay {
			a.r.loop.PutBuf(b)
			return f
		}
	}
}

// headFailure classifies an error before the head was complete.
func (a *attempt) headFailure(got bool, err error) failure {
	if u := a.upload; u != nil && !u.running && u.fail != okay && !got {
		return u.fail
	}
	switch {
	case err == loop.ErrTimeout:
		return failReadTimeout
	case !got && a.reused:
		return failStale
	}
	return failClosed
}

// await parks until the node's connection is readable. It ends early when the
// client has left, the upload failed, or the read limit has passed; that limit
// counts from the end of the upload. due keeps it between calls.
func (a *attempt) await(due *int64) failure {
	c, s := a.conn, a.ctx.Stream
	for !c.Readable() {
		if c.Closed() {
			return failClosed
		}
		uploading := false
		if u := a.upload; u != nil {
			// When sending failed the node broke the connection, maybe behind
			// an answer: that, or the break, is read next.
			if !u.running && u.fail != okay && u.fail != failSend && u.fail != failStale {
				return u.fail
			}
			uploading = u.running
		}
		if !uploading && s.Gone() {
			return failClient
		}
		var deadline int64
		if !uploading {
			if *due == 0 {
				*due = a.r.loop.Now() + a.read
			}
			deadline = *due
		}
		if !a.park(!uploading, deadline) {
			return failReadTimeout
		}
	}
	return okay
}

// park suspends the task until something happens on the node's connection, or,
// with watch, the client leaves. It reports false when the deadline passed and
// there is nothing to read.
func (a *attempt) park(watch bool, deadline int64) bool {
	c, s := a.conn, a.ctx.Stream
	if watch {
		s.WatchGone(a.t)
	}
	c.WatchRead(a.t)
	ok := a.t.Park(deadline)
	c.WatchRead(nil)
	if watch {
		s.WatchGone(nil)
	}
	return ok || c.Readable()
}

// head scans what b holds. done says that the response was passed on (or that
// passing it on failed) and b was handed over.
func (a *attempt) head(b *loop.Buf) (f failure, done bool) {
	ctx := a.ctx
	for {
		n, bad := ctx.Resp.Scan(b.Bytes(), nil, ctx.Req.MethodCode)
		if bad != nil {
			return failBadHead, false
		}
		if n == 0 {
			return okay, false
		}
		try := &ctx.Tries[len(ctx.Tries)-1]
		try.Bytes += int64(n)
		b.Consume(n)
		switch {
		case ctx.Resp.StatusCode == 101:
			return a.upgrade(b), true
		case ctx.Resp.StatusCode < 200:
			// Interim answers end here: the client got its own 100, others say
			// nothing that the final head does not.
			ctx.Resp.Reset()
			continue
		}
		try.Status = ctx.Resp.StatusCode
		try.Header = a.r.loop.Now() - try.Start
		if a.retryStatus() {
			return failStatus, false
		}
		a.prepareHead()
		return a.body(b), true
	}
}

// retryStatus tells whether the status leads to another try: the upstream's
// retry_on names it, a try is left, and the request may be sent again. Else the
// client gets the answer as it is.
func (a *attempt) retryStatus() bool {
	s := a.up.RetryStatus
	code := a.ctx.Resp.StatusCode
	if s == nil || code < 400 || code >= 600 || !s[code-400] {
		return false
	}
	return len(a.ctx.Tries) <= a.up.Retries && len(a.ctx.Tries) < len(a.up.Nodes) && a.mayRetry(failStatus)
}

// prepareHead turns the upstream's head into the client's.
func (a *attempt) prepareHead() {
	ctx := a.ctx
	ctx.Source = req.FromUpstream
	resp := &ctx.Resp
	if resp.HasID(h1.KeepAlive) {
		a.announced = keepAliveTimeout(resp.GetID(h1.KeepAlive))
	}
	resp.DropHop()
	resp.DelSet(ours)
	if resp.StatusCode >= 500 || a.r.opts.ShowUpstreamStatus {
		ctx.Scratch = appendStatuses(ctx.Scratch[:0], ctx.Tries)
		resp.Set("X-APISIX-Upstream-Status", ctx.Scratch)
	}
	ctx.MergeExtra()
	ctx.RunHead()
}

// keepAliveTimeout reads timeout=N of a Keep-Alive field, in nanoseconds; 0 when
// it has none.
func keepAliveTimeout(v []byte) int64 {
	const name = "timeout="
	i := bytes.Index(v, []byte(name))
	if i < 0 {
		return 0
	}
	n := int64(0)
	for _, c := range v[i+len(name):] {
		if c < '0' || c > '9' || n > 1e6 {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n * 1e9
}

// ours are written by the gateway and not passed on.
const ours = h1.IDSet(1<<h1.Server | 1<<h1.Date)

// appendStatuses writes the statuses of all tries, "502, 200".
func appendStatuses(dst []byte, tries []req.Try) []byte {
	for i := range tries {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = h1.AppendInt(dst, int64(tries[i].Status))
	}
	return dst
}

// body passes the response body on. b holds what came with the head; body owns
// it.
func (a *attempt) body(b *loop.Buf) failure {
	ctx := a.ctx
	kind := ctx.Resp.Body
	a.started = true
	if kind == h1.BodyNone || !mayHaveBody(ctx) {
		if b.Len() > 0 || kind != h1.BodyNone {
			// More than the head: whatever it is, it belongs to no request. Or a
			// body that a plugin's status rules out: it is left unread.
			a.ctx.Resp.Close = true
		}
		a.r.loop.PutBuf(b)
		if kind != h1.BodyNone {
			ctx.Resp.DelID(h1.ContentLength)
		}
		a.responseComplete()
		if mayHaveBody(ctx) {
			return a.bodyless()
		}
		return a.toClient(ctx.Stream.SendHead(a.t, req.FrameNone, nil, true))
	}
	p := piper{a: a, kind: kind, remaining: ctx.Resp.ContentLength}
	p.chunks = &a.chunks
	p.chunks.Reset()
	p.filter = ctx.FiltersBody()
	p.raw = kind == h1.BodyChunked && !p.filter && ctx.Stream.RawChunks()
	frame := req.FrameChunked
	switch {
	case p.raw:
		frame = req.FrameRaw
	case p.filter:
		ctx.Resp.DelID(h1.ContentLength)
	case kind == h1.BodyLength:
		frame = req.FrameLength
	}
	return p.run(b, frame)
}

// mayHaveBody tells whether the response as the client gets it can have a body.
func mayHaveBody(ctx *req.Ctx) bool {
	s := ctx.Resp.StatusCode
	return s >= 200 && s != 204 && s != 304 && ctx.Req.MethodCode != h1.MethodHead
}

// bodyless passes on a response that the upstream sent without a body and that
// got a status which has one: by a plugin, which may add the body too.
func (a *attempt) bodyless() failure {
	ctx := a.ctx
	b := a.r.loop.GetBuf()
	if ctx.FiltersBody() {
		p := piper{a: a, done: true}
		b = p.filtered(b)
	}
	ctx.Scratch = h1.AppendInt(ctx.Scratch[:0], int64(b.Len()))
	ctx.Resp.Set("Content-Length", ctx.Scratch)
	ctx.Resp.ContentLength = int64(b.Len())
	return a.toClient(ctx.Stream.SendHead(a.t, req.FrameLength, b, true))
}

// toClient classifies the outcome of a write to the client.
func (a *attempt) toClient(err error) failure {
	if err != nil {
		a.ctx.Stream.Abort()
		return failClient
	}
	return okay
}

// responseComplete gives the node's connection back as early as possible:
// before the last bytes go to the client.
func (a *attempt) responseComplete() {
	a.endUpload()
	if a.conn == nil {
		return
	}
	if a.ctx.Resp.Close || a.conn.Closed() || a.uploadFailed {
		a.closeConn()
		return
	}
	a.keepConn()
}

// piper moves a response body from the node to the client.
type piper struct {
	a         *attempt
	kind      h1.BodyKind
	remaining int64
	chunks    *h1.Chunked
	raw       bool
	filter    bool
	done      bool
	excess    bool // bytes followed the end of the body
}

func (p *piper) run(b *loop.Buf, frame req.Framing) failure {
	a := p.a
	ctx, l := a.ctx, a.r.loop
	headSent := false
	for {
		if !p.take(b) {
			l.PutBuf(b)
			return p.broken(headSent)
		}
		if p.done {
			if p.excess {
				ctx.Resp.Close = true
			}
			a.responseComplete()
		}
		if p.filter {
			b = p.filtered(b)
			if ctx.ChunkBad {
				ctx.ChunkBad = false
				l.PutBuf(b)
				return p.broken(headSent)
			}
		}
		if b.Len() == 0 && !p.done && headSent {
			l.PutBuf(b)
		} else {
			n := int64(b.Len())
			var err error
			if !headSent {
				headSent = true
				err = ctx.Stream.SendHead(a.t, frame, b, p.done)
			} else {
				err = ctx.Stream.SendBody(a.t, b, p.done)
			}
			if err != nil {
				return a.toClient(err)
			}
			ctx.Tries[len(ctx.Tries)-1].Bytes += n
		}
		if p.done {
			return okay
		}
		b = l.GetBuf()
		if f := p.fill(b); f != okay {
			l.PutBuf(b)
			if f == failClient {
				ctx.Stream.Abort()
				return failClient
			}
			return p.broken(headSent)
		}
	}
}

// fill reads the next piece from the node. The end of a body that the node
// ends by closing leaves b empty and done set.
func (p *piper) fill(b *loop.Buf) failure {
	a := p.a
	var due int64
	for {
		if f := a.awaitBody(&due); f != okay {
			return f
		}
		n, err := a.conn.TryRecv(b)
		if err == io.EOF && p.kind == h1.BodyUntilClose {
			p.done = true
			a.ctx.Resp.Close = true
			return okay
		}
		if err != nil {
			return failBroken
		}
		if n > 0 {
			return okay
		}
	}
}

// awaitBody is await once the head has been passed on: what the upload does is
// of no more interest.
func (a *attempt) awaitBody(due *int64) failure {
	c, s := a.conn, a.ctx.Stream
	for !c.Readable() {
		if c.Closed() {
			return failClosed
		}
		uploading := a.upload != nil && a.upload.running
		if !uploading && s.Gone() {
			return failClient
		}
		if *due == 0 {
			*due = a.r.loop.Now() + a.read
		}
		if !a.park(!uploading, *due) {
			return failReadTimeout
		}
	}
	return okay
}

// take leaves in b what belongs to the body, as it is to be sent. It reports
// false when the framing is broken.
func (p *piper) take(b *loop.Buf) bool {
	if p.done {
		return true
	}
	switch p.kind {
	case h1.BodyLength:
		if int64(b.Len()) > p.remaining {
			p.excess = true
			b.Truncate(int(p.remaining))
		}
		p.remaining -= int64(b.Len())
		p.done = p.remaining == 0
	case h1.BodyChunked:
		if p.raw {
			n, done, bad := p.chunks.Skim(b.Bytes())
			if bad != nil {
				return false
			}
			p.done, p.excess = done, n < b.Len()
			b.Truncate(n)
			return true
		}
		return p.decode(b)
	}
	return true
}

// decode replaces the chunked coding in b by its payload, in place: payload
// never stands before where it is moved to.
func (p *piper) decode(b *loop.Buf) bool {
	buf := b.Bytes()
	out, in := 0, 0
	for in < len(buf) && !p.done {
		data, n, done, bad := p.chunks.Next(buf[in:])
		if bad != nil {
			return false
		}
		out += copy(buf[out:], data)
		in += n
		p.done = done
		if n == 0 {
			break
		}
	}
	p.excess = p.done && in < len(buf)
	b.Truncate(out)
	return true
}

// filtered runs body_filter over the piece in b and returns a buffer with the
// outcome.
func (p *piper) filtered(b *loop.Buf) *loop.Buf {
	ctx := p.a.ctx
	in := b.Bytes()
	ctx.Chunk, ctx.ChunkLast = in, p.done
	ctx.RunBody()
	out := ctx.Chunk
	ctx.Chunk = nil
	if ctx.ChunkLast && !p.done {
		// A plugin ends the response here: what else comes is of no interest.
		p.done = true
		ctx.Resp.Close = true
		p.a.responseComplete()
	}
	if len(out) == len(in) && (len(out) == 0 || &out[0] == &in[0]) {
		return b
	}
	return p.a.r.replace(b, out)
}

// replace returns a buffer that holds out. One that is larger than a loop's
// buffers gets memory of its own.
func (r *Relay) replace(b *loop.Buf, out []byte) *loop.Buf {
	nb := r.loop.GetBufSize(len(out))
	nb.Append(out)
	r.loop.PutBuf(b)
	return nb
}

// broken ends a response that cannot be completed. Before the head was sent the
// client can still get a proper failure.
func (p *piper) broken(headSent bool) failure {
	if !headSent {
		p.a.started = false
		return failBadHead
	}
	p.a.ctx.Stream.Abort()
	return failBroken
}
