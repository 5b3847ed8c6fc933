package limitconn

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/plugins/internal/limit"
	"github.com/sluicegw/sluice/plugins/internal/redis"
)

// remote keeps counts in Redis: a sorted set per key with a member for every
// request, which goes by itself when its gateway does not take it out.
type remote struct {
	client *redis.Client
	prefix string
	ttl    int64 // milliseconds
	env    *chain.Env
}

// enterScript returns 1 or 0 for counted or not, and the number of requests
// with this one.
var enterScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local n = redis.call('ZCARD', KEYS[1]) + 1
if n > tonumber(ARGV[1]) then
  return {0, n}
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, n}
`)

var leaveScript = redis.NewScript(`return {redis.call('ZREM', KEYS[1], ARGV[1])}`)

// newRemote returns nil for policy local.
func newRemote(raw json.RawMessage, env *chain.Env) (*remote, error) {
	cfg, err := redis.ParseConfig(raw)
	if err != nil || cfg == nil || env.State == nil {
		return nil, err
	}
	c := struct {
		TTL int64 `json:"key_ttl"`
	}{3600}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	clients := env.Shared(func() any { return redis.NewClients() }).(*redis.Clients)
	client, err := clients.Open(cfg)
	if err != nil {
		return nil, err
	}
	return &remote{client, "plugin-" + name + "/" + env.Owner + ":" + limit.Digest(raw), max(c.TTL, 1) * 1000, env}, nil
}

// enter counts a request; member is its name in the set.
func (r *remote) enter(ctx *req.Ctx, key string, most uint32) (member string, n uint32, out state.Outcome) {
	member = strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36)
	call := &redis.Call{Script: enterScript, Keys: []string{key}, Args: []any{most, member, r.ttl}}
	err := r.client.Run(ctx.Task, call)
	if err == nil && len(call.Result) != 2 {
		err = fmt.Errorf("redis: the script returned %d numbers", len(call.Result))
	}
	switch {
	case err != nil:
		r.client.Report(r.env.Log, name, r.env.Owner, err)
		return "", 0, state.Full
	case call.Result[0] == 0:
		return "", uint32(call.Result[1]), state.Rejected
	}
	return member, uint32(call.Result[1]), state.Admitted
}

// leave takes a request out. Nobody waits for it; what cannot be told expires.
func (r *remote) leave(key, member string) {
	r.client.Send(&redis.Call{Script: leaveScript, Keys: []string{key}, Args: []any{member}}, nil)
}
