// Package workflow is the plugin workflow: it runs an action on the requests
// that fit a case.
package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/limit"
)

const name = "workflow"

var me = &chain.Plugin{Name: name, Priority: 1006, New: compile, Check: check}

func init() { chain.Register(me) }

// config is what the user writes. An action is [name, configuration].
type config struct {
	Rules []struct {
		Case    json.RawMessage     `json:"case"`
		Actions [][]json.RawMessage `json:"actions"`
	} `json:"rules"`
}

// plugin is a compiled instance.
type plugin struct{ rules []*rule }

// rule is one case with its action.
type rule struct {
	when   *expr.Expr // nil: always
	code   int        // of the action return
	access func(*req.Ctx) req.Verdict
	log    func(*req.Ctx)
	closer io.Closer
}

// plugins are the plugins that may be actions.
var plugins = map[string]bool{"limit-count": true, "limit-conn": true}

var rejected = limit.Message("rejected by workflow")

func check(raw json.RawMessage) error {
	_, err := newPlugin(raw, nil)
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) { return newPlugin(raw, env) }

// newPlugin compiles; with a nil env it only checks.
func newPlugin(raw json.RawMessage, env *chain.Env) (*plugin, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{}
	for i := range c.Rules {
		r := &rule{}
		if rc := c.Rules[i].Case; len(rc) > 0 && string(rc) != "[]" {
			var err error
			if r.when, err = expr.CompileJSON(rc); err != nil {
				_ = p.Close()
				return nil, fmt.Errorf("failed to validate the 'case' expression: %w", err)
			}
		}
		for j, action := range c.Rules[i].Actions {
			// As in APISIX all actions are checked and the first one runs.
			target := r
			if j > 0 {
				target = &rule{}
			}
			if err := target.compile(action, i, env, j == 0); err != nil {
				_ = p.Close()
				return nil, err
			}
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

func (r *rule) compile(action []json.RawMessage, index int, env *chain.Env, use bool) error {
	var kind string
	if len(action) == 0 || json.Unmarshal(action[0], &kind) != nil {
		return errors.New("unsupported action: it has no name")
	}
	conf := json.RawMessage("{}")
	if len(action) > 1 {
		conf = action[1]
	}
	bad := func(err error) error { return fmt.Errorf("failed to validate the '%s' action: %w", kind, err) }
	switch {
	case kind == "return":
		var c struct {
			Code *int `json:"code"`
		}
		if err := json.Unmarshal(conf, &c); err != nil {
			return bad(err)
		}
		if c.Code == nil {
			return bad(errors.New(`property "code" is required`))
		}
		if *c.Code < 100 || *c.Code > 599 {
			return bad(fmt.Errorf(`property "code" validation failed: %d is not in 100..599`, *c.Code))
		}
		r.code = *c.Code
		r.access = func(ctx *req.Ctx) req.Verdict { return ctx.Exit(r.code, rejected, chain.TextPlain) }
		return nil
	case plugins[kind]:
		var c struct {
			Group *string `json:"group"`
		}
		if err := json.Unmarshal(conf, &c); err != nil {
			return bad(err)
		}
		if c.Group != nil {
			return bad(errors.New("group is not supported"))
		}
		target := chain.Lookup(kind)
		if target == nil {
			return bad(errors.New("the plugin is not built in"))
		}
		if env == nil || !use {
			if target.Check != nil {
				if err := target.Check(conf); err != nil {
					return bad(err)
				}
			}
			return nil
		}
		// An owner of its own for every rule keeps their counters apart.
		e := env.For(target)
		if env.Peer != nil {
			peer := env.Peer(kind)
			e.Metadata, e.Attr = peer.Metadata, peer.Attr
		}
		e.Owner = env.Owner + "/" + name + "/" + strconv.Itoa(index)
		v, err := target.New(conf, e)
		if err != nil {
			return bad(err)
		}
		r.access = v.(chain.Accesser).Access
		if l, ok := v.(chain.Logger); ok {
			r.log = l.Log
		}
		r.closer, _ = v.(io.Closer)
		return nil
	}
	return fmt.Errorf("unsupported action: %s", kind)
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	for _, r := range p.rules {
		if r.closer != nil {
			_ = r.closer.Close()
		}
	}
	return nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	for _, r := range p.rules {
		if r.when != nil && !r.when.Eval(ctx) {
			continue
		}
		ctx.SetSlot(me.Slot(), r)
		if r.access == nil {
			return req.Continue
		}
		return r.access(ctx)
	}
	return req.Continue
}

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) {
	if r, _ := ctx.Slot(me.Slot()).(*rule); r != nil && r.log != nil {
		r.log(ctx)
	}
}
