// Package acl is the plugin acl: it lets consumers pass, or not, by their
// labels.
package acl

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "acl", Priority: 2410, New: compile, Check: check})
}

// config is what the user writes. The fields external_user_label_field* say
// how to read the labels of users that an identity provider knows; no built-in
// plugin names such users yet, so that they are checked here and not used.
type config struct {
	Allow        map[string][]string `json:"allow_labels"`
	Deny         map[string][]string `json:"deny_labels"`
	RejectedCode int                 `json:"rejected_code"`
	RejectedMsg  string              `json:"rejected_msg"`
	Separator    string              `json:"external_user_label_field_separator"`
}

// plugin is a compiled instance.
type plugin struct {
	allow, deny []rule
	restricted  bool // allow_labels is there
	code        int
	forbidden   []byte
}

// rule holds when the label has one of the values.
type rule struct {
	label  string
	values []string
}

var missing = chain.Message("Missing authentication.")

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	c := config{RejectedCode: 403, RejectedMsg: "The consumer is forbidden."}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if c.Separator != "" {
		if _, err := regex.Compile(c.Separator, false); err != nil {
			return nil, err
		}
	}
	return &plugin{
		allow: rules(c.Allow), deny: rules(c.Deny), restricted: c.Allow != nil,
		code: c.RejectedCode, forbidden: chain.Message(c.RejectedMsg),
	}, nil
}

func rules(m map[string][]string) []rule {
	var out []rule
	for label, values := range m {
		out = append(out, rule{label, values})
	}
	slices.SortFunc(out, func(a, b rule) int { return strings.Compare(a.label, b.label) })
	return out
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	if ctx.Consumer == nil {
		return ctx.Exit(401, missing, chain.TextPlain)
	}
	if anyHolds(p.deny, ctx.Consumer) || p.restricted && !anyHolds(p.allow, ctx.Consumer) {
		return ctx.Exit(p.code, p.forbidden, chain.TextPlain)
	}
	return req.Continue
}

func anyHolds(rules []rule, k *req.Consumer) bool {
	for i := range rules {
		text, ok := k.Label(rules[i].label)
		if !ok {
			continue
		}
		for v := range values(text) {
			if slices.Contains(rules[i].values, v) {
				return true
			}
		}
	}
	return false
}

var _ chain.Accesser = (*plugin)(nil)
