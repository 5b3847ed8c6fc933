// Package limitreq is the plugin limit-req: a steady rate of requests, kept by a
// leaky bucket that delays or rejects.
package limitreq

import (
	"encoding/json"
	"math"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/plugins/internal/limit"
)

const name = "limit-req"

func init() {
	chain.Register(&chain.Plugin{Name: name, Priority: 1001, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Rate         float64 `json:"rate"`
	Burst        float64 `json:"burst"`
	Key          string  `json:"key"`
	KeyType      string  `json:"key_type"`
	Policy       string  `json:"policy"`
	RejectedCode int     `json:"rejected_code"`
	RejectedMsg  string  `json:"rejected_msg"`
	NoDelay      bool    `json:"nodelay"`
	Degrade      bool    `json:"allow_degradation"`
}

// plugin is a compiled instance.
type plugin struct {
	table   *state.Table
	remote  *remote // nil: policy local
	scope   state.Scope
	key     *limit.Key
	leak    state.Leak
	code    int
	body    []byte
	noDelay bool
	degrade bool
}

func check(raw json.RawMessage) error {
	_, err := compile(raw, &chain.Env{})
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	c := config{KeyType: "var", RejectedCode: 503}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{
		key: limit.NewKey(c.Key, c.KeyType), code: c.RejectedCode, noDelay: c.NoDelay, degrade: c.Degrade,
		leak: state.Leak{Rate: thousandths(c.Rate), Burst: thousandths(c.Burst)},
	}
	if p.leak.Rate < 1 {
		p.leak.Rate = 1
	}
	if c.RejectedMsg != "" {
		p.body = limit.Message(c.RejectedMsg)
	}
	var err error
	if p.remote, err = newRemote(raw, env); err != nil {
		return nil, err
	}
	if env.State != nil {
		p.table = env.State.Limits
		p.scope = p.table.Scope(name, env.Owner, limit.Digest(raw))
	}
	return p, nil
}

// thousandths rounds to thousandths of a request.
func thousandths(f float64) int64 {
	return int64(math.Round(min(f, state.MaxBurst/1000) * 1000))
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	if p.remote != nil {
		p.remote.client.Close()
	}
	return nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	var b state.Bucket
	if p.remote == nil {
		b = p.table.LeakyBucket(p.key.Hash(p.scope, ctx), &p.leak, true, ctx.Wall/1e6)
	} else {
		b = p.remote.add(ctx, p.key, &p.leak)
	}
	switch b.Outcome {
	case state.Rejected:
		return ctx.Exit(p.code, p.body, limit.TextPlain)
	case state.Full:
		if !p.degrade {
			return ctx.Exit(500, nil, "")
		}
		return req.Continue
	}
	if delay := b.Excess * 1e9 / p.leak.Rate; delay >= 1e6 && !p.noDelay {
		ctx.Task.Sleep(delay)
	}
	return req.Continue
}
