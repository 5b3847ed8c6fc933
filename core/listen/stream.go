package listen

import (
	"io"
	"time"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
)

var _ req.Stream = (*exchange)(nil)

// ReadBody implements req.Stream.
func (x *exchange) ReadBody(t *loop.Task) ([]byte, error) {
	for {
		if x.bodyDone {
			return nil, io.EOF
		}
		if x.unread() > 0 {
			p, bad := x.nextPiece(x.buf.Bytes())
			if bad != nil {
				return nil, bad
			}
			if len(p) > 0 {
				return p, nil
			}
			continue
		}
		if err := x.receive(t); err != nil {
			return nil, err
		}
	}
}

// unread is how much was received and not read yet.
func (x *exchange) unread() int {
	if x.buf == nil {
		return 0
	}
	return x.buf.Len()
}

// receive reads from the client when everything received was read. While it
// waits it holds no buffer.
func (x *exchange) receive(t *loop.Task) error {
	x.w.loop.PutBuf(x.buf)
	x.buf = nil
	if !x.c.conn.Readable() {
		if err := x.c.conn.WaitRead(t, x.w.after(x.w.srv.cfg.BodyTimeout)); err != nil {
			if err == loop.ErrTimeout {
				add(&x.w.stats.Timeouts)
			}
			return err
		}
	}
	x.buf = x.w.loop.GetBuf()
	n, err := x.c.conn.TryRecv(x.buf)
	x.BytesIn += int64(n)
	if err == io.EOF {
		// io.EOF means a complete body to the caller; this one is not.
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextPiece takes payload from the received bytes p.
func (x *exchange) nextPiece(p []byte) ([]byte, *h1.Error) {
	if !x.Req.Chunked {
		if int64(len(p)) > x.remaining {
			p = p[:x.remaining]
		}
		x.remaining -= int64(len(p))
		x.bodyDone = x.remaining == 0
		x.buf.Consume(len(p))
		return p, nil
	}
	data, n, done, bad := x.chunks.Next(p)
	if bad != nil {
		return nil, x.badBody(bad)
	}
	x.buf.Consume(n)
	x.bodyDone = done
	x.payload += int64(len(data))
	most := x.w.srv.cfg.Limits.MaxBody
	if x.MaxBody > 0 {
		most = x.MaxBody
	}
	if most > 0 && x.payload > most {
		return nil, x.badBody(h1.ErrBodyTooLarge)
	}
	return data, nil
}

// badBody notes that the body is at fault: what follows on the connection
// cannot be told from the rest of it.
func (x *exchange) badBody(bad *h1.Error) *h1.Error {
	x.close = true
	x.BodyError = bad
	return bad
}

// Trailer implements req.Stream.
func (x *exchange) Trailer() *h1.Header { return x.chunks.Trailer() }

// TakeBody implements req.Stream.
func (x *exchange) TakeBody(limit int) error {
	if x.bodyDone {
		return nil
	}
	if !x.Req.Chunked {
		n := x.remaining
		if n > int64(limit) || n > int64(x.unread()) {
			return nil
		}
		x.Body = append(x.Body[:0], x.buf.Bytes()[:n]...)
		x.buf.Consume(int(n))
		x.remaining, x.bodyDone = 0, true
		x.BodyState = req.BodyBuffered
		return nil
	}
	if x.buf == nil {
		return nil
	}
	// Look whether the end of the last chunk is here before taking any.
	probe := x.chunks
	n, done, bad := probe.Skim(x.buf.Bytes())
	if bad != nil {
		return x.badBody(bad)
	}
	if !done || n > limit {
		return nil
	}
	x.Body = x.Body[:0]
	for !x.bodyDone {
		data, bad := x.nextPiece(x.buf.Bytes())
		if bad != nil {
			return bad
		}
		x.Body = append(x.Body, data...)
	}
	x.BodyState = req.BodyBuffered
	return nil
}

var continue100 = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Continue implements req.Stream.
func (x *exchange) Continue(t *loop.Task) error {
	if !x.waiting {
		return nil
	}
	x.waiting = false
	if x.unread() > 0 {
		return nil // it did not wait
	}
	return x.c.conn.Send(t, continue100, int64(x.w.srv.cfg.SendTimeout))
}

// RawChunks implements req.Stream: HTTP/1.0 has no chunked coding.
func (x *exchange) RawChunks() bool { return x.Req.Minor == 1 }

// SendHead implements req.Stream.
func (x *exchange) SendHead(t *loop.Task, f req.Framing, b *loop.Buf, last bool) error {
	resp := &x.Resp
	x.headSent = true
	x.Status = resp.StatusCode
	x.frame = f
	chunked := f == req.FrameChunked && x.Req.Minor == 1
	if f == req.FrameChunked && !chunked {
		x.close = true
	}
	if x.keepAliveEnds() {
		x.close = true
	}
	hb := x.w.loop.GetBuf()
	dst := hb.Tail()[:0]
	dst = resp.AppendHead(dst, hopFields)
	dst = x.appendOwn(dst, chunked || f == req.FrameRaw)
	if len(dst) > len(hb.Tail()) {
		// A head that plugins made larger than a buffer has moved.
		x.w.loop.PutBuf(hb)
		hb = x.w.loop.GetBufSize(len(dst))
		hb.Append(dst)
	} else {
		hb.Extend(len(dst))
	}
	if b == nil {
		return x.write(t, hb, last)
	}
	if chunked {
		b = x.frameChunk(b, last)
	}
	// One packet, one call: put the head in front of the body when it fits
	// there, else the body behind the head.
	switch {
	case b.Room() >= hb.Len():
		b.Prepend(hb.Bytes())
		x.w.loop.PutBuf(hb)
		return x.write(t, b, last)
	case b.Len() <= len(hb.Tail()):
		hb.Append(b.Bytes())
		x.w.loop.PutBuf(b)
		return x.write(t, hb, last)
	}
	if err := x.writeMore(t, hb); err != nil {
		x.w.loop.PutBuf(b)
		return err
	}
	return x.write(t, b, last)
}

// hopFields never pass to the client as they came (RFC 9110 section 7.6.1).
const hopFields = h1.IDSet(1<<h1.Connection | 1<<h1.KeepAlive | 1<<h1.TransferEncoding | 1<<h1.ProxyConnection)

// keepAliveEnds decides whether the connection ends with this response: when
// the client or a limit says so, and when a body is still to come that nobody
// is going to read.
func (x *exchange) keepAliveEnds() bool {
	return x.Req.Close || x.c.requests >= x.w.srv.cfg.KeepaliveRequests || x.w.srv.drain.Load() ||
		!x.bodyDone && (x.waiting || x.Source != req.FromUpstream)
}

// appendOwn writes the fields that are the gateway's own and the blank line.
func (x *exchange) appendOwn(dst []byte, chunked bool) []byte {
	if s := x.w.srv.cfg.ServerHeader; s != "" && !x.Resp.HasID(h1.Server) {
		dst = append(dst, "Server: "...)
		dst = append(dst, s...)
		dst = append(dst, "\r\n"...)
	}
	if !x.Resp.HasID(h1.Date) {
		dst = append(dst, "Date: "...)
		dst = append(dst, x.w.date.get(x.w.loop.Wall())...)
		dst = append(dst, "\r\n"...)
	}
	if chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case x.Resp.StatusCode == 101:
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case x.close:
		dst = append(dst, "Connection: close\r\n"...)
	case x.Req.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// frameChunk wraps the piece in b as a chunk, and ends the body after it when
// last.
func (x *exchange) frameChunk(b *loop.Buf, last bool) *loop.Buf {
	var size [24]byte
	head := h1.AppendChunkHeader(size[:0], b.Len())
	tail := "\r\n"
	if last {
		tail = "\r\n0\r\n\r\n"
	}
	if b.Len() == 0 {
		// An empty piece has no chunk of its own: that would end the body.
		head, tail = nil, ""
		if last {
			tail = "0\r\n\r\n"
		}
	}
	if b.Room() < len(head) || len(b.Tail()) < len(tail) {
		nb := x.w.loop.GetBufSize(b.Len() + len(tail))
		nb.Append(b.Bytes())
		x.w.loop.PutBuf(b)
		b = nb
	}
	b.Prepend(head)
	b.Append([]byte(tail))
	return b
}

// SendBody implements req.Stream.
func (x *exchange) SendBody(t *loop.Task, b *loop.Buf, last bool) error {
	if x.frame == req.FrameChunked && x.Req.Minor == 1 {
		if b == nil {
			b = x.w.loop.GetBuf()
		}
		b = x.frameChunk(b, last)
	}
	if b == nil {
		x.ended = x.ended || last
		return nil
	}
	return x.write(t, b, last)
}

// write sends b and gives it back.
func (x *exchange) write(t *loop.Task, b *loop.Buf, last bool) error {
	err := x.c.conn.Send(t, b.Bytes(), int64(x.w.srv.cfg.SendTimeout))
	x.BytesOut += int64(b.Len())
	x.w.loop.PutBuf(b)
	if err == nil && last {
		x.ended = true
	}
	return err
}

func (x *exchange) writeMore(t *loop.Task, b *loop.Buf) error {
	err := x.c.conn.SendMore(t, b.Bytes(), int64(x.w.srv.cfg.SendTimeout))
	x.BytesOut += int64(b.Len())
	x.w.loop.PutBuf(b)
	return err
}

// Abort implements req.Stream: with a reset, so that even a response whose end
// is the end of the connection does not look complete.
func (x *exchange) Abort() {
	if x.aborted || x.ended {
		return
	}
	x.aborted = true
	add(&x.w.stats.Aborted)
	if x.headSent {
		x.c.conn.Reset()
	}
}

// Gone implements req.Stream.
func (x *exchange) Gone() bool { return x.c.conn.PeerGone() || x.c.conn.Closed() }

// WatchGone implements req.Stream.
func (x *exchange) WatchGone(t *loop.Task) { x.c.conn.WatchRead(t) }

// CancelRead implements req.Stream.
func (x *exchange) CancelRead() { x.c.conn.CancelRead() }

// Hijack implements req.Stream.
func (x *exchange) Hijack() (req.Duplex, *loop.Buf, error) {
	x.hijacked = true
	x.ended = true
	b := x.buf
	x.buf = nil
	if b != nil && b.Len() == 0 {
		x.w.loop.PutBuf(b)
		b = nil
	}
	return &x.c.conn, b, nil
}

// lingers tells whether the client may still be sending: closing at once would
// reset the connection and could destroy the answer on its way.
func (x *exchange) lingers() bool {
	return x.ended && !x.aborted && !x.c.conn.Closed() && (!x.bodyDone || x.bad != nil || x.c.conn.Readable())
}

// How long a closing connection is read from, so that the client gets the
// answer before it sees the end: nginx's lingering close.
const (
	lingerTime    = int64(30 * time.Second)
	lingerSilence = int64(5 * time.Second)
)

// linger sends FIN and discards what still comes.
func linger(t *loop.Task, c *loop.Conn) {
	c.CloseWrite()
	l := t.Loop()
	end := l.Now() + lingerTime
	b := l.GetBuf()
	defer func() { l.PutBuf(b) }()
	for l.Now() < end {
		b.Reset()
		n, err := c.TryRecv(b)
		if err != nil {
			return
		}
		if n > 0 {
			continue
		}
		l.PutBuf(b)
		err = c.WaitRead(t, min(end, l.Now()+lingerSilence))
		b = l.GetBuf()
		if err != nil {
			return
		}
	}
}
