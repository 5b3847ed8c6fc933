package explain

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/req"
)

// maxCandidates bounds the candidates listed.
const maxCandidates = 100

// Gateway is what questions are put to. The builder belongs to one goroutine:
// whoever asks holds off changes meanwhile.
type Gateway struct {
	Builder *build.Builder
	Policy  *guard.Policy
	Limits  h1.Limits
}

// Ask answers a question. The error says that the question makes no sense; a
// request that the gateway would refuse is an answer.
func (g *Gateway) Ask(q *Question) (*Report, error) {
	x := answering{g: g, q: q, ctx: &req.Ctx{}}
	if err := q.fill(x.ctx, &g.Limits); err != nil {
		bad, ok := err.(*h1.Error)
		if !ok {
			return nil, err
		}
		x.refuse(bad)
		return &x.out, nil
	}
	x.ctx.Wall = time.Now().UnixNano()
	x.out.Revision = g.Builder.Rev()
	x.out.Candidates = []Candidate{}
	if bad := g.Policy.Check(x.ctx); bad != nil {
		x.request()
		x.refuse(bad)
		return &x.out, nil
	}
	x.request()
	if err := x.match(); err != nil {
		return nil, err
	}
	return &x.out, nil
}

type answering struct {
	g   *Gateway
	q   *Question
	ctx *req.Ctx
	out Report
}

func (x *answering) refuse(bad *h1.Error) {
	x.out.Refused = &Answer{Status: bad.Status, Reason: bad.Reason}
	x.out.Outcome = fmt.Sprintf("refused with %d before any route is looked at: %s", bad.Status, bad.Reason)
}

func (x *answering) request() {
	ctx := x.ctx
	scheme := "http"
	if ctx.TLS {
		scheme = "https"
	}
	x.out.Request = Request{
		Method: string(ctx.Req.Method()), Scheme: scheme, Host: string(ctx.Host), Port: ctx.Port,
		Path: string(ctx.Path), Query: string(ctx.Query), Client: cmp.Or(clientText(ctx), "unknown"),
	}
}

func clientText(ctx *req.Ctx) string {
	if !ctx.Client.IsValid() {
		return ""
	}
	return ctx.Client.String()
}

func (x *answering) match() error {
	table := x.g.Builder.Table()
	if x.q.Route != "" {
		if err := x.asked(table); err != nil {
			return err
		}
	}
	found := table.Explain(x.ctx)
	x.out.Candidates = candidates(found)
	if n := len(found); n > maxCandidates {
		x.keepChosen()
		x.out.MoreCandidates = n - len(x.out.Candidates)
	}
	if x.ctx.Route == nil {
		x.out.Global = plugins(x.g.Builder.GlobalOrigins())
		x.out.Outcome = "no route fits: 404 Route Not Found"
		if len(found) == 0 {
			x.out.Outcome += "; no route has this host and path"
		}
		return nil
	}
	return x.route()
}

// keepChosen shortens a long list without losing the route that serves.
func (x *answering) keepChosen() {
	list := x.out.Candidates
	at := slices.IndexFunc(list, func(c Candidate) bool { return c.Chosen })
	x.out.Candidates = list[:maxCandidates]
	if at >= maxCandidates {
		x.out.Candidates = append(x.out.Candidates, list[at])
	}
}

// asked tells about the route that the question names.
func (x *answering) asked(table *match.Table) error {
	list := table.ExplainRoute(x.ctx, x.q.Route)
	if list != nil {
		x.out.Asked = candidates(list)
		return nil
	}
	a, err := x.g.Builder.Anatomy(x.q.Route, "")
	if err != nil {
		return err
	}
	why := "the route is not in the table"
	if a.Disabled {
		why = "the route is switched off: its status is 0"
	}
	x.out.Asked = []Candidate{{Route: x.q.Route, Failed: "status", Detail: why}}
	return nil
}

func candidates(found []match.Candidate) []Candidate {
	list := make([]Candidate, 0, len(found))
	for i := range found {
		f := &found[i]
		c := Candidate{
			Route: f.Entry.Route.ID, Name: f.Entry.Route.Name, URI: f.URI, Host: f.Host,
			Priority: f.Entry.Priority, Detail: f.Detail, Chosen: f.Chosen,
		}
		if f.Failed != match.Fits {
			c.Failed = f.Failed.String()
		}
		list = append(list, c)
	}
	return list
}

