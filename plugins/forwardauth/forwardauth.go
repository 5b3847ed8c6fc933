// Package forwardauth is the plugin forward-auth: it asks an authorization
// service about every request.
package forwardauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{Name: "forward-auth", Priority: 2002, New: compile, Check: check})
}

// config is what the user writes. The lists are raw, because an empty one may
// come as an empty object.
type config struct {
	URI              string          `json:"uri"`
	Method           string          `json:"request_method"`
	RequestHeaders   json.RawMessage `json:"request_headers"`
	UpstreamHeaders  json.RawMessage `json:"upstream_headers"`
	ClientHeaders    json.RawMessage `json:"client_headers"`
	ExtraHeaders     map[string]any  `json:"extra_headers"`
	MaxBody          int64           `json:"max_req_body_size"`
	Timeout          int64           `json:"timeout"`
	SSLVerify        bool            `json:"ssl_verify"`
	Keepalive        bool            `json:"keepalive"`
	KeepaliveTimeout int64           `json:"keepalive_timeout"`
	KeepalivePool    int             `json:"keepalive_pool"`
	AllowDegradation bool            `json:"allow_degradation"`
	StatusOnError    int             `json:"status_on_error"`
}

// plugin is a compiled instance.
type plugin struct {
	uri      *url.URL
	method   string
	request  []string // fields of the client for the service
	upstream []string // fields of the service for the upstream
	client   []string // fields of the service for the client
	extra    []extra
	maxBody  int64
	degrade  bool
	onError  int
	service  *service
}

// extra is a field for the service with variables in its value.
type extra struct {
	name  string
	value *vars.Template
}

func check(raw json.RawMessage) error {
	p, err := read(raw)
	if err == nil {
		p.service.close()
	}
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	p, err := read(raw)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func read(raw json.RawMessage) (*plugin, error) {
	c := config{
		Method: "GET", MaxBody: 64 << 20, Timeout: 3000, SSLVerify: true, Keepalive: true,
		KeepaliveTimeout: 60000, KeepalivePool: 5, StatusOnError: 403,
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{method: c.Method, maxBody: c.MaxBody, degrade: c.AllowDegradation, onError: c.StatusOnError}
	var err error
	if p.uri, err = url.Parse(c.URI); err != nil {
		return nil, fmt.Errorf("uri: %w", err)
	}
	if p.uri.Scheme != "http" && p.uri.Scheme != "https" || p.uri.Host == "" {
		return nil, fmt.Errorf("uri %q is not an absolute http or https address", c.URI)
	}
	if p.request, err = list("request_headers", c.RequestHeaders); err != nil {
		return nil, err
	}
	if p.upstream, err = list("upstream_headers", c.UpstreamHeaders); err != nil {
		return nil, err
	}
	if p.client, err = list("client_headers", c.ClientHeaders); err != nil {
		return nil, err
	}
	for name, value := range c.ExtraHeaders {
		if !validName(name) {
			return nil, fmt.Errorf("extra_headers: %q is no name of a header field", name)
		}
		p.extra = append(p.extra, extra{name, vars.CompileTemplate(fmt.Sprint(value))})
	}
	slices.SortFunc(p.extra, func(a, b extra) int { return strings.Compare(a.name, b.name) })
	p.service = newService(&c)
	return p, nil
}

// list reads a list of field names; an empty object is an empty list.
func list(what string, raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 || string(raw) == "{}" {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for _, name := range names {
		if !validName(name) {
			return nil, fmt.Errorf("%s: %q is no name of a header field", what, name)
		}
	}
	return names, nil
}

func validName(name string) bool {
	var h h1.Header
	h.SetString(name, "")
	return h.Len() == 1
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	p.service.close()
	return nil
}

// Rewrite implements chain.Rewriter. The service is asked in the background;
// the loop serves others meanwhile.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.method == http.MethodPost {
		if err := ctx.ReadBody(p.maxBody); err != nil {
			return ctx.FailBody(err)
		}
	}
	q := p.question(ctx)
	var a answer
	err := errNoTask
	if ctx.Task != nil {
		if busy := ctx.Task.Await(func() { a, err = p.service.ask(q) }); busy != nil {
			err = busy
		}
	}
	switch {
	case err != nil && p.degrade:
		return req.Continue
	case err != nil:
		return ctx.Exit(p.onError, nil, "")
	case a.status >= 300:
		return p.refuse(ctx, &a)
	}
	p.accept(ctx, &a)
	return req.Continue
}

var errNoTask = errors.New("the request cannot wait")

// accept passes the service's fields on to the upstream. One that the service
// left out is removed: what the client sent under its name is not the service's
// word.
func (p *plugin) accept(ctx *req.Ctx, a *answer) {
	for _, name := range p.upstream {
		ctx.Req.Del(name)
		for _, v := range a.header.Values(name) {
			ctx.Req.AddString(name, v)
		}
	}
}

// refuse answers with what the service said.
func (p *plugin) refuse(ctx *req.Ctx, a *answer) req.Verdict {
	for _, name := range p.client {
		ctx.Resp.Del(name)
		for _, v := range a.header.Values(name) {
			ctx.Resp.AddString(name, v)
		}
	}
	return ctx.Exit(a.status, a.body, chain.TextPlain)
}

var _ chain.Rewriter = (*plugin)(nil)
