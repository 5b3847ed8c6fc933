package relay

import (
	"unsafe"

	"errors"
	"io"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
)

// ownFields are written by the relay itself, whatever the table says.
const ownFields = h1.IDSet(1<<h1.Host | 1<<h1.Connection | 1<<h1.Upgrade | 1<<h1.ContentLength | 1<<h1.TransferEncoding | 1<<h1.Expect)

// writeRequest sends the head and, when it is here, the body; a body that is
// still coming is left to an upload task.
func (a *attempt) writeRequest() failure {
	ctx := a.ctx
	b := a.r.loop.GetBuf()
	defer a.r.loop.PutBuf(b)
	dst := b.Tail()[:0]
	dst = a.appendHead(dst)
	body := ctx.Body
	if ctx.BodyState == req.BodyNone {
		body = nil
	}
	if ctx.BodyState != req.BodyStreaming && len(dst)+len(body) <= loop.BufSize {
		dst = append(dst, body...)
		body = nil
	}
	a.sent = true
	if err := a.conn.Send(a.t, dst, a.send); err != nil {
		return a.sendFailure(err)
	}
	if len(body) > 0 && ctx.BodyState == req.BodyBuffered {
		if err := a.conn.Send(a.t, body, a.send); err != nil {
			return a.sendFailure(err)
		}
	}
	if ctx.BodyState == req.BodyStreaming {
		a.startUpload()
	}
	return okay
}

func (a *attempt) sendFailure(err error) failure {
	switch {
	case err == loop.ErrTimeout:
		return failSendTimeout
	case a.reused:
		return failStale
	}
	return failSend
}

// appendHead writes the request in one normal form: request line, Host, the
// client's end-to-end fields, our own, the framing.
func (a *attempt) appendHead(dst []byte) []byte {
	ctx, up := a.ctx, a.up
	// nil stands for the client's own, which guard has made normal.
	var target, host []byte
	if len(ctx.UpstreamURI) != 0 {
		target = ctx.UpstreamURI
	}
	switch {
	case len(ctx.UpstreamHost) != 0:
		host = ctx.UpstreamHost
	case up.PassHost == req.PassNodeHost:
		host = up.Hosts[a.node.Index]
	case up.PassHost == req.PassRewrite:
		host = up.Host
	case len(ctx.Host) == 0:
		// HTTP/1.0 without Host: what goes on is HTTP/1.1, which must have one.
		host = up.Hosts[a.node.Index]
	}
	dst = ctx.Req.AppendHead(dst, target, host, ownFields)
	if ctx.Upgrade {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, ctx.Req.GetID(h1.Upgrade)...)
		dst = append(dst, "\r\n"...)
	}
	switch ctx.BodyState {
	case req.BodyBuffered:
		dst = appendLength(dst, int64(len(ctx.Body)))
	case req.BodyStreaming:
		if n := ctx.Req.ContentLength; n >= 0 {
			dst = appendLength(dst, n)
		} else {
			dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
		}
	default:
		if ctx.Req.ContentLength == 0 {
			// Said by the client: POST with an empty body must stay one.
			dst = append(dst, "Content-Length: 0\r\n"...)
		}
	}
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = h1.AppendInt(dst, n)
	return append(dst, "\r\n"...)
}

// upload streams a request body to the node on a task of its own, so that the
// answer is seen even while the body is still coming.
type upload struct {
	a        *attempt
	t        *loop.Task
	main     *loop.Task
	conn     *upConn
	running  bool
	consumed bool // bytes of the body were taken from the client
	fail     failure
	next     *upload
}

func (a *attempt) startUpload() {
	u := a.r.ups
	if u != nil {
		a.r.ups = u.next
		*u = upload{}
	} else {
		u = &upload{}
	}
	u.a, u.main, u.conn, u.running = a, a.t, a.conn, true
	a.upload = u
	a.r.loop.Start(u)
}

// Run implements loop.Runner.
func (u *upload) Run(t *loop.Task) {
	u.t = t
	u.fail = u.pump(t)
	u.running = false
	u.t = nil
	u.main.Wake()
}

func (u *upload) pump(t *loop.Task) failure {
	ctx := u.a.ctx
	if err := ctx.Stream.Continue(t); err != nil {
		return failClient
	}
	chunked := ctx.Req.ContentLength < 0
	var frame [24]byte
	for {
		p, err := ctx.Stream.ReadBody(t)
		if err == io.EOF {
			if ctx.Tap != nil {
				ctx.Tap.BodyPiece(nil, true)
			}
			if chunked {
				return u.end(t)
			}
			return okay
		}
		if err != nil {
			return bodyFailure(err)
		}
		u.consumed = true
		if ctx.Tap != nil {
			ctx.Tap.BodyPiece(p, false)
		}
		if chunked {
			if err := u.conn.SendMore(t, h1.AppendChunkHeader(frame[:0], len(p)), u.a.send); err != nil {
				return u.a.sendFailure(err)
			}
		}
		if err := u.conn.Send(t, p, u.a.send); err != nil {
			return u.a.sendFailure(err)
		}
		if chunked {
			if err := u.conn.SendMore(t, crlf, u.a.send); err != nil {
				return u.a.sendFailure(err)
			}
		}
	}
}

// end sends the last chunk and the trailer fields, which were checked when they
// were read.
func (u *upload) end(t *loop.Task) failure {
	last := lastChunk
	if tr := u.a.ctx.Stream.Trailer(); tr.Len() > 0 {
		last = append([]byte("0\r\n"), tr.AppendTo(nil, 0)...)
		last = append(last, "\r\n"...)
	}
	if err := u.conn.Send(t, last, u.a.send); err != nil {
		return u.a.sendFailure(err)
	}
	return okay
}

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// bodyFailure tells whose fault it is that the request body did not come.
func bodyFailure(err error) failure {
	var bad *h1.Error
	switch {
	case err == loop.ErrTimeout:
		return failUploadTimeout
	case errors.As(err, &bad):
		return failBody
	}
	return failClient
}

// endUpload stops the upload of a request whose answer is complete, and waits
// until its task has let go of the connections.
func (a *attempt) endUpload() {
	u := a.upload
	if u == nil {
		return
	}
	if u.running {
		// It is parked on one of the two sides: reading the client or writing
		// to the node. The node's connection cannot be used again in any case.
		a.ctx.Stream.CancelRead()
		if u.running {
			u.conn.Close()
		}
		for u.running {
			a.t.Park(0)
		}
	}
	a.upload = nil
	a.consumed = a.consumed || u.consumed
	a.uploadFailed = u.fail != okay
	u.next = a.r.ups
	a.r.ups = u
}

// text views b as a string for a call that does not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
