// Package refererrestriction is the plugin referer-restriction: it lets
// requests pass by the host of their Referer.
package refererrestriction

import (
	"encoding/json"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "referer-restriction", Priority: 2990, New: compile})
}

// config is what the user writes.
type config struct {
	Whitelist     []string `json:"whitelist"`
	Blacklist     []string `json:"blacklist"`
	Message       string   `json:"message"`
	BypassMissing bool     `json:"bypass_missing"`
}

// plugin is a compiled instance.
type plugin struct {
	hosts    map[string]struct{}
	suffixes []string // of "*.example.com": ".example.com"
	pass     bool     // what a host in the list may do
	bypass   bool
	body     []byte
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{hosts: map[string]struct{}{}, pass: c.Whitelist != nil, bypass: c.BypassMissing, body: chain.Message(c.Message)}
	list := c.Blacklist
	if p.pass {
		list = c.Whitelist
	}
	for _, host := range list {
		host = strings.ToLower(host)
		if suffix, ok := strings.CutPrefix(host, "*"); ok {
			p.suffixes = append(p.suffixes, suffix)
		} else {
			p.hosts[host] = struct{}{}
		}
	}
	return p, nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	host := hostOf(ctx.Req.GetID(h1.Referer))
	pass := p.bypass
	if len(host) > 0 {
		out := append(ctx.ValueBuf[:0], host...)
		ctx.ValueBuf = out
		for i, c := range out {
			if c >= 'A' && c <= 'Z' {
				out[i] = c | 0x20
			}
		}
		pass = p.listed(out) == p.pass
	}
	if pass {
		return req.Continue
	}
	return ctx.Exit(403, p.body, chain.TextPlain)
}

func (p *plugin) listed(host []byte) bool {
	if _, ok := p.hosts[string(host)]; ok {
		return true
	}
	for _, s := range p.suffixes {
		if len(host) >= len(s) && string(host[len(host)-len(s):]) == s {
			return true
		}
	}
	return false
}

var _ chain.Accesser = (*plugin)(nil)
