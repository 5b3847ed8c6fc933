// Package batchrequests is the plugin batch-requests: an endpoint that takes
// several requests in one and answers with all their answers.
package batchrequests

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/answer"
)

func init() {
	chain.Register(&chain.Plugin{
		Name: "batch-requests", Priority: 4010,
		New:         func(json.RawMessage, *chain.Env) (any, error) { return struct{}{}, nil },
		NewMetadata: func(raw json.RawMessage) (any, error) { return readBounds(raw) },
		APIs: []chain.API{{
			Path: "/apisix/batch-requests", PathAttr: "uri", Methods: h1.MethodPost.Bit(),
			New: func(env *chain.Env) (func(*req.Ctx) req.Verdict, error) {
				e := &endpoint{metadata: env.Metadata}
				return e.answer, nil
			},
		}},
	})
}

// bounds are the metadata: what a batch may be.
type bounds struct {
	Body      int64 `json:"max_body_size"`
	Items     int   `json:"max_pipeline_items"`
	Answer    int   `json:"max_response_body_size"`
	AllAnswer int   `json:"max_response_body_size_total"`
}

var defaults = bounds{Body: 1 << 20, Items: 1000, Answer: 1 << 20, AllAnswer: 10 << 20}

func readBounds(raw json.RawMessage) (*bounds, error) {
	b := defaults
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("metadata of batch-requests: %w", err)
	}
	if b.Body < 1 || b.Items < 1 || b.Answer < 1 || b.AllAnswer < 1 {
		return nil, fmt.Errorf("metadata of batch-requests: bounds must be greater than 0")
	}
	return &b, nil
}

// endpoint answers batches.
type endpoint struct{ metadata *chain.Metadata }

func (e *endpoint) bounds() *bounds {
	if e.metadata != nil {
		if b, ok := e.metadata.Load().(*bounds); ok {
			return b
		}
	}
	return &defaults
}

const jsonType = "application/json"

func refuse(ctx *req.Ctx, status int, format string, args ...any) req.Verdict {
	return ctx.Exit(status, answer.ErrorMsg(fmt.Sprintf(format, args...)), jsonType)
}

// inline is how large a batch is parsed on the loop; larger ones are in the
// background meanwhile.
const inline = 16 << 10

// answer serves the requests of a batch one after the other.
func (e *endpoint) answer(ctx *req.Ctx) req.Verdict {
	b := e.bounds()
	if ctx.Parent != nil {
		return refuse(ctx, 400, "a batch cannot hold another batch")
	}
	if err := ctx.ReadBody(b.Body); err != nil {
		if err != h1.ErrBodyTooLarge {
			return ctx.FailBody(err)
		}
		if n := ctx.Req.ContentLength; n > 0 {
			return refuse(ctx, 413, "request size %d is greater than the maximum size %d allowed", n, b.Body)
		}
		return refuse(ctx, 413, "request size is greater than the maximum size %d allowed", b.Body)
	}
	if len(ctx.Body) == 0 {
		return refuse(ctx, 400, "no request body, you should give at least one pipeline setting")
	}
	var all *batch
	var err error
	run := func() { all, err = parse(ctx.Body) }
	if len(ctx.Body) <= inline || ctx.Task.Await(run) != nil {
		run()
	}
	if err != nil {
		return refuse(ctx, 400, "%s", err)
	}
	if n := len(all.Pipeline); n > b.Items {
		return refuse(ctx, 400, "too many pipeline requests, %d exceeds the maximum of %d", n, b.Items)
	}
	return e.serve(ctx, all, b)
}

func (e *endpoint) serve(ctx *req.Ctx, all *batch, b *bounds) req.Verdict {
	var w heads
	w.begin(ctx, all)
	out := append([]byte(nil), '[')
	var one req.InnerAnswer
	left, late := b.AllAnswer, false
	for i := range all.Pipeline {
		if ctx.Stream.Gone() {
			return ctx.Exit(499, nil, "")
		}
		if i > 0 {
			out = append(out, ',')
		}
		if late {
			// As on a connection whose answer did not come: the rest is lost.
			out = append(out, timedOut...)
			continue
		}
		head, err := w.head(&all.Pipeline[i])
		if err != nil {
			return refuse(ctx, 400, "bad request body: pipeline request %d: %s", i+1, err)
		}
		one.MaxBody = min(b.Answer, left)
		one.Deadline = ctx.Loop.Now() + all.Timeout*int64(time.Millisecond)
		ctx.Inner.ServeInner(ctx, head, []byte(all.Pipeline[i].Body), &one)
		if one.TooLarge {
			limit := "max_response_body_size"
			if left < b.Answer {
				limit += "_total"
			}
			return refuse(ctx, 502, "response body of pipeline request %d exceeds %s", i+1, limit)
		}
		if one.Status == 0 {
			late = true
			out = append(out, timedOut...)
			continue
		}
		left -= len(one.Body)
		out = appendAnswer(out, &one)
	}
	return ctx.Exit(200, append(out, ']', '\n'), jsonType)
}
