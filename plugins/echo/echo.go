// Package echo is the plugin echo: it puts fixed text around or in the place of
// response bodies, for trying things out.
package echo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/answer"
	"github.com/sluicegw/sluice/plugins/internal/perrequest"
)

var self = &chain.Plugin{Name: "echo", Priority: 412, New: compile}

func init() { chain.Register(self) }

// config is what the user writes.
type config struct {
	Before  *string                    `json:"before_body"`
	Body    *string                    `json:"body"`
	After   *string                    `json:"after_body"`
	Headers map[string]json.RawMessage `json:"headers"`
}

// plugin is a compiled instance.
type plugin struct {
	// before goes in front of the first piece, after behind the last. With
	// replace, whole is the body.
	before, after, whole []byte
	replace              bool
	fields               h1.Block
}

// progress is how far a response has got.
type progress struct {
	begun bool
	buf   []byte
}

var store = perrequest.Store[progress]{Slot: self.Slot}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{before: bytesOf(c.Before), after: bytesOf(c.After), replace: c.Body != nil}
	if p.replace {
		p.whole = slices.Concat(p.before, bytesOf(c.Body), p.after)
	}
	names := make([]string, 0, len(c.Headers))
	for name := range c.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, err := fieldValue(c.Headers[name])
		if err == nil && !p.fields.Add(name, value) {
			err = fmt.Errorf("%q is no name of a header field", name)
		}
		if err != nil && env != nil && env.Log != nil {
			// As in APISIX the object is good all the same.
			env.Log.Warn("plugin echo leaves a header field out", "object", env.Owner, "field", name, "error", err)
		}
	}
	return p, nil
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// fieldValue reads a string or a number.
func fieldValue(raw json.RawMessage) (string, error) {
	text := strings.TrimSpace(string(raw))
	if strings.HasPrefix(text, `"`) {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	}
	var n json.Number
	if json.Unmarshal(raw, &n) != nil {
		return "", fmt.Errorf("the value must be a string or a number, not %s", text)
	}
	return n.String(), nil
}

// HeaderFilter implements chain.HeaderFilterer.
func (p *plugin) HeaderFilter(ctx *req.Ctx) {
	answer.BodyChanges(&ctx.Resp)
	ctx.Resp.SetBlock(&p.fields)
}

// BodyFilter implements chain.BodyFilterer.
func (p *plugin) BodyFilter(ctx *req.Ctx) {
	s := store.Take(ctx, p)
	first := !s.begun
	s.begun = true
	if p.replace {
		ctx.Chunk, ctx.ChunkLast = nil, true
		if first {
			ctx.Chunk = p.whole
		}
		return
	}
	before, after := p.before, p.after
	if !first {
		before = nil
	}
	if !ctx.ChunkLast {
		after = nil
	}
	if len(before)+len(after) == 0 {
		return
	}
	s.buf = append(append(append(s.buf[:0], before...), ctx.Chunk...), after...)
	ctx.Chunk = s.buf
}

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) {
	store.Drop(ctx, p, func(s *progress) {
		s.begun = false
		if cap(s.buf) > 128<<10 {
			s.buf = nil
		}
	})
}

var (
	_ chain.HeaderFilterer = (*plugin)(nil)
	_ chain.BodyFilterer   = (*plugin)(nil)
	_ chain.Logger         = (*plugin)(nil)
)
