// Package csrf is the plugin csrf: a signed token that a request must carry
// both in a cookie and in a field, so that another site's page cannot make it.
package csrf

import (
	"crypto/subtle"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
	"github.com/sluicegw/sluice/plugins/internal/answer"
)

func init() {
	chain.Register(&chain.Plugin{Name: "csrf", Priority: 2980, New: compile})
}

// config is what the user writes.
type config struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Expires int64  `json:"expires"` // seconds
}

// plugin is a compiled instance.
type plugin struct {
	key     []byte
	name    string
	field   chain.Field
	cookie  vars.Var
	expires int64
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	cookie, _ := vars.Compile("cookie_" + c.Name)
	return &plugin{key: []byte(c.Key), name: c.Name, field: chain.NewField(c.Name), cookie: cookie, expires: c.Expires}, nil
}

var (
	noField  = answer.ErrorMsg("no csrf token in headers")
	noCookie = answer.ErrorMsg("no csrf cookie")
	mismatch = answer.ErrorMsg("csrf token mismatch")
	unsigned = answer.ErrorMsg("Failed to verify the csrf token signature")
)

// safe are the methods that change nothing.
const safe = h1.MethodSet(1<<h1.MethodGet | 1<<h1.MethodHead | 1<<h1.MethodOptions)

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	if safe.Has(ctx.Req.MethodCode) {
		return req.Continue
	}
	token := p.field.Get(&ctx.Req.Header)
	if len(token) == 0 {
		return ctx.Exit(401, noField, chain.TextPlain)
	}
	cookie, ok := p.cookie.Get(ctx)
	if !ok {
		return ctx.Exit(401, noCookie, chain.TextPlain)
	}
	if subtle.ConstantTimeCompare(token, cookie) != 1 {
		return ctx.Exit(401, mismatch, chain.TextPlain)
	}
	var ok2 bool
	ctx.ValueBuf, ok2 = p.verify(ctx.ValueBuf[:0], token, ctx.Wall/int64(time.Second))
	if !ok2 {
		return ctx.Exit(401, unsigned, chain.TextPlain)
	}
	return req.Continue
}

// HeaderFilter implements chain.HeaderFilterer: every response brings a new
// token.
func (p *plugin) HeaderFilter(ctx *req.Ctx) {
	now := ctx.Wall / int64(time.Second)
	b := append(ctx.ValueBuf[:0], p.name...)
	b = append(b, '=')
	b = p.appendToken(b, leastRandom+rand.Uint64N(9*leastRandom), now)
	b = append(b, ";path=/;SameSite=Lax;Expires="...)
	b = appendCookieTime(b, now+p.expires)
	ctx.ValueBuf = b
	ctx.Resp.AddID(h1.SetCookie, b)
}

// leastRandom makes random numbers have 14 digits: the most that APISIX reads
// and writes without changing them.
const leastRandom = 1e13

// appendCookieTime writes a time as nginx does in cookies.
func appendCookieTime(dst []byte, unix int64) []byte {
	t := time.Unix(unix, 0).UTC()
	if t.Year() > 2037 {
		return t.AppendFormat(dst, "Mon, 02-Jan-2006 15:04:05 GMT")
	}
	return t.AppendFormat(dst, "Mon, 02-Jan-06 15:04:05 GMT")
}

var (
	_ chain.Accesser       = (*plugin)(nil)
	_ chain.HeaderFilterer = (*plugin)(nil)
)
