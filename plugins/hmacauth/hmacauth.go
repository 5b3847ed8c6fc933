// Package hmacauth is the plugin hmac-auth: it knows consumers by a signature
// over parts of the request (draft-cavage-http-signatures).
package hmacauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unsafe"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{
		Name: "hmac-auth", Priority: 2530, Auth: true, New: compile, Credential: credential,
	})
}

// config is what the user writes on a route.
type config struct {
	Algorithms []string `json:"allowed_algorithms"`
	ClockSkew  int64    `json:"clock_skew"`
	Signed     []string `json:"signed_headers"`
	Body       bool     `json:"validate_request_body"`
	MaxBody    int64    `json:"max_req_body_size"`
	Hide       bool     `json:"hide_credentials"`
	Anonymous  string   `json:"anonymous_consumer"`
	Realm      string   `json:"realm"`
}

// plugin is a compiled instance.
type plugin struct {
	allowed     [numAlgorithms]bool
	skew        int64 // nanoseconds
	signed      []string
	body        bool
	maxBody     int64
	hide        bool
	auth        *chain.Auth
	credentials *chain.Credentials
}

// The texts of refusals. Which check failed is told only before the credential
// is known.
var (
	missing  = chain.Message("client request can't be validated: missing Authorization header")
	noScheme = chain.Message("client request can't be validated: Authorization header does not start with 'Signature'")
	invalid  = chain.Message("client request can't be validated")
)

// maxSkew is the largest clock_skew that makes a difference, in seconds: thirty
// years.
const maxSkew = 1e9

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c := config{Algorithms: slices.Clone(algorithms[:]), ClockSkew: 300, Signed: []string{"date"}, MaxBody: 64 << 20, Realm: "hmac"}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{
		skew: min(c.ClockSkew, maxSkew) * 1e9, signed: c.Signed, body: c.Body, maxBody: c.MaxBody, hide: c.Hide,
		auth: chain.NewAuth(env, "hmac", c.Realm, c.Anonymous), credentials: env.Credentials,
	}
	for _, name := range c.Algorithms {
		a, ok := algorithmOf([]byte(name))
		if !ok {
			return nil, fmt.Errorf("allowed_algorithms: %q is not one of %s", name, strings.Join(algorithms[:], ", "))
		}
		p.allowed[a] = true
	}
	return p, nil
}

