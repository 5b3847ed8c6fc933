package req

import (
	"errors"
	"io"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
)

// BodyTap sees a streamed request body on its way to the upstream.
type BodyTap interface {
	// BodyPiece gets the next piece, which is valid during the call only. last
	// comes once, with an empty piece, when the body is complete; a body that
	// breaks off ends without it.
	BodyPiece(p []byte, last bool)
}

// ReadBody waits until the whole request body is in Body. It is for plugins
// that cannot do without; until then the upstream gets nothing. A request
// without a body leaves Body empty.
//
// It fails with h1.ErrBodyTooLarge for a body of more than limit bytes, with
// another *h1.Error for a malformed one, and with the stream's error when the
// client is too slow or has left. After a failure the body is lost and the
// request has to end: see FailBody.
func (c *Ctx) ReadBody(limit int64) error {
	switch c.BodyState {
	case BodyNone:
		return nil
	case BodyBuffered:
		if int64(len(c.Body)) > limit {
			return h1.ErrBodyTooLarge
		}
		return nil
	}
	if c.Req.ContentLength > limit {
		return h1.ErrBodyTooLarge
	}
	if err := c.Stream.TakeBody(int(min(limit, loop.BufSize))); err != nil || c.BodyState == BodyBuffered {
		return err
	}
	if err := c.Stream.Continue(c.Task); err != nil {
		return err
	}
	c.Body = c.Body[:0]
	for {
		p, err := c.Stream.ReadBody(c.Task)
		switch {
		case err == io.EOF:
			c.BodyState = BodyBuffered
			return nil
		case err != nil:
			return err
		case int64(len(c.Body)+len(p)) > limit:
			return h1.ErrBodyTooLarge
		}
		c.Body = append(c.Body, p...)
	}
}

// FailBody ends a request whose body ReadBody could not get, with the status
// that belongs to err: 413, 400, 408, or 499 for a client that has left.
func (c *Ctx) FailBody(err error) Verdict { return c.Exit(BodyStatus(err), nil, "") }

// BodyStatus is the status that belongs to an error of ReadBody.
func BodyStatus(err error) int {
	var bad *h1.Error
	switch {
	case errors.As(err, &bad):
		return bad.Status
	case errors.Is(err, loop.ErrTimeout):
		return 408
	}
	return 499
}

// keepBody is how large a body buffer a context holds on to between requests.
const keepBody = 256 << 10

// FilterBody asks that the body filter of a plugin that is registered with
// BodyOnDemand runs for this response. slot is the plugin's; it is called while
// the head is filtered or encoded.
func (c *Ctx) FilterBody(slot int) { c.bodySlots |= 1 << slot }

// RunHead runs header_filter, and the phase behind it that encodes.
func (c *Ctx) RunHead() {
	if c.Has(HeaderFilter) {
		c.RunPhase(HeaderFilter)
	}
	if c.Has(EncodeHead) {
		c.RunPhase(EncodeHead)
	}
}

// RunBody runs body_filter over the piece in Chunk, and the phase behind it
// that encodes. The piece then is what is passed on.
func (c *Ctx) RunBody() {
	c.RunPhase(BodyFilter)
	c.RunPhase(EncodeBody)
}

// FiltersBody tells whether any plugin is going to look at the response body.
// It is meaningful once header_filter has run.
func (c *Ctx) FiltersBody() bool {
	if g := c.Snap.Global; g != nil && c.wantedBy(g) {
		return true
	}
	return c.Eff != nil && c.Eff.Chain != nil && c.wantedBy(c.Eff.Chain)
}

func (c *Ctx) wantedBy(ch *Chain) bool {
	return c.wants(ch.Phases[BodyFilter]) || c.wants(ch.Phases[EncodeBody])
}

func (c *Ctx) wants(steps []Step) bool {
	for i := range steps {
		if !steps[i].OnDemand || c.bodySlots>>steps[i].Slot&1 != 0 {
			return true
		}
	}
	return false
}
