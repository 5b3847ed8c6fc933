package limitcount

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/plugins/internal/redis"
)

// remote keeps counters in Redis.
type remote struct {
	client  *redis.Client
	prefix  string // of the keys: whose counters they are
	sliding bool
	cluster bool
	log     *slog.Logger
	owner   string
	sync    *syncer // nil: every request asks Redis
}

// fixedScript takes a cost from a window that begins with the key's first
// request. It returns what was used with it and the milliseconds until the
// window ends.
var fixedScript = redis.NewScript(`
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {tonumber(ARGV[1]), tonumber(ARGV[2])}
end
return {redis.call('INCRBY', KEYS[1], ARGV[1]), left}
`)

// slidingScript takes a cost from a sliding window made of two fixed ones. It
// returns 1 or 0 for admitted or not, what is left, and the milliseconds until
// the window ends or until a request fits again.
var slidingScript = redis.NewScript(`
local limit, cost, window, left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
if used >= limit then
  return {0, 0, left}
end
local rate = math.min(tonumber(redis.call('GET', KEYS[2]) or 0), limit) / window
local carried = rate * left
if carried + used >= limit then
  return {0, 0, math.max(0, math.ceil(left - (limit - used) / rate))}
end
if cost > 0 then
  used = redis.call('INCRBY', KEYS[1], cost)
  if used == cost then
    redis.call('PEXPIRE', KEYS[1], 2 * window)
  end
end
return {1, math.max(0, math.floor(limit - used - carried)), left}
`)

// newRemote returns nil for policy local.
func newRemote(c *config, raw json.RawMessage, env *chain.Env, prefix string) (*remote, error) {
	cfg, err := redis.ParseConfig(raw)
	if err != nil || cfg == nil || env.State == nil {
		return nil, err
	}
	clients := env.Shared(func() any { return redis.NewClients() }).(*redis.Clients)
	client, err := clients.Open(cfg)
	if err != nil {
		return nil, err
	}
	r := &remote{
		client: client, prefix: "plugin-" + name + prefix, sliding: c.WindowType == "sliding",
		cluster: cfg.Policy == "redis-cluster", log: env.Log, owner: env.Owner,
	}
	if c.syncsDelayed {
		r.sync = newSyncer(r, env.State.Limits, time.Duration(c.SyncInterval*float64(time.Second)))
	}
	return r, nil
}

func (r *remote) close() {
	if r == nil {
		return
	}
	if r.sync != nil {
		r.sync.close()
	}
	r.client.Close()
}

// call prepares the script for a key.
func (r *remote) call(key string, limit, cost, window, now int64) *redis.Call {
	if !r.sliding {
		return &redis.Call{Script: fixedScript, Keys: []string{key}, Args: []any{cost, window}}
	}
	if r.cluster {
		key = "{" + key + "}" // both windows in one slot
	}
	n := now / window
	name := func(n int64) string { return key + "." + strconv.FormatInt(n, 10) + ".counter" }
	return &redis.Call{
		Script: slidingScript, Keys: []string{name(n), name(n - 1)},
		Args: []any{limit, cost, window, window - now%window},
	}
}

// window reads the script's answer.
func (r *remote) window(call *redis.Call, limit int64) (state.Window, error) {
	n := call.Result
	switch {
	case r.sliding && len(n) == 3:
		w := state.Window{Outcome: state.Rejected, Remaining: n[1], Reset: n[2]}
		if n[0] == 1 {
			w.Outcome = state.Admitted
		}
		return w, nil
	case !r.sliding && len(n) == 2:
		if n[0] > limit {
			return state.Window{Outcome: state.Rejected, Reset: n[1]}, nil
		}
		return state.Window{Remaining: limit - n[0], Reset: n[1]}, nil
	}
	return state.Window{}, fmt.Errorf("redis: the script returned %d numbers", len(n))
}

// take counts a request, here or at Redis.
func (r *remote) take(ctx *req.Ctx, table *state.Table, h state.Hash, key []byte, rule *rule, limit, window int64) (state.Window, error) {
	now := ctx.Wall / 1e6
	name := r.prefix + rule.suffix + ":" + string(key)
	if r.sync != nil {
		return r.sync.take(ctx, table, h, name, limit, window)
	}
	call := r.call(name, limit, 1, window, now)
	if err := r.client.Run(ctx.Task, call); err != nil {
		r.failed(err)
		return state.Window{}, err
	}
	return r.window(call, limit)
}

// failed logs why Redis cannot be used, not more often than it helps.
func (r *remote) failed(err error) {
	r.client.Report(r.log, name, r.owner, err)
}
