// Package iprestriction is the plugin ip-restriction: it lets requests pass by
// the address they come from.
package iprestriction

import (
	"encoding/json"
	"fmt"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "ip-restriction", Priority: 3000, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Whitelist []string `json:"whitelist"`
	Blacklist []string `json:"blacklist"`
	Message   string   `json:"message"`
	Code      int      `json:"response_code"`
}

// plugin is a compiled instance.
type plugin struct {
	set  *expr.IPSet
	pass bool // what an address in the set may do
	code int
	body []byte
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
	p := &plugin{code: c.Code, body: chain.Message(c.Message), pass: c.Whitelist != nil}
	list := c.Blacklist
	if p.pass {
		list = c.Whitelist
	}
	for _, text := range list {
		if _, err := expr.ParsePrefix(text); err != nil {
			return nil, fmt.Errorf("invalid ip address: %s", text)
		}
	}
	var err error
	p.set, err = expr.ParseIPs(list)
	return p, err
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	if p.set.Contains(ctx.Client) == p.pass {
		return req.Continue
	}
	return ctx.Exit(p.code, p.body, chain.TextPlain)
}

var _ chain.Accesser = (*plugin)(nil)
