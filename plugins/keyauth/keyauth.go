// Package keyauth is the plugin key-auth: it knows consumers by a key that they
// send in a header field or in the query.
package keyauth

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{
		Name: "key-auth", Priority: 2500, Auth: true, New: compile, Credential: credential,
	})
}

// config is what the user writes on a route.
type config struct {
	Header    string `json:"header"`
	Query     string `json:"query"`
	Hide      bool   `json:"hide_credentials"`
	Anonymous string `json:"anonymous_consumer"`
	Realm     string `json:"realm"`
}

// plugin is a compiled instance.
type plugin struct {
	header      chain.Field
	query       vars.Var
	queryName   string
	hide        bool
	auth        *chain.Auth
	credentials *chain.Credentials
}

var (
	missing = chain.Message("Missing API key in request")
	invalid = chain.Message("Invalid API key in request")
)

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c := config{Header: "apikey", Query: "apikey", Realm: "key"}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{
		header: chain.NewField(c.Header), queryName: c.Query, hide: c.Hide,
		auth:        chain.NewAuth(env, "apikey", c.Realm, c.Anonymous),
		credentials: env.Credentials,
	}
	p.query, _ = vars.Compile("arg_" + c.Query)
	return p, nil
}

// credential reads what a consumer holds.
func credential(raw json.RawMessage) (string, any, error) {
	var c struct {
		Key string `json:"key"`
	}
	err := json.Unmarshal(raw, &c)
	return c.Key, nil, err
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	key := p.header.Get(&ctx.Req.Header)
	inHeader := key != nil
	if !inHeader {
		var ok bool
		if key, ok = p.query.Get(ctx); !ok {
			return p.auth.Fail(ctx, missing)
		}
	}
	c := p.credentials.Find(key)
	if c == nil {
		return p.auth.Fail(ctx, invalid)
	}
	if p.hide {
		if inHeader {
			p.header.Del(&ctx.Req.Header)
		} else {
			chain.HideArg(ctx, p.queryName)
		}
	}
	ctx.SetConsumer(c.Consumer)
	return req.Continue
}

var _ chain.Rewriter = (*plugin)(nil)
