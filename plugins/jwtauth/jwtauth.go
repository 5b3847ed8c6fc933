// Package jwtauth is the plugin jwt-auth: it knows consumers by a signed JSON
// Web Token (RFC 7519) in a header field, the query or a cookie.
package jwtauth

import (
	"encoding/json"
	"slices"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

var description = &chain.Plugin{
	Name: "jwt-auth", Priority: 2510, Auth: true, New: compile,
	Credential: readCredential, CheckConsumer: checkConsumer,
}

func init() { chain.Register(description) }

// config is what the user writes on a route.
type config struct {
	Header    string   `json:"header"`
	Query     string   `json:"query"`
	Cookie    string   `json:"cookie"`
	Hide      bool     `json:"hide_credentials"`
	Claim     string   `json:"key_claim_name"`
	Store     bool     `json:"store_in_ctx"`
	Realm     string   `json:"realm"`
	Anonymous string   `json:"anonymous_consumer"`
	Verify    []string `json:"claims_to_verify"`
}

// plugin is a compiled instance.
type plugin struct {
	header      chain.Field
	query       vars.Var
	queryName   string
	cookie      vars.Var
	cookieName  string
	claim       string
	exp, nbf    bool // which claims are verified
	hide, store bool
	auth        *chain.Auth
	credentials *chain.Credentials
	cache       *cache
}

var (
	missing   = chain.Message("Missing JWT token in request")
	malformed = chain.Message("JWT token invalid")
	noKey     = chain.Message("missing user key in JWT token")
	unknown   = chain.Message("Invalid user key in JWT token")
	unproven  = chain.Message("failed to verify jwt")
)

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c := config{
		Header: "authorization", Query: "jwt", Cookie: "jwt", Claim: "key", Realm: "jwt",
		Verify: []string{"exp", "nbf"},
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{
		header: chain.NewField(c.Header), queryName: c.Query, cookieName: c.Cookie, claim: c.Claim,
		exp: slices.Contains(c.Verify, "exp"), nbf: slices.Contains(c.Verify, "nbf"),
		hide: c.Hide, store: c.Store,
		auth:        chain.NewAuth(env, "Bearer", c.Realm, c.Anonymous),
		credentials: env.Credentials,
		cache:       env.Shared(func() any { return newCache(maxTokens) }).(*cache),
	}
	p.query, _ = vars.Compile("arg_" + c.Query)
	p.cookie, _ = vars.Compile("cookie_" + c.Cookie)
	return p, nil
}

// source says where a token was found.
type source uint8

const (
	nowhere source = iota
	inHeader
	inQuery
	inCookie
)

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	raw, from := p.fetch(ctx)
	if from == nowhere {
		return p.auth.Fail(ctx, missing)
	}
	hash := p.cache.hash(raw)
	t := p.cache.find(hash, raw, p.claim)
	var c *chain.Credential
	if t != nil {
		// Fast path: the signature is known to be good. Whether the consumer
		// still holds the key that it is good for is looked up every time.
		if c = p.credentials.Find(t.user); c == nil || c.Value.(*credential) != t.by {
			t = nil
		}
	}
	fresh := t == nil
	if fresh {
		var why []byte
		if t, c, why = p.verify(ctx, raw); why != nil {
			return p.fail(ctx, from, why)
		}
	}
	if !t.inTime(ctx.Wall, p.exp, p.nbf) {
		return p.fail(ctx, from, unproven)
	}
	if fresh {
		p.cache.put(hash, t, ctx.Wall)
	}
	if p.hide {
		p.hideToken(ctx, from)
	}
	if p.store {
		ctx.SetSlot(description.Slot(), t)
	}
	ctx.SetConsumer(c.Consumer)
	return req.Continue
}

// fail refuses the request, or lets it pass as the anonymous consumer; the
// upstream does not see a bad token that is to be hidden either.
func (p *plugin) fail(ctx *req.Ctx, from source, why []byte) req.Verdict {
	v := p.auth.Fail(ctx, why)
	if v == req.Continue && p.hide {
		p.hideToken(ctx, from)
	}
	return v
}

// Payload returns the JSON text of the claims that jwt-auth verified, nil
// unless store_in_ctx is set. It is for other plugins.
func Payload(ctx *req.Ctx) []byte {
	t, _ := ctx.Slot(description.Slot()).(*token)
	if t == nil {
		return nil
	}
	return t.payload
}

// fetch finds the request's token: in the header field, then in the query, then
// in the cookie. It is valid until the next variable is read.
func (p *plugin) fetch(ctx *req.Ctx) ([]byte, source) {
	if v := p.header.Get(&ctx.Req.Header); v != nil {
		return trimBearer(v), inHeader
	}
	if v, ok := p.query.Get(ctx); ok {
		return v, inQuery
	}
	if v, ok := p.cookie.Get(ctx); ok {
		return v, inCookie
	}
	return nil, nowhere
}

// trimBearer takes the scheme of RFC 6750 away; a bare token is good too.
func trimBearer(v []byte) []byte {
	const scheme = "bearer "
	if len(v) < len(scheme) {
		return v
	}
	for i := range len(scheme) - 1 {
		if v[i]|0x20 != scheme[i] {
			return v
		}
	}
	if v[len(scheme)-1] != ' ' {
		return v
	}
	return v[len(scheme):]
}

func (p *plugin) hideToken(ctx *req.Ctx, from source) {
	switch from {
	case inHeader:
		p.header.Del(&ctx.Req.Header)
	case inQuery:
		chain.HideArg(ctx, p.queryName)
	case inCookie:
		chain.HideCookie(ctx, p.cookieName)
	}
}

var _ chain.Rewriter = (*plugin)(nil)
