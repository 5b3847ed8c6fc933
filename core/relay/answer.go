package relay

import (
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Answer sends the answer that was set with Ctx.Exit.
func (r *Relay) Answer(ctx *req.Ctx) {
	status := ctx.Resp.StatusCode
	if status == 0 {
		status = 200
	}
	body, ctype := ctx.ExitBody()
	if body == nil && status >= 300 {
		if body = pages[status]; body != nil {
			ctype = "text/html; charset=utf-8"
		}
	}
	r.send(ctx, status, body, ctype)
}

// answerFailure sends the page of a failed relay.
func (r *Relay) answerFailure(ctx *req.Ctx, f failure) {
	ctx.Resp.Reset()
	if len(ctx.Tries) > 0 {
		ctx.Source = req.FromProxy
		ctx.Scratch = appendStatuses(ctx.Scratch[:0], ctx.Tries)
		ctx.Resp.Set("X-APISIX-Upstream-Status", ctx.Scratch)
	}
	status := failures[f].status
	r.send(ctx, status, pages[status], "text/html; charset=utf-8")
}

// clientFailed ends a request whose client broke it off or sent a bad body.
func (r *Relay) clientFailed(ctx *req.Ctx, err error) {
	f := bodyFailure(err)
	if f == failClient {
		ctx.Status = 499
		ctx.Stream.Abort()
		return
	}
	r.clientFault(ctx, f)
}

// clientFault answers a request whose body was at fault. What follows on the
// connection cannot be told from the rest of that body.
func (r *Relay) clientFault(ctx *req.Ctx, f failure) {
	ctx.Source = req.FromGateway
	ctx.Resp.Reset()
	ctx.Resp.Close = true
	status := failures[f].status
	if ctx.BodyError != nil {
		status = ctx.BodyError.Status
	}
	r.send(ctx, status, pages[status], "text/html; charset=utf-8")
}

// send writes a whole response of the gateway's own.
func (r *Relay) send(ctx *req.Ctx, status int, body []byte, ctype string) {
	resp := &ctx.Resp
	resp.StatusCode = status
	if ctx.BodyState == req.BodyStreaming {
		// A small body that is here already is dropped, so that the connection
		// can go on.
		_ = ctx.Stream.TakeBody(r.opts.ReplayBytes)
	}
	ctx.MergeExtra()
	if ctype != "" && len(body) > 0 && !resp.HasID(h1.ContentType) {
		ctx.Scratch = append(ctx.Scratch[:0], ctype...)
		resp.Set("Content-Type", ctx.Scratch)
	}
	filter := false
	if ctx.Snap != nil {
		resp.ContentLength = int64(len(body))
		ctx.RunHead()
		status = resp.StatusCode // a plugin may have changed it
		filter = ctx.FiltersBody()
	}
	if filter {
		ctx.Chunk, ctx.ChunkLast = body, true
		ctx.RunBody()
		body = ctx.Chunk
		ctx.Chunk = nil
	}
	if status == 204 || status == 304 || status < 200 {
		_ = ctx.Stream.SendHead(ctx.Task, req.FrameNone, nil, true)
		return
	}
	ctx.Scratch = h1.AppendInt(ctx.Scratch[:0], int64(len(body)))
	resp.Set("Content-Length", ctx.Scratch)
	resp.ContentLength = int64(len(body))
	if len(body) == 0 || ctx.Req.MethodCode == h1.MethodHead {
		_ = ctx.Stream.SendHead(ctx.Task, req.FrameNone, nil, true)
		return
	}
	b := r.loop.GetBuf()
	n := b.Append(body)
	err := ctx.Stream.SendHead(ctx.Task, req.FrameLength, b, n == len(body))
	for body = body[n:]; len(body) > 0 && err == nil; body = body[n:] {
		b = r.loop.GetBuf()
		n = b.Append(body)
		err = ctx.Stream.SendBody(ctx.Task, b, n == len(body))
	}
}

// pages are the bodies of answers that nothing else gave a body to.
var pages = func() map[int][]byte {
	m := make(map[int][]byte)
	for status := 300; status < 600; status++ {
		if reason := h1.Reason(status); reason != "" {
			m[status] = []byte("<html>\r\n<head><title>" + reasonLine(status, reason) + "</title></head>\r\n<body>\r\n<center><h1>" +
				reasonLine(status, reason) + "</h1></center>\r\n<hr><center>sluice</center>\r\n</body>\r\n</html>\r\n")
		}
	}
	return m
}()

func reasonLine(status int, reason string) string {
	return string(h1.AppendInt(nil, int64(status))) + " " + reason
}

// Refuse answers a request that was refused before it had a configuration: no
// plugin runs.
func Refuse(r *Relay, ctx *req.Ctx, status int) {
	ctx.Snap = nil
	ctx.Resp.Reset()
	r.send(ctx, status, pages[status], "text/html; charset=utf-8")
}
