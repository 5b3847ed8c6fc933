// Package requestvalidation is the plugin request-validation: it refuses
// requests whose fields, query or body break a JSON Schema.
package requestvalidation

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf/schema"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "request-validation", Priority: 2800, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Header json.RawMessage `json:"header_schema"`
	Query  json.RawMessage `json:"query_schema"`
	Body   json.RawMessage `json:"body_schema"`
	Code   int             `json:"rejected_code"`
	Msg    string          `json:"rejected_msg"`
	Most   int64           `json:"max_req_body_size"`
}

// plugin is a compiled instance.
type plugin struct {
	header, query, body *schema.Schema // nil: not checked
	spelled             map[string][]string
	kinds               map[string]kind
	code                int
	msg                 []byte
	most                int64
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
	p := &plugin{code: c.Code, most: c.Most}
	if c.Msg != "" {
		p.msg = []byte(c.Msg)
	}
	for _, one := range []struct {
		text json.RawMessage
		to   **schema.Schema
	}{{c.Header, &p.header}, {c.Query, &p.query}, {c.Body, &p.body}} {
		if one.text == nil {
			continue
		}
		s, err := schema.Compile(one.text)
		if err != nil {
			return nil, err
		}
		*one.to = s
	}
	p.spelled = spellings(c.Header)
	p.kinds = kindsOf(c.Query)
	return p, nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.header != nil {
		if _, err := p.header.Judge(p.fields(ctx)); err != nil {
			return p.refuse(ctx, err)
		}
	}
	if p.query != nil {
		if _, err := p.query.Judge(arguments(ctx.Query, p.kinds)); err != nil {
			return p.refuse(ctx, err)
		}
	}
	if p.body != nil {
		return p.checkBody(ctx)
	}
	return req.Continue
}

// refuse ends the request with the configured text or, without one, the reason.
func (p *plugin) refuse(ctx *req.Ctx, err error) req.Verdict {
	body := p.msg
	if body == nil && err != nil {
		body = []byte(err.Error())
	}
	return ctx.Exit(p.code, body, chain.TextPlain)
}

// checkBody reads and checks the body, and puts the JSON that was checked in
// its place: parsers differ in what they make of odd JSON, such as a name that
// stands twice, and the upstream shall see what was checked.
func (p *plugin) checkBody(ctx *req.Ctx) req.Verdict {
	if err := ctx.ReadBody(p.most); err != nil {
		return ctx.FailBody(err)
	}
	if len(ctx.Body) == 0 {
		return p.refuse(ctx, nil)
	}
	var out []byte
	var err error
	run := func() { out, err = p.judge(ctx.Body, isForm(ctx)) }
	if len(ctx.Body) <= inline || ctx.Task == nil || ctx.Task.Await(run) != nil {
		run()
	}
	if err != nil {
		return p.refuse(ctx, err)
	}
	if out != nil {
		ctx.Body = append(ctx.Body[:0], out...)
	}
	return req.Continue
}

// inline is how large a body is checked on the loop; larger ones are in the
// background meanwhile.
const inline = 8 << 10

// judge checks a body. It returns the JSON to go on with, nil for a form.
func (p *plugin) judge(body []byte, form bool) ([]byte, error) {
	if form {
		_, err := p.body.Judge(arguments(body, nil))
		return nil, err
	}
	doc, exact, err := decode(body)
	if err != nil {
		return nil, err
	}
	doc, err = p.body.Judge(doc)
	if err != nil {
		return nil, err
	}
	return encode(withDefaults(exact, doc))
}

func isForm(ctx *req.Ctx) bool {
	const form = "application/x-www-form-urlencoded"
	v := ctx.Req.GetID(h1.ContentType)
	return len(v) >= len(form) && string(v[:len(form)]) == form
}

var _ chain.Rewriter = (*plugin)(nil)
