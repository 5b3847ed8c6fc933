// Package responserewrite is the plugin response-rewrite: it changes what the
// client gets, whoever made it.
package responserewrite

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/answer"
	"github.com/sluicegw/sluice/plugins/internal/perrequest"
)

var self = &chain.Plugin{Name: "response-rewrite", Priority: 899, BodyOnDemand: true, New: compile, Check: check}

func init() { chain.Register(self) }

// config is what the user writes.
type config struct {
	Status  int             `json:"status_code"`
	Body    *string         `json:"body"`
	Base64  bool            `json:"body_base64"`
	Headers json.RawMessage `json:"headers"`
	Vars    json.RawMessage `json:"vars"`
	Filters []filterConfig  `json:"filters"`
	Most    int             `json:"max_resp_body_size"`
}

// plugin is a compiled instance.
type plugin struct {
	status  int // 0: as it is
	body    []byte
	replace bool // by body
	fields  fields
	vars    *expr.Expr
	filters []filter
	most    int // bytes of a body that filters look at
	env     *chain.Env
	told    atomic.Bool // that a body could not be decoded
}

// progress is how far a response has got.
type progress struct {
	done   bool // the outcome was passed on
	cut    bool // held is not all of it
	coding coding
	held   []byte // the body so far, then the outcome
	spare  []byte
}

var store = perrequest.Store[progress]{Slot: self.Slot}

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

var errBase64 = errors.New("invalid base64 content")

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{status: c.Status, most: c.Most, env: env, replace: c.Body != nil}
	if p.replace {
		p.body = []byte(*c.Body)
	}
	if c.Base64 {
		if len(p.body) == 0 {
			return nil, errBase64
		}
		var err error
		if p.body, err = base64.StdEncoding.DecodeString(*c.Body); err != nil {
			return nil, errBase64
		}
	}
	if len(c.Vars) > 0 && string(c.Vars) != "[]" {
		var err error
		if p.vars, err = expr.CompileJSON(c.Vars); err != nil {
			return nil, fmt.Errorf("failed to validate the 'vars' expression: %w", err)
		}
	}
	var err error
	if p.filters, err = compileFilters(c.Filters); err != nil {
		return nil, err
	}
	return p, p.fields.compile(c.Headers)
}

// HeaderFilter implements chain.HeaderFilterer.
func (p *plugin) HeaderFilter(ctx *req.Ctx) {
	if !p.vars.Eval(ctx) {
		return
	}
	resp := &ctx.Resp
	if resp.StatusCode == 101 {
		p.fields.apply(ctx) // the rest would break the switch of protocols
		return
	}
	if p.status != 0 {
		resp.SetStatus(p.status)
	}
	if p.replace || p.filters != nil {
		c := plain
		if p.filters != nil {
			c = codingOf(resp.GetID(h1.ContentEncoding))
		}
		if c != unknown {
			s := store.Take(ctx, p)
			s.clear() // a failed response may have gone before
			s.coding = c
			answer.BodyChanges(resp)
			ctx.FilterBody(self.Slot())
		} else {
			p.tell("the body is coded in a way that is not known here: filters leave it alone", nil)
		}
	}
	p.fields.apply(ctx)
}

// BodyFilter implements chain.BodyFilterer.
func (p *plugin) BodyFilter(ctx *req.Ctx) {
	s := store.Find(ctx, p)
	if s == nil {
		return
	}
	in := ctx.Chunk
	ctx.Chunk = nil
	if s.done {
		return
	}
	if p.replace {
		s.done = true
		ctx.Chunk, ctx.ChunkLast = p.body, true
		return
	}
	s.cut = len(s.held)+len(in) > p.most
	s.held = append(s.held, in[:min(len(in), p.most-len(s.held))]...)
	if len(s.held) < p.most && !ctx.ChunkLast {
		return
	}
	s.done = true
	if err := p.filter(ctx, s); err != nil {
		p.tell("the body cannot be decoded: the client gets none", err)
		ctx.ChunkBad = true
		return
	}
	ctx.Chunk, ctx.ChunkLast = s.held, true
}

// tell writes to the log once in the instance's life.
func (p *plugin) tell(what string, err error) {
	if p.env == nil || p.env.Log == nil || !p.told.CompareAndSwap(false, true) {
		return
	}
	p.env.Log.Warn("plugin response-rewrite: "+what, "object", p.env.Owner, "error", err)
}

// keep is how much memory is held for another response.
const keep = 256 << 10

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) { store.Drop(ctx, p, (*progress).clear) }

func (s *progress) clear() {
	s.done, s.cut, s.coding = false, false, plain
	s.held, s.spare = s.held[:0], s.spare[:0]
	if cap(s.held) > keep {
		s.held = nil
	}
	if cap(s.spare) > keep {
		s.spare = nil
	}
}

var (
	_ chain.HeaderFilterer = (*plugin)(nil)
	_ chain.BodyFilterer   = (*plugin)(nil)
	_ chain.Logger         = (*plugin)(nil)
)
