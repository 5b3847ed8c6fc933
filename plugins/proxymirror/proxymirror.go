// Package proxymirror is the plugin proxy-mirror: it sends copies of requests to
// another host and takes no notice of the answers.
package proxymirror

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/perrequest"
)

var self = &chain.Plugin{Name: "proxy-mirror", Priority: 1010, New: compile}

func init() { chain.Register(self) }

// config is what the user writes.
type config struct {
	Host   string  `json:"host"`
	Path   string  `json:"path"`
	Concat string  `json:"path_concat_mode"`
	Ratio  float64 `json:"sample_ratio"`
}

// plugin is a compiled instance.
type plugin struct {
	target *target // nil: mirrors nothing
	path   []byte
	prefix bool
	ratio  float64
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{path: []byte(c.Path), prefix: c.Concat == "prefix", ratio: c.Ratio}
	u, err := url.Parse(c.Host)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		if env != nil && env.Log != nil {
			env.Log.Warn("plugin proxy-mirror mirrors nothing: copies are sent by HTTP/1.1 only", "object", env.Owner, "host", c.Host)
		}
		return p, nil
	}
	limits, err := readLimits(env)
	if err != nil {
		return nil, err
	}
	all := env.Shared(func() any { return newTargets(env.Log) }).(*targets)
	p.target = all.hold(u.Scheme, u.Host, limits)
	return p, nil
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	if p.target != nil {
		p.target.release()
	}
	return nil
}

// limits are how long the steps of sending a copy may take.
type limits struct{ connect, send, read time.Duration }

// readLimits reads plugin_attr.proxy-mirror.timeout.
func readLimits(env *chain.Env) (limits, error) {
	l := limits{time.Minute, time.Minute, time.Minute}
	if len(env.Attr) == 0 {
		return l, nil
	}
	var a struct {
		Timeout map[string]json.RawMessage `json:"timeout"`
	}
	if err := json.Unmarshal(env.Attr, &a); err != nil {
		return l, fmt.Errorf("plugin_attr.proxy-mirror: %w", err)
	}
	for name, to := range map[string]*time.Duration{"connect": &l.connect, "send": &l.send, "read": &l.read} {
		v, ok := a.Timeout[name]
		if !ok {
			continue
		}
		text := strings.Trim(string(v), `"`)
		if strings.Trim(text, "0123456789") == "" {
			text += "s"
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return l, fmt.Errorf("plugin_attr.proxy-mirror.timeout.%s is %s: write a time such as 60s or 2000ms", name, v)
		}
		*to = d
	}
	return l, nil
}

// copying is what is known of a request that is mirrored. It sees the body of
// one that is streamed.
type copying struct {
	uri    []byte
	target *target
	job    *job        // while its body is still coming
	next   req.BodyTap // another one that sees the body
	begun  bool
	wall   int64
}

var store = perrequest.Store[copying]{Slot: self.Slot}

// Rewrite implements chain.Rewriter: it chooses the requests and notes their
// target, before proxy-rewrite changes it.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.target == nil || p.ratio < 1 && rand.Float64() >= p.ratio {
		return req.Continue
	}
	c := store.Take(ctx, p)
	uri := c.uri[:0]
	if len(p.path) > 0 {
		uri = append(uri, p.path...)
	}
	switch {
	case len(p.path) > 0 && !p.prefix:
		if ctx.Query != nil {
			uri = append(append(uri, '?'), ctx.Query...)
		}
	case len(ctx.UpstreamURI) > 0: // a global rule has rewritten it
		uri = append(uri, ctx.UpstreamURI...)
	default:
		uri = append(uri, ctx.Req.Target()...)
	}
	c.uri = uri
	return req.Continue
}

// BeforeProxy implements chain.BeforeProxier: with the first try the copy has
// what the upstream is about to get.
func (p *plugin) BeforeProxy(ctx *req.Ctx) req.Verdict {
	c := store.Find(ctx, p)
	if c == nil || c.begun || len(ctx.Tries) == 0 {
		return req.Continue
	}
	c.begun, c.wall = true, ctx.Wall
	j := p.target.job()
	j.method = ctx.Req.MethodCode
	j.head = ctx.Req.AppendHead(j.head, c.uri, host(ctx), ownFields)
	if !p.target.claim(j, len(j.head)) {
		p.target.drop(j, ctx.Wall)
		return req.Continue
	}
	switch ctx.BodyState {
	case req.BodyStreaming:
		c.target, c.job = p.target, j
		c.next, ctx.Tap = ctx.Tap, c
		return req.Continue
	case req.BodyBuffered:
		if !p.target.add(j, ctx.Body) {
			p.target.drop(j, ctx.Wall)
			return req.Continue
		}
	}
	p.target.send(j, ctx.Wall)
	return req.Continue
}

// ownFields are written here, or belong to the connection.
const ownFields = h1.IDSet(1<<h1.Host | 1<<h1.Connection | 1<<h1.Upgrade | 1<<h1.ContentLength | 1<<h1.TransferEncoding | 1<<h1.Expect)

// host is the Host that the upstream gets; nil: the client's.
func host(ctx *req.Ctx) []byte {
	node := ctx.Tries[0].Node
	switch {
	case len(ctx.UpstreamHost) > 0:
		return ctx.UpstreamHost
	case ctx.Upstream.PassHost == req.PassNodeHost:
		return ctx.Upstream.Hosts[node.Index]
	case ctx.Upstream.PassHost == req.PassRewrite:
		return ctx.Upstream.Host
	case len(ctx.Host) == 0:
		return ctx.Upstream.Hosts[node.Index]
	}
	return nil
}

// BodyPiece implements req.BodyTap.
func (c *copying) BodyPiece(piece []byte, last bool) {
	if c.next != nil {
		c.next.BodyPiece(piece, last)
	}
	j := c.job
	switch {
	case j == nil:
	case !c.target.add(j, piece):
		c.job = nil
		c.target.drop(j, c.wall)
	case last:
		c.job = nil
		c.target.send(j, c.wall)
	}
}

// Log implements chain.Logger. A copy whose body did not come to its end is not
// sent.
func (p *plugin) Log(ctx *req.Ctx) {
	ctx.Tap = nil
	store.Drop(ctx, p, (*copying).end)
}

func (c *copying) end() {
	if c.job != nil {
		c.target.drop(c.job, c.wall)
	}
	*c = copying{uri: c.uri[:0]}
}

var (
	_ chain.Rewriter      = (*plugin)(nil)
	_ chain.BeforeProxier = (*plugin)(nil)
	_ chain.Logger        = (*plugin)(nil)
)
