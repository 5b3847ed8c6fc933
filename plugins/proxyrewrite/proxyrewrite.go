// Package proxyrewrite is the plugin proxy-rewrite: it changes what the
// upstream sees of a request.
package proxyrewrite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{Name: "proxy-rewrite", Priority: 1008, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	URI       string          `json:"uri"`
	Method    string          `json:"method"`
	RegexURI  []string        `json:"regex_uri"`
	Host      string          `json:"host"`
	Headers   json.RawMessage `json:"headers"`
	UnsafeURI bool            `json:"use_real_request_uri_unsafe"`
}

// plugin is a compiled instance.
type plugin struct {
	method    []byte
	host      []byte
	uri       *vars.Template
	rules     []rule
	unsafeURI bool
	add, set  []field
	remove    []string
}

// rule is one pair of regex_uri.
type rule struct {
	pattern *regex.Regexp
	replace *regex.Template
}

// field is a header field to write. Its value may refer to variables and, as
// $1, to groups of the regex_uri that matched.
type field struct {
	name  string
	value []part
}

// part is a piece of a value: a group number, or a template without groups.
type part struct {
	group int // 0: template
	text  *vars.Template
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
	p := &plugin{unsafeURI: c.UnsafeURI}
	if c.Method != "" {
		p.method = []byte(c.Method)
	}
	if c.Host != "" {
		p.host = []byte(c.Host)
	}
	if c.URI != "" {
		p.uri = vars.CompileTemplate(c.URI)
	}
	if len(c.RegexURI)%2 != 0 {
		//lint:ignore ST1005 clients compare the text
		return nil, errors.New("The length of regex_uri should be an even number")
	}
	for i := 0; i < len(c.RegexURI); i += 2 {
		pattern, err := regex.Compile(c.RegexURI[i], false)
		if err != nil {
			return nil, fmt.Errorf("invalid regex_uri(%s, %s): %w", c.RegexURI[i], c.RegexURI[i+1], err)
		}
		replace, err := regex.CompileTemplate(c.RegexURI[i+1])
		if err != nil {
			return nil, fmt.Errorf("invalid regex_uri(%s, %s): %w", c.RegexURI[i], c.RegexURI[i+1], err)
		}
		p.rules = append(p.rules, rule{pattern, replace})
	}
	return p, p.compileHeaders(c.Headers)
}

