// Package apibreaker is the plugin api-breaker: it answers for an endpoint that
// fails, for longer each time it fails on.
package apibreaker

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/core/vars"
	"github.com/sluicegw/sluice/plugins/internal/limit"
)

const name = "api-breaker"

func init() { chain.Register(&chain.Plugin{Name: name, Priority: 1005, New: compile, Check: check}) }

// config is what the user writes.
type config struct {
	Code    int     `json:"break_response_code"`
	Body    *string `json:"break_response_body"`
	Headers []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"break_response_headers"`
	MaxSeconds int64 `json:"max_breaker_sec"`
	Unhealthy  struct {
		Statuses []int  `json:"http_statuses"`
		Failures uint32 `json:"failures"`
	} `json:"unhealthy"`
	Healthy struct {
		Statuses  []int  `json:"http_statuses"`
		Successes uint32 `json:"successes"`
	} `json:"healthy"`
}

// plugin is a compiled instance.
type plugin struct {
	table     *state.Table
	scope     state.Scope
	code      int
	body      []byte
	headers   []field
	most      int64 // seconds
	failures  uint32
	successes uint32
	bad, good [600]bool // statuses
}

type field struct {
	name  string
	value *vars.Template
}

func check(raw json.RawMessage) error {
	_, err := compile(raw, &chain.Env{})
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c := config{MaxSeconds: 300}
	c.Unhealthy.Statuses, c.Unhealthy.Failures = []int{500}, 3
	c.Healthy.Statuses, c.Healthy.Successes = []int{200}, 3
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{code: c.Code, most: c.MaxSeconds, failures: max(c.Unhealthy.Failures, 1), successes: max(c.Healthy.Successes, 1)}
	if c.Body != nil {
		p.body = []byte(*c.Body)
	}
	for _, h := range c.Headers {
		p.headers = append(p.headers, field{h.Key, vars.CompileTemplate(h.Value)})
	}
	for _, s := range c.Unhealthy.Statuses {
		p.bad[s] = true
	}
	for _, s := range c.Healthy.Statuses {
		p.good[s] = true
	}
	if env.State != nil {
		// Endpoints are named by clients: they share the table of limits, not
		// that of configured breakers.
		p.table = env.State.Limits
		p.scope = p.table.Scope(name)
	}
	return p, nil
}

// endpoint is the identity of what the request asks for: host and path, on
// whatever route.
func (p *plugin) endpoint(ctx *req.Ctx) state.Hash {
	buf := append(limit.Room(ctx.ValueBuf[:0]), ctx.Host...)
	ctx.ValueBuf = append(buf, ctx.Path...)
	return p.scope.Hash(ctx.ValueBuf)
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	now := ctx.Wall / 1e6
	s := p.table.Streak(p.endpoint(ctx), now)
	if s.Last == 0 || s.Bad == 0 {
		return req.Continue
	}
	since := now/1000 - s.Last
	if since > p.open(s.Bad) || since > p.most {
		return req.Continue
	}
	for i := range p.headers {
		h := &p.headers[i]
		ctx.ValueBuf, _ = h.value.AppendTo(ctx.ValueBuf[:0], ctx)
		ctx.SetRespHeader(h.name, ctx.ValueBuf)
	}
	return ctx.Exit(p.code, p.body, limit.TextPlain)
}

// open is for how many seconds the breaker is open after so many failures: 2,
// 4, 8 and so on for every time the threshold was reached.
func (p *plugin) open(bad uint32) int64 {
	n := (bad + p.failures - 1) / p.failures
	if n > 40 {
		return p.most
	}
	return min(int64(1)<<n, p.most)
}

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) {
	n := len(ctx.Tries)
	if n == 0 {
		return
	}
	status := ctx.Tries[n-1].Status
	if status < 0 || status >= len(p.bad) {
		return
	}
	now := ctx.Wall / 1e6
	switch {
	case p.bad[status]:
		p.table.Fail(p.endpoint(ctx), p.failures, 2*p.most*1000, now)
	case p.good[status]:
		p.table.Succeed(p.endpoint(ctx), p.successes, now)
	}
}
