// Package coding compresses responses on their way to the client: which ones,
// and how a body in pieces becomes a coded one.
package coding

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Config are the fields that all compressing plugins have.
type Config struct {
	Types       json.RawMessage `json:"types"` // a list, or "*"
	MinLength   int64           `json:"min_length"`
	HTTPVersion float64         `json:"http_version"`
	Vary        bool            `json:"vary"`
}

// Rule says which responses are compressed.
type Rule struct {
	// Name is the coding as Accept-Encoding names it, in lower case.
	Name string
	// Statuses, when set, are the only ones.
	Statuses map[int]bool

	all       bool // any type
	types     map[string]struct{}
	minLength int64
	minor     uint8
	vary      bool
}

// Set takes the rule from a plugin's fields.
func (r *Rule) Set(c *Config) error {
	r.minLength, r.vary = c.MinLength, c.Vary
	if c.HTTPVersion != 1 {
		r.minor = 1
	}
	var list []string
	if json.Unmarshal(c.Types, &list) != nil {
		var one string
		if err := json.Unmarshal(c.Types, &one); err != nil || one != "*" {
			return fmt.Errorf("types must be a list or \"*\", not %s", c.Types)
		}
		r.all = true
		return nil
	}
	r.types = map[string]struct{}{}
	for _, t := range list {
		r.types[strings.ToLower(t)] = struct{}{}
	}
	return nil
}

// Fits decides by the heads whether the response is to be compressed. Where it
// depends on the client only, it notes that in Vary.
func (r *Rule) Fits(ctx *req.Ctx) bool {
	resp := &ctx.Resp
	if resp.HasID(h1.ContentEncoding) || !r.status(resp.StatusCode) || !r.contentType(ctx) {
		return false
	}
	if resp.ContentLength >= 0 && resp.ContentLength < r.minLength || ctx.Req.Minor < r.minor {
		return false
	}
	if resp.HasID(h1.ContentRange) || resp.HasToken(h1.CacheControl, "no-transform") {
		return false
	}
	if r.vary && !resp.HasToken(h1.Vary, "accept-encoding") {
		resp.AddID(h1.Vary, acceptEncoding)
	}
	return ctx.Req.MethodCode != h1.MethodHead && Accepts(&ctx.Req.Header, r.Name)
}

var acceptEncoding = []byte("Accept-Encoding")

func (r *Rule) status(code int) bool {
	if r.Statuses != nil {
		return r.Statuses[code]
	}
	return code >= 200 && code != 204 && code != 206 && code != 304
}

// contentType looks the response's type up. A response without one is not
// compressed.
func (r *Rule) contentType(ctx *req.Ctx) bool {
	v := ctx.Resp.GetID(h1.ContentType)
	if len(v) == 0 {
		return false
	}
	if r.all {
		return true
	}
	if i := bytes.IndexByte(v, ';'); i >= 0 {
		v = v[:i]
	}
	v = bytes.TrimRight(v, " \t")
	low := append(ctx.ValueBuf[:0], v...)
	ctx.ValueBuf = low
	for i, c := range low {
		if c >= 'A' && c <= 'Z' {
			low[i] = c | 0x20
		}
	}
	_, ok := r.types[string(low)]
	return ok
}

// Accepts reads Accept-Encoding (RFC 9110 section 12.5.3): name with a weight
// that is not 0, or "*" where name is not mentioned.
func Accepts(h *h1.Header, name string) bool {
	star := false
	for i := h.IndexID(h1.AcceptEncoding, 0); i >= 0; i = h.IndexID(h1.AcceptEncoding, i+1) {
		for list := h.Value(i); len(list) > 0; {
			var one []byte
			one, list, _ = bytes.Cut(list, comma)
			token, params, _ := bytes.Cut(one, semicolon)
			token = bytes.TrimSpace(token)
			switch {
			case equalFold(token, name):
				return !zeroWeight(params)
			case len(token) == 1 && token[0] == '*':
				star = !zeroWeight(params)
			}
		}
	}
	return star
}

var comma, semicolon = []byte{','}, []byte{';'}

// zeroWeight tells whether the parameters say q=0.
func zeroWeight(params []byte) bool {
	for len(params) > 0 {
		var one []byte
		one, params, _ = bytes.Cut(params, semicolon)
		one = bytes.TrimSpace(one)
		if len(one) < 3 || one[0]|0x20 != 'q' || one[1] != '=' {
			continue
		}
		for _, c := range one[2:] {
			if c != '0' && c != '.' {
				return false
			}
		}
		return true
	}
	return false
}

func equalFold(b []byte, low string) bool {
	if len(b) != len(low) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != low[i] {
			return false
		}
	}
	return true
}
