// Package limitconn is the plugin limit-conn: so many requests of a key at one
// time.
package limitconn

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/core/vars"
	"github.com/sluicegw/sluice/plugins/internal/limit"
)

const name = "limit-conn"

var me = &chain.Plugin{Name: name, Priority: 1003, New: compile, Check: check}

func init() { chain.Register(me) }

// config is what the user writes.
type config struct {
	Conn         json.RawMessage `json:"conn"`
	Burst        json.RawMessage `json:"burst"`
	DefaultDelay float64         `json:"default_conn_delay"`
	OnlyDefault  bool            `json:"only_use_default_delay"`
	Key          string          `json:"key"`
	KeyType      string          `json:"key_type"`
	Rules        []ruleConfig    `json:"rules"`
	Policy       string          `json:"policy"`
	RejectedCode int             `json:"rejected_code"`
	RejectedMsg  string          `json:"rejected_msg"`
	Degrade      bool            `json:"allow_degradation"`
}

type ruleConfig struct {
	Conn  json.RawMessage `json:"conn"`
	Burst json.RawMessage `json:"burst"`
	Key   string          `json:"key"`
}

// plugin is a compiled instance.
type plugin struct {
	table       *state.Table
	remote      *remote // nil: policy local
	rules       []rule
	degrade     bool
	onlyDefault bool
	code        int
	body        []byte
}

// rule is one limit.
type rule struct {
	scope  state.Scope
	suffix string // tells the rules' keys in Redis apart
	key    *limit.Key
	text   *vars.Template // the key of one of many rules
	conn   limit.Number
	burst  limit.Number
	// unit is the delay of a request that has one too many before it, in
	// nanoseconds. It follows how long requests take.
	unit atomic.Int64
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
	p := &plugin{degrade: c.Degrade, onlyDefault: c.OnlyDefault, code: c.RejectedCode}
	if c.RejectedMsg != "" {
		p.body = limit.Message(c.RejectedMsg)
	}
	if env.State != nil {
		p.table = env.State.Conns
	}
	var err error
	if p.remote, err = newRemote(raw, env); err != nil {
		return nil, err
	}
	done := false
	defer func() {
		if !done {
			_ = p.Close()
		}
	}()
	many := c.Rules != nil
	if many && len(c.Conn) > 0 {
		return nil, errors.New("conn/burst and rules cannot be specified at the same time")
	}
	rules := c.Rules
	if !many {
		rules = []ruleConfig{{c.Conn, c.Burst, c.Key}}
	}
	digest := limit.Digest(raw)
	seen := map[string]bool{}
	p.rules = make([]rule, len(rules))
	for i, rc := range rules {
		r := &p.rules[i]
		if r.conn, err = limit.ParseNumber(rc.Conn); err != nil {
			return nil, fmt.Errorf("conn: %w", err)
		}
		if r.burst, err = limit.ParseNumber(rc.Burst); err != nil {
			return nil, fmt.Errorf("burst: %w", err)
		}
		if many {
			if seen[rc.Key] {
				return nil, fmt.Errorf("duplicate key '%s' in rules", rc.Key)
			}
			seen[rc.Key] = true
			r.text, r.suffix = vars.CompileTemplate(rc.Key), ":"+strconv.Itoa(i+1)
		} else {
			r.key = limit.NewKey(rc.Key, c.KeyType)
		}
		r.unit.Store(int64(min(c.DefaultDelay, 3600) * 1e9))
		if p.table != nil {
			r.scope = p.table.Scope(name, env.Owner, digest, strconv.Itoa(i))
		}
	}
	done = true
	return p, nil
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	if p.remote != nil {
		p.remote.client.Close()
	}
	return nil
}

// held is what one request is counted in, by all instances of the plugin that
// it meets.
type held struct {
	list []hold
}

// hold is one count.
type hold struct {
	p    *plugin
	r    *rule
	conn *state.Conn
	// key and member are set instead of conn for a count in Redis.
	key, member string
	delay       int64 // nanoseconds that the request was held back
}

var spare = sync.Pool{New: func() any { return new(held) }}

// End implements req.Ender.
func (h *held) End(*req.Ctx) {
	h.release(nil)
	spare.Put(h)
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	ran := false
	for i := range p.rules {
		r := &p.rules[i]
		conn, ok := r.conn.Get(ctx, 1)
		burst, ok2 := r.burst.Get(ctx, 0)
		if !ok || !ok2 {
			continue
		}
		buf := limit.Room(ctx.ValueBuf[:0])
		if r.text == nil {
			buf = r.key.AppendTo(buf, ctx)
		} else {
			var resolved int
			if buf, resolved = r.text.AppendTo(buf, ctx); resolved == 0 {
				ctx.ValueBuf = buf
				continue
			}
		}
		ctx.ValueBuf = buf
		ran = true
		if p.enter(ctx, r, buf, conn, burst) == req.Exit {
			return req.Exit
		}
	}
	if !ran && !p.degrade {
		return ctx.Exit(500, nil, "")
	}
	return req.Continue
}

func (p *plugin) enter(ctx *req.Ctx, r *rule, key []byte, conn, burst int64) req.Verdict {
	most := uint32(min(conn+burst, math.MaxUint32))
	var o hold
	var n uint32
	var outcome state.Outcome
	if p.remote == nil {
		o.conn, n, outcome = p.table.Acquire(r.scope.Hash(key), most, ctx.Wall/1e6)
	} else {
		o.key = p.remote.prefix + r.suffix + ":" + string(key[state.KeyRoom:])
		o.member, n, outcome = p.remote.enter(ctx, o.key, most)
	}
	switch outcome {
	case state.Rejected:
		return ctx.Exit(p.code, p.body, limit.TextPlain)
	case state.Full:
		if p.degrade {
			return req.Continue
		}
		return ctx.Exit(500, nil, "")
	}
	delay := int64(0)
	if int64(n) > conn {
		// One unit for every full set of conn requests before this one.
		delay = min(r.unit.Load()*((int64(n)-1)/conn), maxDelay)
	}
	if o.conn != nil || o.member != "" {
		h, _ := ctx.Slot(me.Slot()).(*held)
		if h == nil {
			h = spare.Get().(*held)
			ctx.SetSlot(me.Slot(), h)
		}
		o.p, o.r, o.delay = p, r, delay
		h.list = append(h.list, o)
	}
	if delay >= 1e6 {
		ctx.Task.Sleep(delay)
	}
	return req.Continue
}

// maxDelay bounds how long a request is held back.
const maxDelay = int64(3600e9)

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) {
	if h, _ := ctx.Slot(me.Slot()).(*held); h != nil {
		h.release(ctx)
	}
}

// release takes the request out of its counts; ctx is nil when nobody knows how
// long it took.
func (h *held) release(ctx *req.Ctx) {
	for i := range h.list {
		o := &h.list[i]
		if o.conn != nil {
			o.p.table.Release(o.conn)
		} else {
			o.p.remote.leave(o.key, o.member)
		}
		if ctx != nil && !o.p.onlyDefault {
			took := ctx.Loop.Now() - ctx.Start - o.delay
			if n := len(ctx.Tries); n > 0 {
				took = 0
				for j := range ctx.Tries {
					took += ctx.Tries[j].Total
				}
			}
			o.r.unit.Store((o.r.unit.Load() + max(took, 0)) / 2)
		}
		*o = hold{}
	}
	h.list = h.list[:0]
}