// credential reads what a consumer holds; its value is the secret.
func credential(raw json.RawMessage) (string, any, error) {
	var c struct {
		KeyID  string `json:"key_id"`
		Secret string `json:"secret_key"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", nil, err
	}
	if c.Secret == "" {
		return "", nil, errors.New("secret_key is empty")
	}
	return c.KeyID, newSecret([]byte(c.Secret)), nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	field := ctx.Req.GetID(h1.Authorization)
	if field == nil {
		return p.auth.Fail(ctx, missing)
	}
	rest, ok := bytes.CutPrefix(field, scheme)
	if !ok {
		return p.auth.Fail(ctx, noScheme)
	}
	c := p.verify(ctx, parse(rest))
	if c == nil {
		return p.fail(ctx)
	}
	if p.body {
		if err := ctx.ReadBody(p.maxBody); err != nil {
			return ctx.FailBody(err)
		}
		if !digestFits(ctx) {
			return p.fail(ctx)
		}
	}
	if p.hide {
		ctx.Req.DelID(h1.Authorization)
	}
	ctx.SetConsumer(c.Consumer)
	return req.Continue
}

// fail refuses the request, or lets it pass as the anonymous consumer; the
// upstream does not see a bad signature that is to be hidden either.
func (p *plugin) fail(ctx *req.Ctx) req.Verdict {
	v := p.auth.Fail(ctx, invalid)
	if v == req.Continue && p.hide {
		ctx.Req.DelID(h1.Authorization)
	}
	return v
}

// verify returns the credential that signed the request, nil when none did.
func (p *plugin) verify(ctx *req.Ctx, f fields) *chain.Credential {
	a, ok := algorithmOf(f.algorithm)
	if !ok || !p.allowed[a] || f.keyID == nil || f.signature == nil || !p.fresh(ctx) || !p.covers(&f) {
		return nil
	}
	c := p.credentials.Find(f.keyID)
	if c == nil {
		return nil
	}
	var room [maxSum + 3]byte
	text := bytes.TrimRight(f.signature, "=")
	if base64.RawStdEncoding.DecodedLen(len(text)) > maxSum {
		return nil
	}
	mac, err := base64.RawStdEncoding.AppendDecode(room[:0], text)
	if err != nil {
		return nil
	}
	s := c.Value.(*secret)
	// What the client signs as @request-target is what it sends or what
	// APISIX makes of that, $request_uri; they differ where the path was not
	// normal.
	raw := ctx.Req.RawTarget()
	if s.signs(a, p.message(ctx, s, a, &f, raw), mac) {
		return c
	}
	uri, _ := requestURI.Append(ctx.RewriteBuf[:0], ctx)
	ctx.RewriteBuf = uri
	if !bytes.Equal(uri, raw) && s.signs(a, p.message(ctx, s, a, &f, uri), mac) {
		return c
	}
	return nil
}

var requestURI = vars.MustCompile("request_uri")

// fresh tells whether the request's date is near enough to now.
func (p *plugin) fresh(ctx *req.Ctx) bool {
	date := ctx.Req.GetID(h1.Date)
	if date == nil {
		if date = ctx.Req.Get("x-date"); date == nil {
			return false
		}
	}
	t, err := http.ParseTime(unsafe.String(unsafe.SliceData(date), len(date)))
	if err != nil {
		return false
	}
	diff := ctx.Wall/1e9 - t.Unix()
	return max(diff, -diff) <= p.skew/1e9
}

// covers tells whether the signature is over all fields that it must be over.
func (p *plugin) covers(f *fields) bool {
	if len(p.signed) == 0 {
		return true
	}
	if !f.hasHeaders {
		return false
	}
next:
	for _, want := range p.signed {
		for list := f.headers; len(list) > 0; {
			var one []byte
			one, list, _ = bytes.Cut(list, blank)
			if string(one) == want {
				continue next
			}
		}
		return false
	}
	return true
}

var blank = []byte{' '}

// message writes what is signed: the key's id, then a line for each field that
// the client lists and the request has. It stays good until ctx.ValueBuf is
// used again.
func (p *plugin) message(ctx *req.Ctx, s *secret, a algorithm, f *fields, target []byte) []byte {
	out := s.begin(ctx.ValueBuf[:0], a)
	out = append(out, f.keyID...)
	out = append(out, '\n')
	for list := f.headers; len(list) > 0; {
		var one []byte
		one, list, _ = bytes.Cut(list, blank)
		if string(one) == "@request-target" {
			out = append(out, ctx.Req.Method()...)
			out = append(out, ' ')
			out = append(out, target...)
			out = append(out, '\n')
			continue
		}
		value, ok := fieldOf(&ctx.Req.Header, one)
		if !ok {
			continue
		}
		out = append(out, one...)
		out = append(out, ": "...)
		out = append(out, value...)
		out = append(out, '\n')
	}
	ctx.ValueBuf = out
	return out
}

// fieldOf finds the first field of a name that is in any case.
func fieldOf(h *h1.Header, name []byte) ([]byte, bool) {
	for i := range h.Len() {
		if bytes.EqualFold(h.Name(i), name) {
			return h.Value(i), true
		}
	}
	return nil, false
}

// digestFits tells whether the Digest field is that of the body. What the field
// is worth depends on its being signed.
func digestFits(ctx *req.Ctx) bool {
	want, ok := bytes.CutPrefix(ctx.Req.Get("digest"), digestScheme)
	if !ok {
		return false
	}
	sum := sha256.Sum256(ctx.Body)
	var room [44]byte
	base64.StdEncoding.Encode(room[:], sum[:])
	return bytes.Equal(room[:], want)
}

var digestScheme = []byte("SHA-256=")

var _ chain.Rewriter = (*plugin)(nil)
