// Package consumerrestriction is the plugin consumer-restriction: it lets only
// some consumers, or consumers only on some routes and services, pass.
package consumerrestriction

import (
	"encoding/json"
	"fmt"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "consumer-restriction", Priority: 2400, New: compile})
}

// config is what the user writes.
type config struct {
	Type      string   `json:"type"`
	Blacklist []string `json:"blacklist"`
	Whitelist []string `json:"whitelist"`
	ByMethod  []struct {
		User    string   `json:"user"`
		Methods []string `json:"methods"`
	} `json:"allowed_by_methods"`
	RejectedCode int    `json:"rejected_code"`
	RejectedMsg  string `json:"rejected_msg"`
}

// plugin is a compiled instance.
type plugin struct {
	subject   func(*req.Ctx) string
	blacklist set
	whitelist set
	methods   map[string]set // by user; a user who is not in it may use any
	missing   []byte
	code      int
	forbidden []byte
}

type set map[string]struct{}

func setOf(list []string) set {
	if len(list) == 0 {
		return nil
	}
	s := make(set, len(list))
	for _, v := range list {
		s[v] = struct{}{}
	}
	return s
}

func (s set) has(v string) bool {
	_, ok := s[v]
	return ok
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	c := config{Type: "consumer_name", RejectedCode: 403}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{
		subject: subjects[c.Type], code: c.RejectedCode,
		blacklist: setOf(c.Blacklist), whitelist: setOf(c.Whitelist),
		missing:   chain.Message("The request is rejected, please check the " + c.Type + " for this request"),
		forbidden: chain.Message("The " + c.Type + " is forbidden."),
	}
	if p.subject == nil {
		return nil, fmt.Errorf("type %q is not one of consumer_name, consumer_group_id, route_id, service_id", c.Type)
	}
	if c.RejectedMsg != "" {
		p.forbidden = chain.Message(c.RejectedMsg)
	}
	if len(c.ByMethod) > 0 {
		p.methods = map[string]set{}
	}
	for _, m := range c.ByMethod {
		if _, twice := p.methods[m.User]; !twice { // the first entry of a user counts
			p.methods[m.User] = setOf(m.Methods)
		}
	}
	return p, nil
}

// subjects find what the lists are about; an empty one is missing.
var subjects = map[string]func(*req.Ctx) string{
	"consumer_name": func(ctx *req.Ctx) string {
		if ctx.Consumer == nil {
			return ""
		}
		return ctx.Consumer.Username
	},
	"consumer_group_id": func(ctx *req.Ctx) string {
		if ctx.Consumer == nil {
			return ""
		}
		return ctx.Consumer.GroupID
	},
	"route_id": func(ctx *req.Ctx) string {
		if ctx.Route == nil {
			return ""
		}
		return ctx.Route.ID
	},
	"service_id": func(ctx *req.Ctx) string {
		if ctx.Route == nil {
			return ""
		}
		return ctx.Route.ServiceID
	},
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	subject := p.subject(ctx)
	if subject == "" {
		return ctx.Exit(401, p.missing, chain.TextPlain)
	}
	if p.blacklist.has(subject) || !p.allowed(subject, ctx.Req.Method()) {
		return ctx.Exit(p.code, p.forbidden, chain.TextPlain)
	}
	return req.Continue
}

// allowed asks the whitelist; only where there is none the list of methods
// decides.
func (p *plugin) allowed(subject string, method []byte) bool {
	if p.whitelist != nil {
		return p.whitelist.has(subject)
	}
	methods, listed := p.methods[subject]
	if !listed {
		return true
	}
	_, ok := methods[string(method)]
	return ok
}

var _ chain.Accesser = (*plugin)(nil)
