package jwtauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"unsafe"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
)

// token is a token whose signature is good. Immutable.
type token struct {
	hash    uint64 // of raw
	raw     []byte
	payload []byte // JSON
	claim   string // where user was found
	user    []byte
	by      *credential
	// The times in nanoseconds; 0: the claim is absent, none: it is no number.
	exp, nbf int64
}

// none stands for a time that never holds.
const none = math.MinInt64

// inTime tells whether the token is valid at now, unix nanoseconds, as far as
// its claims are to be verified. A claim that is absent holds (APISIX asks for
// none).
func (t *token) inTime(now int64, exp, nbf bool) bool {
	if exp && t.exp != 0 && (t.exp == none || now-t.by.grace >= t.exp) {
		return false
	}
	if nbf && t.nbf != 0 && (t.nbf == none || now+t.by.grace < t.nbf) {
		return false
	}
	return true
}

// verify checks a token's form and signature. why is the answer when it is not
// good.
func (p *plugin) verify(ctx *req.Ctx, raw []byte) (t *token, c *chain.Credential, why []byte) {
	parts, err := parse(raw)
	if err != nil {
		return nil, nil, malformed
	}
	user, found := parts.claims[p.claim]
	if !found || string(user) == "false" {
		return nil, nil, noKey
	}
	t = &token{raw: bytes.Clone(raw), payload: parts.payload, claim: p.claim}
	if json.Unmarshal(user, (*text)(&t.user)) != nil {
		return nil, nil, unknown
	}
	if c = p.credentials.Find(t.user); c == nil {
		return nil, nil, unknown
	}
	t.by = c.Value.(*credential)
	t.exp, t.nbf = seconds(parts.claims["exp"]), seconds(parts.claims["nbf"])
	good := false
	check := func() { good = t.by.signed(parts) }
	if !t.by.slow || ctx.Task == nil || ctx.Task.Await(check) != nil {
		check()
	}
	if !good {
		return nil, nil, unproven
	}
	return t, c, nil
}

// signed tells whether the credential signed the token. The token's head only
// has to agree: it does not choose how it is verified.
func (c *credential) signed(p *parts) bool {
	if p.alg != c.alg || c.key == nil {
		return false
	}
	signed := unsafe.String(unsafe.SliceData(p.signed), len(p.signed))
	return c.by.Verify(signed, p.signature, c.key) == nil
}

// parts are the pieces of a token in the compact form of RFC 7515.
type parts struct {
	alg       string
	signed    []byte // what the signature is over
	payload   []byte
	claims    map[string]json.RawMessage
	signature []byte
}

var errToken = errors.New("not a signed JSON web token")

// parse takes a token apart and checks nothing but its form.
func parse(raw []byte) (*parts, error) {
	head, rest, ok := bytes.Cut(raw, dot)
	if !ok {
		return nil, errToken
	}
	body, signature, ok := bytes.Cut(rest, dot)
	if !ok || bytes.IndexByte(signature, '.') >= 0 {
		return nil, errToken // five parts are an encrypted token
	}
	p := &parts{signed: raw[:len(head)+1+len(body)]}
	var h struct {
		Alg  string           `json:"alg"`
		Crit *json.RawMessage `json:"crit"`
	}
	text, err := decode(head)
	if err != nil || json.Unmarshal(text, &h) != nil || h.Alg == "" {
		return nil, errToken
	}
	if h.Crit != nil {
		return nil, errToken // extensions that must be understood, and none is
	}
	p.alg = h.Alg
	if p.payload, err = decode(body); err != nil || json.Unmarshal(p.payload, &p.claims) != nil || p.claims == nil {
		return nil, errToken
	}
	if p.signature, err = decode(signature); err != nil {
		return nil, errToken
	}
	return p, nil
}

var (
	dot       = []byte{'.'}
	base64URL = base64.RawURLEncoding.Strict()
)

func decode(b []byte) ([]byte, error) { return base64URL.AppendDecode(nil, b) }

// seconds reads a NumericDate as nanoseconds, 0 when it is absent.
func seconds(raw json.RawMessage) int64 {
	if raw == nil || string(raw) == "false" {
		return 0
	}
	var f float64
	if string(raw) == "null" || json.Unmarshal(raw, &f) != nil {
		return none
	}
	switch f *= 1e9; {
	case f >= math.MaxInt64/2:
		return math.MaxInt64 / 2
	case f < 1:
		return 1 // the epoch and what was before: long ago
	}
	return int64(f)
}

// text is a JSON string, nothing else.
type text []byte

func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	if len(raw) == 0 || raw[0] != '"' {
		return errToken
	}
	err := json.Unmarshal(raw, &s)
	*t = []byte(s)
	return err
}
