// Package probe answers what monitoring asks: whether the gateway lives,
// whether it serves its configuration, and its metrics.
package probe

import (
	"encoding/json"
	"io"

	"github.com/valyala/fasthttp"
)

// DefaultMetricsPath is where APISIX exports its metrics.
const DefaultMetricsPath = "/apisix/prometheus/metrics"

const alive = `{"status":"ok"}`

// Status serves /status (alive while the process answers) and /status/ready.
// ready returns nil when requests are served by the current configuration,
// else why not; it must not block.
func Status(ready func() error) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		if !ctx.IsGet() && !ctx.IsHead() {
			notFound(ctx)
			return
		}
		switch string(ctx.Path()) {
		case "/status":
			ctx.SetBodyString(alive)
		case "/status/ready":
			err := ready()
			if err == nil {
				ctx.SetBodyString(alive)
				return
			}
			body, merr := json.Marshal(struct {
				Status string `json:"status"`
				Error  string `json:"error"`
			}{"error", err.Error()})
			if merr != nil {
				panic("BUG: " + merr.Error())
			}
			ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
			ctx.SetBody(body)
		default:
			notFound(ctx)
		}
	}
}

// Metrics serves the text that write produces at one path.
func Metrics(path string, write func(io.Writer)) fasthttp.RequestHandler {
	if path == "" {
		path = DefaultMetricsPath
	}
	return func(ctx *fasthttp.RequestCtx) {
		if !ctx.IsGet() && !ctx.IsHead() || string(ctx.Path()) != path {
			ctx.SetContentType("application/json")
			notFound(ctx)
			return
		}
		ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
		write(ctx)
	}
}

func notFound(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(fasthttp.StatusNotFound)
	ctx.SetBodyString("{\"error_msg\":\"not found\"}\n")
}
