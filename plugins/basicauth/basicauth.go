// Package basicauth is the plugin basic-auth: it knows consumers by a user name
// and a password in the Authorization field (RFC 7617).
package basicauth

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{
		Name: "basic-auth", Priority: 2520, Auth: true, New: compile, Credential: credential,
	})
}

// config is what the user writes on a route.
type config struct {
	Hide      bool   `json:"hide_credentials"`
	Anonymous string `json:"anonymous_consumer"`
	Realm     string `json:"realm"`
}

// plugin is a compiled instance.
type plugin struct {
	hide        bool
	auth        *chain.Auth
	credentials *chain.Credentials
}

var (
	missing   = chain.Message("Missing authorization in request")
	malformed = chain.Message("Invalid authorization in request")
	invalid   = chain.Message("Invalid user authorization")
)

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c := config{Realm: "basic"}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	return &plugin{hide: c.Hide, auth: chain.NewAuth(env, "Basic", c.Realm, c.Anonymous), credentials: env.Credentials}, nil
}

// credential reads what a consumer holds; its value is the password.
func credential(raw json.RawMessage) (string, any, error) {
	var c struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", nil, err
	}
	return c.Username, []byte(c.Password), nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	field := ctx.Req.GetID(h1.Authorization)
	if field == nil {
		return p.auth.Fail(ctx, missing)
	}
	out, user, password, ok := decode(ctx.ValueBuf[:0], field)
	ctx.ValueBuf = out
	if !ok {
		return p.auth.Fail(ctx, malformed)
	}
	c := p.find(user, password)
	if c == nil && hasSpace(user, password) {
		// APISIX drops all white space of both before it compares, so clients
		// get away with the line break that echo appends.
		c = p.find(dropSpace(user), dropSpace(password))
	}
	if c == nil {
		return p.auth.Fail(ctx, invalid)
	}
	if p.hide {
		ctx.Req.DelID(h1.Authorization)
	}
	ctx.SetConsumer(c.Consumer)
	return req.Continue
}

// nobody stands in for the password of a user that does not exist, so that the
// answer takes as long as for a wrong password.
var nobody = []byte("a password of usual length")

func (p *plugin) find(user, password []byte) *chain.Credential {
	c := p.credentials.Find(user)
	want := nobody
	if c != nil {
		want = c.Value.([]byte)
	}
	if subtle.ConstantTimeCompare(want, password) == 0 {
		return nil
	}
	return c
}

// decode splits the credentials of an Authorization field; the text is decoded
// into dst. The password may hold colons (RFC 7617 section 2).
func decode(dst, field []byte) (out, user, password []byte, ok bool) {
	const scheme = "basic"
	if len(field) <= len(scheme) || !bytes.EqualFold(field[:len(scheme)], []byte(scheme)) {
		return dst, nil, nil, false
	}
	text := field[len(scheme):]
	if text[0] != ' ' && text[0] != '\t' {
		return dst, nil, nil, false
	}
	text = bytes.TrimRight(bytes.Trim(text, " \t"), "=")
	out, err := base64.RawStdEncoding.AppendDecode(dst, text)
	if err != nil {
		return dst, nil, nil, false
	}
	user, password, ok = bytes.Cut(out[len(dst):], colon)
	return out, user, password, ok
}

var colon = []byte{':'}

func hasSpace(a, b []byte) bool {
	return bytes.ContainsAny(a, space) || bytes.ContainsAny(b, space)
}

const space = " \t\r\n\v\f"

// dropSpace takes white space out of b in place.
func dropSpace(b []byte) []byte {
	keep := b[:0]
	for _, c := range b {
		if bytes.IndexByte([]byte(space), c) < 0 {
			keep = append(keep, c)
		}
	}
	return keep
}

var _ chain.Rewriter = (*plugin)(nil)
