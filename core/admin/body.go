package admin

import (
	"errors"
	"fmt"
	"io"

	"github.com/valyala/fasthttp"
)

// drainLimit bounds what is read of a body that nobody wanted, so that its
// sender gets to see the answer: closing a connection with unread bytes resets
// it, and the answer may be lost with it.
const drainLimit = 8 << 20

// drain reads what a handler left of the request body. A connection with even
// more of it is closed behind the answer.
func drain(ctx *fasthttp.RequestCtx) {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return
	}
	if _, err := io.CopyN(io.Discard, stream, drainLimit); !errors.Is(err, io.EOF) {
		ctx.SetConnectionClose()
	}
}

// body reads the request body up to limit bytes.
func (c *call) body(limit int) ([]byte, error) {
	declared := c.http.Request.Header.ContentLength()
	if declared > limit {
		c.http.SetConnectionClose()
		return nil, tooLong(declared, limit)
	}
	stream := c.http.RequestBodyStream()
	if stream == nil {
		text := c.http.PostBody()
		if len(text) > limit {
			return nil, tooLong(len(text), limit)
		}
		return text, nil
	}
	text, err := io.ReadAll(io.LimitReader(stream, int64(limit)+1))
	if err != nil && !errors.Is(err, io.EOF) {
		c.http.SetConnectionClose()
		return nil, invalid("invalid request body: %v", err)
	}
	if len(text) > limit {
		c.http.SetConnectionClose()
		return nil, tooLong(len(text), limit)
	}
	return text, nil
}

func tooLong(size, limit int) error {
	return invalid("invalid request body: request size %d is greater than the maximum size %d allowed", size, limit)
}

// jsonBody reads and decodes the body; present is false when there is none.
func (c *call) jsonBody() (value any, present bool, err error) {
	text, err := c.body(BodyLimit)
	if err != nil || len(text) == 0 {
		return nil, false, err
	}
	value, err = decode(text)
	if err != nil {
		return nil, false, &failure{status: fasthttp.StatusBadRequest, body: struct {
			Msg  string `json:"error_msg"`
			Body string `json:"req_body"`
		}{fmt.Sprintf("invalid request body: %v", err), string(text)}}
	}
	return value, true, nil
}
