// Package uriblocker is the plugin uri-blocker: it refuses requests whose
// target matches a pattern.
package uriblocker

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/answer"
)

func init() {
	chain.Register(&chain.Plugin{Name: "uri-blocker", Priority: 2900, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Rules []string `json:"block_rules"`
	Code  int      `json:"rejected_code"`
	Msg   string   `json:"rejected_msg"`
	Fold  bool     `json:"case_insensitive"`
}

// plugin is a compiled instance.
type plugin struct {
	rules []*regex.Regexp
	code  int
	body  []byte // nil: the page that belongs to the status
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
	p := &plugin{code: c.Code}
	for _, text := range c.Rules {
		re, err := regex.Compile(text, c.Fold)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, re)
	}
	if c.Msg != "" {
		p.body = answer.ErrorMsg(c.Msg)
	}
	return p, nil
}

// Rewrite implements chain.Rewriter. Rules see the path as it is understood,
// decoded and with dot segments resolved, so that no escape hides anything, and
// the query as the client wrote it.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	uri := ctx.Path
	if len(ctx.Query) > 0 {
		out := append(ctx.RewriteBuf[:0], ctx.Path...)
		out = append(out, '?')
		uri = append(out, ctx.Query...)
		ctx.RewriteBuf = uri
	}
	for _, re := range p.rules {
		if re.Match(uri) {
			return ctx.Exit(p.code, p.body, chain.TextPlain)
		}
	}
	return req.Continue
}

var _ chain.Rewriter = (*plugin)(nil)
