// Package faultinjection is the plugin fault-injection: it delays requests or
// answers them itself, to see how others cope.
package faultinjection

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{Name: "fault-injection", Priority: 11000, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Abort *struct {
		Status     int                        `json:"http_status"`
		Body       *string                    `json:"body"`
		Headers    map[string]json.RawMessage `json:"headers"`
		Percentage *int                       `json:"percentage"`
		Vars       []json.RawMessage          `json:"vars"`
	} `json:"abort"`
	Delay *struct {
		Duration   float64           `json:"duration"`
		Percentage *int              `json:"percentage"`
		Vars       []json.RawMessage `json:"vars"`
	} `json:"delay"`
}

// plugin is a compiled instance.
type plugin struct {
	delay   int64 // nanoseconds, 0: none
	delayed choice
	abort   bool
	aborted choice
	status  int
	fixed   []byte         // body without variables
	body    *vars.Template // body with variables
	headers []field
}

type field struct {
	name  string
	value *vars.Template
}

// choice says which requests a fault meets.
type choice struct {
	percentage int // of those that fit
	any        []*expr.Expr
}

// maxDelay bounds a delay, in seconds.
const maxDelay = 24 * 3600

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{}
	var err error
	if d := c.Delay; d != nil {
		p.delay = int64(min(d.Duration, maxDelay) * 1e9)
		if p.delayed, err = newChoice(d.Percentage, d.Vars); err != nil {
			return nil, err
		}
	}
	if a := c.Abort; a != nil {
		p.abort, p.status = true, a.Status
		if a.Status > 999 {
			return nil, fmt.Errorf("abort.http_status %d is no status", a.Status)
		}
		if p.aborted, err = newChoice(a.Percentage, a.Vars); err != nil {
			return nil, err
		}
		if a.Body != nil {
			if t := vars.CompileTemplate(*a.Body); t.Vars() > 0 {
				p.body = t
			} else {
				p.fixed, _ = t.AppendTo([]byte{}, nil)
			}
		}
		if p.headers, err = compileHeaders(a.Headers); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func compileHeaders(m map[string]json.RawMessage) ([]field, error) {
	var out []field
	for name, raw := range m {
		text := string(raw)
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, err
			}
		}
		if strings.ContainsAny(name+text, "\r\n\x00") {
			return nil, errors.New("invalid character in header")
		}
		out = append(out, field{name, vars.CompileTemplate(text)})
	}
	slices.SortFunc(out, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func newChoice(percentage *int, list []json.RawMessage) (choice, error) {
	c := choice{percentage: 100}
	if percentage != nil {
		c.percentage = *percentage
	}
	for _, raw := range list {
		e, err := expr.CompileJSON(raw)
		if err != nil {
			return c, fmt.Errorf("failed to create vars expression: %w", err)
		}
		c.any = append(c.any, e)
	}
	return c, nil
}

// hits tells whether the fault meets this request.
func (c *choice) hits(ctx *req.Ctx) bool {
	if c.percentage < 100 && rand.IntN(100) >= c.percentage {
		return false
	}
	if len(c.any) == 0 {
		return true
	}
	for _, e := range c.any {
		if e.Eval(ctx) {
			return true
		}
	}
	return false
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.delay > 0 && p.delayed.hits(ctx) {
		ctx.Task.Sleep(p.delay)
	}
	if !p.abort || !p.aborted.hits(ctx) {
		return req.Continue
	}
	for i := range p.headers {
		h := &p.headers[i]
		ctx.ValueBuf, _ = h.value.AppendTo(ctx.ValueBuf[:0], ctx)
		ctx.SetRespHeader(h.name, ctx.ValueBuf)
	}
	body := p.fixed
	if p.body != nil {
		// Made anew: it has to last until it was sent.
		body, _ = p.body.AppendTo(nil, ctx)
	}
	return ctx.Exit(p.status, body, chain.TextPlain)
}
