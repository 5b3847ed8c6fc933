// Package cors is the plugin cors: it answers preflight requests and tells
// browsers which origins may use a response.
package cors

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

var self = &chain.Plugin{
	Name: "cors", Priority: 4000, New: compile, Check: check,
	NewMetadata: func(raw json.RawMessage) (any, error) { return compileMetadata(raw) },
}

func init() { chain.Register(self) }

// config is what the user writes.
type config struct {
	AllowOrigins           string   `json:"allow_origins"`
	AllowMethods           string   `json:"allow_methods"`
	AllowHeaders           string   `json:"allow_headers"`
	ExposeHeaders          string   `json:"expose_headers"`
	MaxAge                 int64    `json:"max_age"`
	AllowCredential        bool     `json:"allow_credential"`
	AllowOriginsByRegex    []string `json:"allow_origins_by_regex"`
	AllowOriginsByMetadata []string `json:"allow_origins_by_metadata"`
	TimingOrigins          string   `json:"timing_allow_origins"`
	TimingOriginsByRegex   []string `json:"timing_allow_origins_by_regex"`
}

// plugin is a compiled instance.
type plugin struct {
	origins  rule
	named    []string // keys of the metadata
	timing   rule
	asked    bool // Access-Control-Allow-Headers is what the preflight asks for
	vary     bool // the answer depends on the origin
	metadata *chain.Metadata
	// fixed are the fields that allowed responses get whatever the request
	// says, without Access-Control-Allow-Origin unless that is "*".
	fixed h1.Block
}

// origin is what Rewrite keeps of a request: another plugin may change the
// field for the upstream.
type origin struct{ value []byte }

var origins = sync.Pool{New: func() any { return new(origin) }}

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if c.AllowCredential && (c.AllowOrigins == "*" || c.AllowMethods == "*" || c.AllowHeaders == "*" ||
		c.ExposeHeaders == "*" || c.TimingOrigins == "*") {
		return nil, errors.New("you can not set '*' for other option when 'allow_credential' is true")
	}
	p := &plugin{named: c.AllowOriginsByMetadata, asked: c.AllowHeaders == "**"}
	var err error
	if p.origins, err = compileRule(c.AllowOrigins, c.AllowOriginsByRegex); err != nil {
		return nil, fmt.Errorf("allow_origins_by_regex: %w", err)
	}
	if p.timing, err = compileRule(c.TimingOrigins, c.TimingOriginsByRegex); err != nil {
		return nil, fmt.Errorf("timing_allow_origins_by_regex: %w", err)
	}
	p.vary = p.origins.varies() || p.timing.varies()
	if env != nil {
		p.metadata = env.Metadata
	}
	p.fix(&c)
	return p, nil
}

func (p *plugin) fix(c *config) {
	if p.origins.any {
		p.fixed.Add(allowOrigin, "*")
	}
	methods := c.AllowMethods
	if methods == "**" {
		methods = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"
	}
	p.fixed.Add("Access-Control-Allow-Methods", methods)
	p.fixed.Add("Access-Control-Max-Age", strconv.FormatInt(c.MaxAge, 10))
	if c.ExposeHeaders != "" {
		p.fixed.Add("Access-Control-Expose-Headers", c.ExposeHeaders)
	}
	if !p.asked {
		p.fixed.Add(allowHeaders, c.AllowHeaders)
	}
	if c.AllowCredential {
		p.fixed.Add("Access-Control-Allow-Credentials", "true")
	}
}

const (
	allowOrigin  = "Access-Control-Allow-Origin"
	allowHeaders = "Access-Control-Allow-Headers"
	timingAllow  = "Timing-Allow-Origin"
	prefix       = "access-control-"
)

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if value := ctx.Req.GetID(h1.Origin); value != nil && ctx.Slot(self.Slot()) == nil {
		o := origins.Get().(*origin)
		o.value = value
		ctx.SetSlot(self.Slot(), o)
	}
	if ctx.Req.MethodCode == h1.MethodOptions {
		return ctx.Exit(200, nil, "")
	}
	return req.Continue
}

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) {
	if o, ok := ctx.Slot(self.Slot()).(*origin); ok {
		o.value = nil
		origins.Put(o)
		ctx.SetSlot(self.Slot(), nil)
	}
}

// HeaderFilter implements chain.HeaderFilterer. The origin of a request that
// ended before this plugin's turn counts as unknown.
func (p *plugin) HeaderFilter(ctx *req.Ctx) {
	resp := &ctx.Resp
	if p.vary {
		resp.AddID(h1.Vary, varyOrigin)
	}
	var from []byte
	if o, ok := ctx.Slot(self.Slot()).(*origin); ok {
		from = o.value
	}
	if value := p.allow(from); value != nil {
		p.setFields(ctx, value)
	}
	if value := p.timing.match(from); value != nil {
		resp.Set(timingAllow, value)
	}
}

func (p *plugin) setFields(ctx *req.Ctx, value []byte) {
	resp := &ctx.Resp
	if resp.HasPrefix(prefix) {
		// Slow path: the upstream has said something of its own.
		resp.Del(allowOrigin)
		resp.Del(allowHeaders)
		resp.SetBlock(&p.fixed)
	} else {
		resp.AddBlock(&p.fixed)
	}
	if !p.origins.any {
		resp.Add(allowOrigin, value)
	}
	if p.asked {
		if asked := ctx.Req.Get("access-control-request-headers"); asked != nil {
			resp.Add(allowHeaders, asked)
		}
	}
}

// allow is the value of Access-Control-Allow-Origin, nil when the origin may
// not use the response.
func (p *plugin) allow(from []byte) []byte {
	if value := p.origins.match(from); value != nil {
		return value
	}
	if len(p.named) == 0 || p.metadata == nil {
		return nil
	}
	m, _ := p.metadata.Load().(metadata)
	for _, name := range p.named {
		if r, ok := m[name]; ok && r.match(from) != nil {
			return from
		}
	}
	return nil
}

var varyOrigin = []byte("Origin")

var (
	_ chain.Rewriter       = (*plugin)(nil)
	_ chain.HeaderFilterer = (*plugin)(nil)
	_ chain.Logger         = (*plugin)(nil)
)
