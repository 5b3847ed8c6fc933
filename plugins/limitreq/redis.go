package limitreq

import (
	"encoding/json"
	"fmt"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/plugins/internal/limit"
	"github.com/sluicegw/sluice/plugins/internal/redis"
)

// remote keeps buckets in Redis.
type remote struct {
	client *redis.Client
	prefix string
	env    *chain.Env
}

// script adds a request to a bucket by the clock of Redis, which all gateways
// share. It returns 1 or 0 for admitted or not, and the excess in thousandths
// of a request.
var script = redis.NewScript(`
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local was = redis.call('HMGET', KEYS[1], 'excess', 'last')
local excess = 0
if was[1] then
  excess = math.max(tonumber(was[1]) - rate * math.max(now - tonumber(was[2]), 0) / 1000 + 1000, 0)
end
if excess > burst then
  return {0, math.floor(excess)}
end
redis.call('HSET', KEYS[1], 'excess', math.floor(excess), 'last', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((excess + 1000) * 1000 / rate) + 1000)
return {1, math.floor(excess)}
`)

// newRemote returns nil for policy local.
func newRemote(raw json.RawMessage, env *chain.Env) (*remote, error) {
	cfg, err := redis.ParseConfig(raw)
	if err != nil || cfg == nil || env.State == nil {
		return nil, err
	}
	clients := env.Shared(func() any { return redis.NewClients() }).(*redis.Clients)
	client, err := clients.Open(cfg)
	if err != nil {
		return nil, err
	}
	return &remote{client, "plugin-" + name + "/" + env.Owner + ":" + limit.Digest(raw) + ":", env}, nil
}

// add adds the request to its bucket.
func (r *remote) add(ctx *req.Ctx, key *limit.Key, l *state.Leak) state.Bucket {
	ctx.ValueBuf = key.AppendTo(ctx.ValueBuf[:0], ctx)
	call := &redis.Call{Script: script, Keys: []string{r.prefix + string(ctx.ValueBuf)}, Args: []any{l.Rate, l.Burst}}
	err := r.client.Run(ctx.Task, call)
	if err == nil && len(call.Result) != 2 {
		err = fmt.Errorf("redis: the script returned %d numbers", len(call.Result))
	}
	if err != nil {
		r.client.Report(r.env.Log, name, r.env.Owner, err)
		return state.Bucket{Outcome: state.Full}
	}
	b := state.Bucket{Outcome: state.Rejected, Excess: call.Result[1]}
	if call.Result[0] == 1 {
		b.Outcome = state.Admitted
	}
	return b
}
