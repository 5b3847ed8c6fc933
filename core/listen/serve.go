package listen

import (
	"fmt"
	"runtime/debug"

	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/req"
)

// serve takes a request whose head was understood through the stages: guard,
// match, chain, relay, log. A panic in any of them ends this request alone.
func (x *exchange) serve() {
	defer x.rescue()
	ctx := &x.Ctx
	x.Snap = x.w.srv.snap.Load()
	x.Stage = "guard"
	x.Watch.Begin()
	if bad := x.w.srv.cfg.Policy.Check(ctx); bad != nil {
		x.refuse(bad)
		return
	}
	x.Stage = "match"
	if !x.Snap.Router.Match(ctx) {
		x.notFound()
	} else {
		x.route()
	}
	x.Stage = "log"
	x.count()
	if x.Has(req.Log) {
		x.RunPhase(req.Log)
	}
}

var routeNotFound = []byte("{\"error_msg\":\"404 Route Not Found\"}\n")

const textPlain = "text/plain; charset=utf-8"

// notFound answers a request that no route fits. Global rules run for it too.
func (x *exchange) notFound() {
	ctx := &x.Ctx
	if x.RunGlobal(req.Rewrite) == req.Exit || x.RunGlobal(req.Access) == req.Exit {
		x.w.relay.Answer(ctx)
		return
	}
	ctx.Exit(404, routeNotFound, textPlain)
	x.w.relay.Answer(ctx)
}

// route runs the request's plugins and relays it.
func (x *exchange) route() {
	ctx := &x.Ctx
	x.Watch.Route(x.Route)
	x.Eff = x.Route.Eff.Load()
	if x.RunPhase(req.Rewrite) == req.Exit || x.failed() || x.RunConsumer() == req.Exit || x.RunPhase(req.Access) == req.Exit {
		x.w.relay.Answer(ctx)
		return
	}
	x.Stage = "relay"
	if x.Upstream == nil && x.Eff.Upstream != nil {
		x.Upstream = x.Eff.Upstream.Load()
		if x.Upstream == nil {
			ctx.Exit(502, nil, "")
			x.w.relay.Answer(ctx)
			return
		}
	}
	x.Upgrade = x.Req.Upgrade && x.Eff.Websocket
	guard.Forward(ctx)
	x.w.relay.Do(ctx)
}

// failed answers for a route that refers to something that does not exist.
func (x *exchange) failed() bool {
	if x.Eff.Fail == 0 {
		return false
	}
	x.Exit(x.Eff.Fail, x.Eff.FailBody, textPlain)
	return true
}

func (x *exchange) count() {
	if i := x.Status / 100; i > 0 && i < len(x.w.stats.Status) {
		add(&x.w.stats.Status[i])
	}
	if f := x.w.srv.cfg.Finished; f != nil {
		f(&x.Ctx)
	}
}

// rescue turns a panic into a 500 for this request alone.
func (x *exchange) rescue() {
	v := recover()
	if v == nil {
		return
	}
	add(&x.w.stats.Panics)
	route := ""
	if x.Route != nil {
		route = x.Route.ID
	}
	x.w.srv.log.Error("request ended by a panic", "route", route, "stage", x.Stage,
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	x.close = true
	if x.headSent {
		x.Abort()
		return
	}
	x.Resp.Reset()
	x.Extra.Reset()
	// Without the snapshot no plugin sees the answer: one of them panicked.
	x.Snap = nil
	x.Exit(500, nil, "")
	x.w.relay.Answer(&x.Ctx)
	x.count()
}
