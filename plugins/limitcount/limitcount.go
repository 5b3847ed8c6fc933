// Package limitcount is the plugin limit-count: so many requests of a key in a
// window of time.
package limitcount

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/core/vars"
	"github.com/sluicegw/sluice/plugins/internal/limit"
)

const name = "limit-count"

func init() {
	chain.Register(&chain.Plugin{
		Name: name, Version: "0.5", Priority: 1002, New: compile, Check: check, NewMetadata: compileMetadata,
	})
}

// config is what the user writes.
type config struct {
	Count        json.RawMessage `json:"count"`
	TimeWindow   json.RawMessage `json:"time_window"`
	WindowType   string          `json:"window_type"`
	Key          string          `json:"key"`
	KeyType      string          `json:"key_type"`
	Group        *string         `json:"group"`
	Rules        []ruleConfig    `json:"rules"`
	RejectedCode int             `json:"rejected_code"`
	RejectedMsg  string          `json:"rejected_msg"`
	Policy       string          `json:"policy"`
	Degrade      bool            `json:"allow_degradation"`
	ShowHeader   bool            `json:"show_limit_quota_header"`
	SyncInterval float64         `json:"sync_interval"`
	hasSingle    bool
	syncsDelayed bool
}

type ruleConfig struct {
	Count      json.RawMessage `json:"count"`
	TimeWindow json.RawMessage `json:"time_window"`
	Key        string          `json:"key"`
	Prefix     string          `json:"header_prefix"`
}

// plugin is a compiled instance.
type plugin struct {
	table    *state.Table
	remote   *remote // nil: policy local
	take     func(t *state.Table, h state.Hash, limit, cost uint32, window, now int64) state.Window
	rules    []rule
	many     bool // rules, of which those without a key are left out
	degrade  bool
	show     bool
	code     int
	body     []byte // of a rejection
	metadata *chain.Metadata
}

// rule is one limit.
type rule struct {
	scope  state.Scope
	suffix string // tells the rules' keys in Redis apart
	key    *limit.Key
	text   *vars.Template // the key of one of many rules
	count  limit.Number
	window limit.Number
	names  *headers // nil: the plugin's
}

// headers are the names of the fields that tell the quota.
type headers struct {
	Limit     string `json:"limit_header"`
	Remaining string `json:"remaining_header"`
	Reset     string `json:"reset_header"`
}

var defaultHeaders = headers{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}

func compileMetadata(raw json.RawMessage) (any, error) {
	h := defaultHeaders
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, err
	}
	return &h, nil
}

func parse(raw json.RawMessage) (*config, error) {
	c := &config{WindowType: "fixed", Key: "remote_addr", KeyType: "var", RejectedCode: 503, Policy: "local", ShowHeader: true, SyncInterval: -1}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, err
	}
	c.hasSingle = len(c.Count) > 0 || len(c.TimeWindow) > 0
	if c.Rules != nil && c.hasSingle {
		return nil, errors.New("count/time_window and rules cannot be specified at the same time")
	}
	if c.Group != nil && c.Rules != nil {
		return nil, errors.New("group and rules cannot be specified at the same time")
	}
	if c.Policy != "local" && c.SyncInterval != -1 {
		if c.SyncInterval < 0.1 {
			return nil, errors.New("sync_interval should not be smaller than 0.1")
		}
		if w, err := strconv.ParseFloat(string(c.TimeWindow), 64); err == nil && c.SyncInterval > w {
			return nil, errors.New("sync_interval should be smaller than time_window")
		}
		c.syncsDelayed = true
	}
	keys := map[string]bool{}
	for i := range c.Rules {
		if k := c.Rules[i].Key; keys[k] {
			return nil, fmt.Errorf("duplicate key '%s' in rules", k)
		} else {
			keys[k] = true
		}
	}
	return c, nil
}

func check(raw json.RawMessage) error {
	c, err := parse(raw)
	if err != nil {
		return err
	}
	_, err = newPlugin(c, raw, &chain.Env{})
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return newPlugin(c, raw, env)
}

