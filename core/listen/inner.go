package listen

import (
	"errors"
	"io"
	"net/netip"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
)

// inner is the client's side of a request that another one brought along: there
// is no connection, the answer is kept.
type inner struct {
	x      *exchange
	parent *req.Ctx
	answer *req.InnerAnswer
	timer  loop.Timer
	watch  *loop.Task
	late   bool
	bad    bool // the answer cannot be had
	none   h1.Header
}

var _ req.Stream = (*inner)(nil)

// ServeInner implements req.InnerServer.
func (w *worker) ServeInner(parent *req.Ctx, head, body []byte, answer *req.InnerAnswer) {
	answer.Status, answer.Body, answer.HasBody, answer.TooLarge = 0, nil, false, false
	answer.Header.Reset()
	if parent.Parent != nil {
		return
	}
	x := w.newExchange()
	s := &inner{x: x, parent: parent, answer: answer}
	x.Stream, x.Task, x.Parent = s, parent.Task, parent
	x.bodyDone, x.waiting, x.headSent, x.ended, x.close, x.aborted, x.hijacked = true, false, false, false, false, false, false
	// The client's own address stands for the connection's: a proxy in front of
	// us that is trusted has spoken for the outer request already.
	x.Peer, x.Local = netip.AddrPortFrom(parent.Client, parent.Peer.Port()), parent.Local
	x.Client, x.TLS = parent.Client, parent.TLS
	x.ConnID, x.ConnRequests = parent.ConnID, parent.ConnRequests
	x.Start, x.Wall = w.loop.Now(), w.loop.Wall()
	x.BytesIn = int64(len(head) + len(body))
	if answer.Deadline != 0 {
		s.timer.Init(s.expire)
		w.loop.SetTimer(&s.timer, answer.Deadline)
	}
	add(&w.stats.Requests)
	n, bad := x.Req.Scan(head, &w.srv.cfg.Limits)
	switch {
	case bad != nil:
		x.refuse(bad)
	case n != len(head):
		x.refuse(h1.ErrFieldName)
	default:
		x.BodyState = req.BodyNone
		if len(body) > 0 {
			x.Body, x.BodyState = append(x.Body[:0], body...), req.BodyBuffered
		}
		x.serve()
	}
	if answer.Deadline != 0 {
		w.loop.DropTimer(&s.timer)
	}
	if s.bad || s.late {
		answer.Status = 0
	}
	x.Stream = x
	w.freeExchange(x)
}

// expire ends the wait for an answer.
func (s *inner) expire() {
	s.late = true
	if s.watch != nil {
		s.watch.Wake()
	}
}

// ReadBody implements req.Stream: the body is there already.
func (s *inner) ReadBody(*loop.Task) ([]byte, error) { return nil, io.EOF }

// TakeBody implements req.Stream.
func (s *inner) TakeBody(int) error { return nil }

// Trailer implements req.Stream.
func (s *inner) Trailer() *h1.Header { return &s.none }

// Continue implements req.Stream.
func (s *inner) Continue(*loop.Task) error { return nil }

// RawChunks implements req.Stream.
func (s *inner) RawChunks() bool { return false }

// SendHead implements req.Stream. A second head replaces the first answer.
func (s *inner) SendHead(t *loop.Task, f req.Framing, b *loop.Buf, last bool) error {
	resp, a := &s.x.Resp, s.answer
	a.Header.Reset()
	for i := range resp.Len() {
		if !hopFields.Has(resp.ID(i)) || resp.ID(i) == h1.Other {
			a.Header.Append(resp.Name(i), resp.Value(i))
		}
	}
	cfg := &s.x.w.srv.cfg
	if cfg.ServerHeader != "" && !resp.HasID(h1.Server) {
		a.Header.AddString("Server", cfg.ServerHeader)
	}
	if !resp.HasID(h1.Date) {
		a.Header.AddID(h1.Date, s.x.w.date.get(s.x.w.loop.Wall()))
	}
	a.Status, a.Body, a.HasBody = resp.StatusCode, a.Body[:0], f != req.FrameNone
	s.x.Status = resp.StatusCode
	s.bad = false
	return s.SendBody(t, b, last)
}

// SendBody implements req.Stream.
func (s *inner) SendBody(_ *loop.Task, b *loop.Buf, last bool) error {
	if s.bad {
		s.x.w.loop.PutBuf(b)
		return loop.ErrClosed
	}
	if b != nil {
		a := s.answer
		if a.MaxBody > 0 && len(a.Body)+b.Len() > a.MaxBody {
			a.TooLarge, s.bad = true, true
			s.x.w.loop.PutBuf(b)
			return loop.ErrClosed
		}
		a.Body = append(a.Body, b.Bytes()...)
		s.x.BytesOut += int64(b.Len())
		s.x.w.loop.PutBuf(b)
	}
	s.x.ended = s.x.ended || last
	return nil
}

// Abort implements req.Stream.
func (s *inner) Abort() {
	if !s.x.ended {
		s.bad = true
	}
}

// Gone implements req.Stream.
func (s *inner) Gone() bool { return s.late || s.bad || s.parent.Stream.Gone() }

// WatchGone implements req.Stream.
func (s *inner) WatchGone(t *loop.Task) {
	s.watch = t
	s.parent.Stream.WatchGone(t)
}

// CancelRead implements req.Stream.
func (s *inner) CancelRead() {}

var errNoConnection = errors.New("an inner request has no connection of its own")

// Hijack implements req.Stream.
func (s *inner) Hijack() (req.Duplex, *loop.Buf, error) { return nil, nil, errNoConnection }