func (x *answering) route() error {
	ctx := x.ctx
	a, err := x.g.Builder.Anatomy(ctx.Route.ID, x.q.Consumer)
	if err != nil {
		return err
	}
	ctx.Eff = ctx.Route.Eff.Load()
	m := ctx.Matched()
	r := &Route{
		ID: ctx.Route.ID, Name: ctx.Route.Name, MatchedURI: m.MatchedURI, MatchedHost: m.MatchedHost,
		Service: a.Service, PluginConfig: a.PluginConfig, Consumer: x.q.Consumer, Group: a.Group, Missing: a.Missing,
		Websocket: ctx.Eff != nil && ctx.Eff.Websocket,
	}
	for i := range m.Len() {
		if r.Params == nil {
			r.Params = make(map[string]string)
		}
		name, value := m.At(i)
		r.Params[name] = string(value)
	}
	x.out.Route = r
	x.out.Global, x.out.Plugins = plugins(a.Global), plugins(a.Route)
	x.notes(a)
	if ctx.Eff != nil && ctx.Eff.Fail != 0 {
		x.out.Outcome = fmt.Sprintf("%d: the route refers to %v, which does not exist", ctx.Eff.Fail, a.Missing)
		return nil
	}
	return x.upstream(a)
}

var phaseNames = [req.NumPhases]string{"rewrite", "access", "before_proxy", "header_filter", "encode_head", "body_filter", "encode_body", "log"}

func plugins(list []build.Origin) []Plugin {
	out := make([]Plugin, 0, len(list))
	for i := range list {
		o := &list[i]
		p := Plugin{Name: o.Plugin, Priority: o.Priority, Origin: o.Object, Covers: o.Covers, Auth: o.Auth, StandsBack: o.StandsBack, Phases: []string{}}
		for _, ph := range o.Phases {
			p.Phases = append(p.Phases, phaseNames[ph])
		}
		out = append(out, p)
	}
	return out
}

// choosers are the plugins that may send a request elsewhere.
var choosers = map[string]string{
	"traffic-split": "it may choose another upstream",
	"redirect":      "it may answer instead of the upstream",
	"mocking":       "it answers instead of the upstream",
	"proxy-rewrite": "it may change path, host and method for the upstream",
	"proxy-cache":   "it may answer from the cache",
	"workflow":      "it may answer instead of the upstream",
}

func (x *answering) notes(a *build.Anatomy) {
	for _, list := range [][]build.Origin{a.Global, a.Route} {
		for i := range list {
			o := &list[i]
			if why, ok := choosers[o.Plugin]; ok {
				x.note("%s (%s) was not run: %s", o.Plugin, o.Object, why)
			}
			if o.Auth && x.q.Consumer == "" {
				x.note("%s (%s) was not run: a consumer's plugins come on top; --consumer NAME shows them", o.Plugin, o.Object)
			}
		}
	}
}

func (x *answering) note(format string, args ...any) {
	x.out.Notes = append(x.out.Notes, fmt.Sprintf(format, args...))
}

func (x *answering) upstream(a *build.Anatomy) error {
	u, c := a.Upstream()
	switch {
	case a.UpstreamObject == "":
		x.out.Outcome = "503: the route has no upstream, unless a plugin answers"
		return nil
	case u == nil:
		x.out.Outcome = fmt.Sprintf("502: %s does not exist", a.UpstreamObject)
		return nil
	}
	up := &Upstream{
		Object: a.UpstreamObject, Name: u.Name, Scheme: u.Scheme, Policy: cmp.Or(c.Type, "roundrobin"),
		Nodes: []Node{}, Retries: u.Retries,
		Connect: seconds(cmp.Or(x.ctx.Eff.Connect, u.Connect)),
		Send:    seconds(cmp.Or(x.ctx.Eff.Send, u.Send)),
		Read:    seconds(cmp.Or(x.ctx.Eff.Read, u.Read)),
	}
	x.out.Upstream = up
	if u.Key != nil {
		up.HashKey = string(u.Key(nil, x.ctx))
	}
	picked, err := x.g.Builder.Forecast(a, x.ctx, rand.Uint64())
	if err != nil {
		return err
	}
	for i, n := range u.Nodes {
		view := Node{Address: n.Key, Weight: n.Weight, Priority: n.Priority, Health: n.Health().Status.String(),
			InFlight: n.InFlight.Load(), Picked: n == picked}
		if n.IsDomain() {
			view.Host = n.Host
		}
		up.Nodes = append(up.Nodes, view)
		if n == picked && u.PassHost == req.PassNodeHost {
			up.Host = string(u.Hosts[i])
		}
	}
	switch u.PassHost {
	case req.PassClientHost:
		up.Host = string(x.ctx.Req.GetID(h1.Host))
	case req.PassRewrite:
		up.Host = string(u.Host)
	}
	switch {
	case len(u.Nodes) == 0:
		x.out.Outcome = fmt.Sprintf("503: %s has no nodes", a.UpstreamObject)
	case picked == nil:
		x.out.Outcome = fmt.Sprintf("502: no node of %s takes traffic", a.UpstreamObject)
	default:
		x.out.Outcome = fmt.Sprintf("route %s sends it to %s://%s (%s)", x.ctx.Route.ID, u.Scheme, picked.Key, a.UpstreamObject)
	}
	return nil
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