func newPlugin(c *config, raw json.RawMessage, env *chain.Env) (*plugin, error) {
	p := &plugin{
		take: (*state.Table).FixedWindow, degrade: c.Degrade, show: c.ShowHeader,
		code: c.RejectedCode, metadata: env.Metadata, many: c.Rules != nil,
	}
	if c.WindowType == "sliding" {
		p.take = (*state.Table).SlidingWindow
	}
	if c.RejectedMsg != "" {
		p.body = limit.Message(c.RejectedMsg)
	}
	if env.State != nil {
		p.table = env.State.Limits
	}
	// Whose counters these are: the object's and this configuration's, or the
	// group's.
	identity := []string{name, env.Owner, limit.Digest(raw)}
	if c.Group != nil {
		identity = []string{name, "group", *c.Group}
	}
	prefix := "/" + env.Owner + ":" + limit.Digest(raw)
	if c.Group != nil {
		prefix = *c.Group
	}
	var err error
	if p.remote, err = newRemote(c, raw, env, prefix); err != nil {
		return nil, err
	}
	rules := c.Rules
	if !p.many {
		rules = []ruleConfig{{Count: c.Count, TimeWindow: c.TimeWindow, Key: c.Key}}
	}
	for i, rc := range rules {
		r := rule{}
		if r.count, err = limit.ParseNumber(rc.Count); err != nil {
			p.remote.close()
			return nil, fmt.Errorf("count: %w", err)
		}
		if r.window, err = limit.ParseNumber(rc.TimeWindow); err != nil {
			p.remote.close()
			return nil, fmt.Errorf("time_window: %w", err)
		}
		if p.many {
			r.text = vars.CompileTemplate(rc.Key)
			r.suffix = ":" + strconv.Itoa(i+1)
			prefix := rc.Prefix
			if prefix == "" {
				prefix = strconv.Itoa(i + 1)
			}
			r.names = &headers{"X-" + prefix + "-RateLimit-Limit", "X-" + prefix + "-RateLimit-Remaining", "X-" + prefix + "-RateLimit-Reset"}
		} else {
			r.key = limit.NewKey(rc.Key, c.KeyType)
		}
		if p.table != nil {
			r.scope = p.table.Scope(append(identity, strconv.Itoa(i))...)
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	p.remote.close()
	return nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	ran := false
	for i := range p.rules {
		r := &p.rules[i]
		count, ok := r.count.Get(ctx, 1)
		window, ok2 := r.window.Get(ctx, 1)
		if !ok || !ok2 {
			continue
		}
		buf, ok := r.appendKey(limit.Room(ctx.ValueBuf[:0]), ctx)
		ctx.ValueBuf = buf
		if !ok {
			continue
		}
		ran = true
		if p.limit(ctx, r, buf, count, window) == req.Exit {
			return req.Exit
		}
	}
	if !ran && !p.degrade {
		return ctx.Exit(500, nil, "")
	}
	return req.Continue
}

// appendKey appends the key of a request; false: the rule does not apply,
// because the request has none of its variables.
func (r *rule) appendKey(dst []byte, ctx *req.Ctx) ([]byte, bool) {
	if r.text == nil {
		return r.key.AppendTo(dst, ctx), true
	}
	dst, resolved := r.text.AppendTo(dst, ctx)
	return dst, resolved > 0
}

// maxWindow bounds a window, in milliseconds: 34 years.
const maxWindow = 1 << 40

var unavailable = limit.Message("failed to limit count")

func (p *plugin) limit(ctx *req.Ctx, r *rule, key []byte, count, seconds int64) req.Verdict {
	window := int64(maxWindow)
	if seconds < maxWindow/1000 {
		window = seconds * 1000
	}
	var w state.Window
	if h := r.scope.Hash(key); p.remote == nil {
		w = p.take(p.table, h, uint32(min(count, state.MaxLimit)), 1, window, ctx.Wall/1e6)
	} else {
		var err error
		if w, err = p.remote.take(ctx, p.table, h, key[state.KeyRoom:], r, count, window); err != nil {
			w.Outcome = state.Full // it cannot be counted
		}
	}
	if w.Outcome == state.Full {
		if p.degrade {
			return req.Continue
		}
		return ctx.Exit(500, unavailable, limit.TextPlain)
	}
	if p.show {
		p.tell(ctx, r, count, &w)
	}
	if w.Outcome == state.Rejected {
		return ctx.Exit(p.code, p.body, limit.TextPlain)
	}
	return req.Continue
}

// tell writes the quota into the response to come.
func (p *plugin) tell(ctx *req.Ctx, r *rule, count int64, w *state.Window) {
	names := r.names
	if names == nil {
		names = &defaultHeaders
		if p.metadata != nil {
			if h, ok := p.metadata.Load().(*headers); ok {
				names = h
			}
		}
	}
	b := strconv.AppendInt(ctx.ValueBuf[:0], count, 10)
	ctx.SetRespHeader(names.Limit, b)
	b = strconv.AppendInt(b[:0], w.Remaining, 10)
	ctx.SetRespHeader(names.Remaining, b)
	b = limit.AppendSeconds(b[:0], w.Reset)
	ctx.SetRespHeader(names.Reset, b)
	ctx.ValueBuf = b
}
