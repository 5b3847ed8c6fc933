// Package multiauth is the plugin multi-auth: a request passes when any of
// several auth plugins lets it.
package multiauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "multi-auth", Priority: 2600, Auth: true, New: compile, Check: check})
}

// config is what the user writes: a list of objects, plugin name →
// configuration.
type config struct {
	Plugins []map[string]any `json:"auth_plugins"`
}

// plugin is a compiled instance.
type plugin struct{ methods []chain.Rewriter }

var failed = chain.Message("Authorization Failed")

func check(raw json.RawMessage) error {
	_, err := read(raw)
	return err
}

// method is one auth plugin with its checked configuration.
type method struct {
	plugin *chain.Plugin
	conf   json.RawMessage
}

// read checks the configurations of all plugins and fills their defaults.
// Plugins that stand in one object run in the order of their names.
func read(raw json.RawMessage) ([]method, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	var out []method
	for _, group := range c.Plugins {
		var names []string
		for name := range group {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			p := chain.Lookup(name)
			switch {
			case p == nil:
				return nil, errors.New(name + " plugin did not found") // APISIX's words
			case !p.Auth:
				return nil, errors.New(name + " plugin is not supported")
			}
			filled, err := fill(p, group[name])
			if err != nil {
				return nil, fmt.Errorf("plugin %s check schema failed: %w", name, err)
			}
			out = append(out, method{p, filled})
		}
	}
	return out, nil
}

// fill checks a configuration against the plugin's schema and by the plugin
// itself.
func fill(p *chain.Plugin, v any) (json.RawMessage, error) {
	if d := conf.Catalogue().Plugin(p.Name); d != nil {
		s, err := d.Instance().Schema()
		if err != nil {
			return nil, err
		}
		if v, err = s.Apply(v); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(v)
	if err == nil && p.Check != nil {
		err = p.Check(raw)
	}
	return raw, err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	methods, err := read(raw)
	if err != nil {
		return nil, err
	}
	p := &plugin{}
	for _, m := range methods {
		v, err := m.plugin.New(m.conf, env.For(m.plugin))
		if err != nil {
			return nil, fmt.Errorf("plugin %s: %w", m.plugin.Name, err)
		}
		r, ok := v.(chain.Rewriter)
		if !ok {
			return nil, errors.New(m.plugin.Name + " plugin is not supported")
		}
		p.methods = append(p.methods, r)
	}
	return p, nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	for i, m := range p.methods {
		if m.Rewrite(ctx) == req.Continue {
			if i > 0 {
				// What the others had to say does not matter any more.
				ctx.Extra.DelID(h1.WWWAuthenticate)
				ctx.Exit(0, nil, "")
			}
			return req.Continue
		}
		if ctx.Resp.StatusCode != 401 {
			// Not a matter of who calls: the body could not be read, say.
			return req.Exit
		}
	}
	return ctx.Exit(401, failed, chain.TextPlain)
}

var _ chain.Rewriter = (*plugin)(nil)
