// Package uarestriction is the plugin ua-restriction: it lets requests pass by
// their User-Agent.
package uarestriction

import (
	"bytes"
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "ua-restriction", Priority: 2999, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Allow         []string `json:"allowlist"`
	Deny          []string `json:"denylist"`
	Message       string   `json:"message"`
	BypassMissing bool     `json:"bypass_missing"`
}

// plugin is a compiled instance.
type plugin struct {
	rules  []*regex.Regexp
	allow  bool // what a match means
	bypass bool
	body   []byte
}

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{allow: c.Allow != nil, bypass: c.BypassMissing, body: chain.Message(c.Message)}
	list := c.Deny
	if p.allow {
		list = c.Allow
	}
	for _, text := range list {
		re, err := regex.Compile(text, false)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, re)
	}
	return p, nil
}

// Access implements chain.Accesser. Of several fields one that matches is
// enough.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	h := &ctx.Req.Header
	i := h.IndexID(h1.UserAgent, 0)
	if i < 0 {
		if p.bypass {
			return req.Continue
		}
		return ctx.Exit(403, p.body, chain.TextPlain)
	}
	for ; i >= 0; i = h.IndexID(h1.UserAgent, i+1) {
		if p.match(bytes.TrimSpace(h.Value(i))) {
			return p.verdict(ctx, p.allow)
		}
	}
	return p.verdict(ctx, !p.allow)
}

func (p *plugin) match(agent []byte) bool {
	for _, re := range p.rules {
		if re.Match(agent) {
			return true
		}
	}
	return false
}

func (p *plugin) verdict(ctx *req.Ctx, pass bool) req.Verdict {
	if pass {
		return req.Continue
	}
	return ctx.Exit(403, p.body, chain.TextPlain)
}

var _ chain.Accesser = (*plugin)(nil)
