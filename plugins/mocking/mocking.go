// Package mocking is the plugin mocking: it answers for an upstream that does
// not exist yet, with an example or with made-up data.
package mocking

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{Name: "mocking", Priority: 10900, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Delay       int64                      `json:"delay"`
	Status      int                        `json:"response_status"`
	ContentType string                     `json:"content_type"`
	Example     *string                    `json:"response_example"`
	Schema      json.RawMessage            `json:"response_schema"`
	Headers     map[string]json.RawMessage `json:"response_headers"`
	MockHeader  bool                       `json:"with_mock_header"`
}

// plugin is a compiled instance.
type plugin struct {
	delay   int64 // nanoseconds
	status  int
	ctype   string
	fixed   []byte         // body without variables
	body    *vars.Template // body with variables
	schema  *schema
	xml     bool
	mark    bool
	headers []field
}

type field struct {
	name  string
	value *vars.Template
}

// mark is the value of x-mock-by.
var mark = []byte("Sluice")

// maxDelay bounds the delay, in seconds.
const maxDelay = 24 * 3600

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	c := config{Status: 200, ContentType: "application/json;charset=utf8", MockHeader: true}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{delay: min(max(c.Delay, 0), maxDelay) * 1e9, status: c.Status, ctype: c.ContentType, mark: c.MockHeader}
	media, _, _ := strings.Cut(c.ContentType, ";")
	switch strings.TrimSpace(media) {
	case "application/xml", "text/xml":
		p.xml = true
	case "application/json", "text/plain", "text/html":
	default:
		//lint:ignore ST1005 clients compare the text
		return nil, errors.New("unsupported content type!")
	}
	if c.Example != nil {
		if t := vars.CompileTemplate(*c.Example); t.Vars() > 0 {
			p.body = t
		} else {
			p.fixed, _ = t.AppendTo([]byte{}, nil)
		}
	} else {
		s, err := parseSchema(c.Schema)
		if err != nil {
			return nil, err
		}
		p.schema = s
	}
	for name, raw := range c.Headers {
		text := string(raw)
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, err
			}
		}
		if strings.ContainsAny(name+text, "\r\n\x00") {
			return nil, errors.New("invalid character in header")
		}
		p.headers = append(p.headers, field{name, vars.CompileTemplate(text)})
	}
	slices.SortFunc(p.headers, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return p, nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	body := p.fixed
	switch {
	case p.body != nil:
		body, _ = p.body.AppendTo(nil, ctx)
	case p.schema != nil && p.xml:
		body = p.schema.appendXML(nil, "data", 0)
	case p.schema != nil:
		body = p.schema.appendJSON(nil)
	}
	if p.mark {
		ctx.SetRespHeader("x-mock-by", mark)
	}
	for i := range p.headers {
		h := &p.headers[i]
		ctx.ValueBuf, _ = h.value.AppendTo(ctx.ValueBuf[:0], ctx)
		ctx.SetRespHeader(h.name, ctx.ValueBuf)
	}
	if p.delay > 0 {
		ctx.Task.Sleep(p.delay)
	}
	if body == nil {
		body = []byte{}
	}
	return ctx.Exit(p.status, body, p.ctype)
}