// compileHeaders reads both forms of headers: {add, set, remove}, and a bare
// object, which means set.
func (p *plugin) compileHeaders(raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	var h struct {
		Add    map[string]json.RawMessage `json:"add"`
		Set    map[string]json.RawMessage `json:"set"`
		Remove []string                   `json:"remove"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if dec.Decode(&h) != nil || h.Add == nil && h.Set == nil && h.Remove == nil {
		h.Add, h.Remove = nil, nil
		if err := json.Unmarshal(raw, &h.Set); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
	}
	var err error
	if p.add, err = compileFields(h.Add); err != nil {
		return err
	}
	if p.set, err = compileFields(h.Set); err != nil {
		return err
	}
	for _, name := range h.Remove {
		p.remove = append(p.remove, strings.ToLower(name))
	}
	return nil
}

func compileFields(m map[string]json.RawMessage) ([]field, error) {
	var out []field
	for name, raw := range m {
		if !validName(name) {
			return nil, errors.New("invalid field character in header")
		}
		values := []json.RawMessage{raw}
		if raw[0] == '[' {
			if err := json.Unmarshal(raw, &values); err != nil {
				return nil, fmt.Errorf("headers.%s: %w", name, err)
			}
		}
		for _, v := range values {
			text := string(v)
			if v[0] == '"' {
				if err := json.Unmarshal(v, &text); err != nil {
					return nil, fmt.Errorf("headers.%s: %w", name, err)
				}
			}
			if strings.ContainsAny(text, "\r\n\x00") {
				return nil, errors.New("invalid value character in header")
			}
			out = append(out, field{name, compileValue(text)})
		}
	}
	slices.SortStableFunc(out, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// compileValue splits a value at its references to groups, $1 to $9.
func compileValue(s string) []part {
	var parts []part
	for {
		i := 0
		for ; i+1 < len(s); i++ {
			if s[i] == '$' && s[i+1] >= '1' && s[i+1] <= '9' && (i == 0 || s[i-1] != '\\') {
				break
			}
		}
		if i+1 >= len(s) {
			if s != "" {
				parts = append(parts, part{text: vars.CompileTemplate(s)})
			}
			return parts
		}
		if i > 0 {
			parts = append(parts, part{text: vars.CompileTemplate(s[:i])})
		}
		parts = append(parts, part{group: int(s[i+1] - '0')})
		s = s[i+2:]
	}
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.host != nil {
		ctx.UpstreamHost = append(ctx.UpstreamHost[:0], p.host...)
	}
	var room [2 * 10]int
	spans, text := p.rewriteURI(ctx, room[:0])
	for i := range p.add {
		f := &p.add[i]
		ctx.Req.Add(f.name, f.append(ctx, text, spans))
	}
	for i := range p.set {
		f := &p.set[i]
		if i > 0 && p.set[i-1].name == f.name {
			ctx.Req.Add(f.name, f.append(ctx, text, spans))
			continue
		}
		ctx.Req.Set(f.name, f.append(ctx, text, spans))
	}
	for _, name := range p.remove {
		ctx.Req.Del(name)
	}
	if p.method != nil {
		ctx.Req.SetMethod(p.method)
	}
	return req.Continue
}

// rewriteURI sets the target that the upstream sees. It returns the groups of
// the regex_uri that matched and the text that they are part of.
func (p *plugin) rewriteURI(ctx *req.Ctx, spans []int) ([]int, []byte) {
	if p.unsafeURI && p.uri == nil && p.rules == nil {
		ctx.UpstreamURI = append(ctx.UpstreamURI[:0], ctx.Req.RawTarget()...)
		return nil, nil
	}
	if p.uri == nil && p.rules == nil {
		return nil, nil
	}
	// The new path is made behind the finished target in the same buffer.
	path := ctx.Path
	query := -1 // where the rule itself begins a query
	var text []byte
	if p.uri != nil {
		out, _ := p.uri.AppendTo(ctx.RewriteBuf[:0], ctx)
		ctx.RewriteBuf = out
		path = out
		query = bytes.IndexByte(out, '?')
	} else {
		matched := false
		for i := range p.rules {
			r := &p.rules[i]
			found, ok := r.pattern.Find(ctx.Path, spans)
			if !ok {
				continue
			}
			spans, text, matched = found, ctx.Path, true
			out := append(ctx.RewriteBuf[:0], ctx.Path[:found[0]]...)
			out = r.replace.AppendTo(out, ctx.Path, found)
			out = append(out, ctx.Path[found[1]:]...)
			ctx.RewriteBuf = out
			path = out
			// A '?' of the client's path is data; one that only the rule can
			// have brought begins a query.
			if bytes.IndexByte(ctx.Path, '?') < 0 {
				query = bytes.IndexByte(out, '?')
			}
			break
		}
		if !matched {
			return nil, nil
		}
	}
	dst := ctx.UpstreamURI[:0]
	if query >= 0 {
		dst = h1.AppendEscapedPath(dst, path[:query])
		dst = appendQuery(dst, path[query:])
	} else {
		dst = h1.AppendEscapedPath(dst, path)
	}
	if ctx.Query != nil {
		if query >= 0 {
			dst = append(dst, '&')
		} else {
			dst = append(dst, '?')
		}
		dst = append(dst, ctx.Query...)
	}
	if len(dst) == 0 || dst[0] != '/' {
		dst = append(dst, 0)
		copy(dst[1:], dst)
		dst[0] = '/'
	}
	ctx.UpstreamURI = dst
	return spans, text
}

// appendQuery copies a query that a rule made, escaping what must not stand in
// a request line: variables may have brought it.
func appendQuery(dst, q []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range q {
		if c <= ' ' || c >= 0x7f || c == '#' {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// append writes the field's value for a request.
func (f *field) append(ctx *req.Ctx, text []byte, spans []int) []byte {
	dst := ctx.ValueBuf[:0]
	for i := range f.value {
		v := &f.value[i]
		if v.group == 0 {
			dst, _ = v.text.AppendTo(dst, ctx)
		} else if k := 2 * v.group; k+1 < len(spans) && spans[k] >= 0 {
			dst = append(dst, text[spans[k]:spans[k+1]]...)
		}
	}
	ctx.ValueBuf = dst
	return dst
}

var _ chain.Rewriter = (*plugin)(nil)
