// Package redirect is the plugin redirect: it sends clients elsewhere.
package redirect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{Name: "redirect", Priority: 900, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	ToHTTPS     bool     `json:"http_to_https"`
	URI         string   `json:"uri"`
	RegexURI    []string `json:"regex_uri"`
	Code        int      `json:"ret_code"`
	Encode      bool     `json:"encode_uri"`
	AppendQuery bool     `json:"append_query_string"`
}

// plugin is a compiled instance.
type plugin struct {
	toHTTPS bool
	port    string // ":9443", empty for 443
	uri     *vars.Template
	pattern *regex.Regexp
	replace *regex.Template
	code    int
	encode  bool
	query   bool
}

// twoWishes is APISIX's text, which clients may compare.
const twoWishes = "only one of `http_to_https` and `append_query_string` can be configured."

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if c.ToHTTPS && c.AppendQuery {
		//lint:ignore ST1005 clients compare the text
		return nil, errors.New(twoWishes)
	}
	p := &plugin{toHTTPS: c.ToHTTPS, code: c.Code, encode: c.Encode, query: c.AppendQuery}
	if c.URI != "" {
		p.uri = vars.CompileTemplate(c.URI)
	}
	if len(c.RegexURI) == 2 {
		var err error
		p.pattern, err = regex.Compile(c.RegexURI[0], false)
		if err == nil {
			p.replace, err = regex.CompileTemplate(c.RegexURI[1])
		}
		if err != nil {
			return nil, fmt.Errorf("invalid regex_uri (%s, %s), err:%w", c.RegexURI[0], c.RegexURI[1], err)
		}
	}
	if env != nil {
		if err := p.setPort(env.Attr); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// setPort reads plugin_attr.redirect.https_port. Where it is not given, the
// gateway puts one of its own TLS ports there.
func (p *plugin) setPort(attr json.RawMessage) error {
	if len(attr) == 0 {
		return nil
	}
	var a struct {
		Port int `json:"https_port"`
	}
	if err := json.Unmarshal(attr, &a); err != nil {
		return fmt.Errorf("plugin_attr.redirect: %w", err)
	}
	if a.Port > 0 && a.Port != 443 && a.Port <= 65535 {
		p.port = ":" + strconv.Itoa(a.Port)
	}
	return nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	out := ctx.RewriteBuf[:0]
	code := p.code
	switch {
	case p.toHTTPS:
		if string(ctx.Req.GetID(h1.XForwardedProto)) != "http" {
			return req.Continue
		}
		out = p.appendHTTPS(out, ctx)
		code = 308 // keeps the method
		if m := ctx.Req.MethodCode; m == h1.MethodGet || m == h1.MethodHead {
			code = 301
		}
	case p.uri != nil:
		out, _ = p.uri.AppendTo(out, ctx)
	case p.pattern != nil:
		var n int
		if out, n = p.pattern.AppendReplace(out, ctx.Path, p.replace, false); n == 0 {
			ctx.RewriteBuf = out
			return req.Continue
		}
	default:
		return req.Continue
	}
	ctx.RewriteBuf = out
	ctx.SetRespHeader("Location", p.finish(ctx, out))
	return ctx.Exit(code, nil, "")
}

// appendHTTPS writes the request's own URL with another scheme.
func (p *plugin) appendHTTPS(dst []byte, ctx *req.Ctx) []byte {
	dst = append(dst, "https://"...)
	if len(ctx.Host) > 0 {
		dst = append(dst, ctx.Host...)
	} else {
		dst = ctx.Local.Addr().Unmap().AppendTo(dst) // HTTP/1.0
	}
	dst = append(dst, p.port...)
	return append(dst, ctx.Req.Target()...)
}

// finish encodes the path and adds the request's query where that is asked for.
func (p *plugin) finish(ctx *req.Ctx, uri []byte) []byte {
	at := bytes.IndexByte(uri, '?')
	if p.encode {
		path, rest := uri, []byte(nil)
		if at >= 0 {
			path, rest = uri[:at], uri[at:]
		}
		ctx.ValueBuf = append(appendEncoded(ctx.ValueBuf[:0], path), rest...)
		uri = ctx.ValueBuf
	}
	if !p.query || ctx.Query == nil {
		return uri
	}
	sep := byte('?')
	if at >= 0 {
		sep = '&'
	}
	ctx.ValueBuf = append(append(append(ctx.ValueBuf[:0], uri...), sep), ctx.Query...)
	return ctx.ValueBuf
}

// appendEncoded escapes what may not stand in a URI, '%' included.
func appendEncoded(dst, uri []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range uri {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte(unsafe, c) >= 0 {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

var unsafe = []byte("#%\"<>\\^`{|}")

var _ chain.Rewriter = (*plugin)(nil)
