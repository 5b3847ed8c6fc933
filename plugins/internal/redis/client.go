package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicegw/sluice/core/loop"
)

const (
	// workers is how many pipelines run at one time for one configuration.
	workers = 4
	// batch is how many calls one pipeline has at most.
	batch = 128
	// queued is how many calls may wait.
	queued = 4096
	// linger is how long a client that nobody uses stays: an edit of the
	// configuration takes it up again, requests that still run finish.
	linger = time.Minute
)

// ErrOverloaded says that too many calls wait for Redis already.
var ErrOverloaded = errors.New("redis: too many calls wait for an answer")

// errLate says that a call was not sent in time.
var errLate = errors.New("redis: no answer in time")

// Script is a Lua script that returns a list of integers.
type Script struct{ text, sha string }

// NewScript names a script.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // see above
	return &Script{text, hex.EncodeToString(sum[:])}
}

// Call is one run of a script.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
	// Result is what the script returned.
	Result []int64

	err  error
	at   time.Time
	done bool
	loop *loop.Loop
	task *loop.Task
	then func(*Call, error)
}

// Clients shares the connections of equal configurations among the instances
// of a plugin.
type Clients struct {
	mu   sync.Mutex
	list map[string]*Client
}

// NewClients makes an empty set.
func NewClients() *Clients { return &Clients{list: map[string]*Client{}} }

// Client runs scripts at one Redis.
type Client struct {
	rdb      redis.UniversalClient
	queue    chan *Call
	stop     chan struct{}
	done     sync.WaitGroup
	patience time.Duration

	reported atomic.Int64 // unix nanoseconds

	set  *Clients
	name string
	refs int
	gone *time.Timer
}

var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

// silence drops what go-redis would print: errors reach the requests' logs.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Open returns the client for a configuration. Nothing is connected yet.
func (s *Clients) Open(cfg *Config) (*Client, error) {
	quiet()
	name := cfg.identity()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.list[name]; c != nil {
		c.refs++
		if c.gone != nil {
			c.gone.Stop()
			c.gone = nil
		}
		return c, nil
	}
	rdb, err := cfg.dial()
	if err != nil {
		return nil, err
	}
	c := &Client{
		rdb: rdb, queue: make(chan *Call, queued), stop: make(chan struct{}), patience: cfg.patience(),
		set: s, name: name, refs: 1,
	}
	s.list[name] = c
	for range workers {
		c.done.Go(c.work)
	}
	return c, nil
}

// Close gives the client back. It goes on for a while for those that still use
// it.
func (c *Client) Close() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.refs--; c.refs == 0 {
		c.gone = time.AfterFunc(linger, c.end)
	}
}

func (c *Client) end() {
	c.set.mu.Lock()
	if c.refs > 0 {
		c.set.mu.Unlock()
		return
	}
	delete(c.set.list, c.name)
	c.set.mu.Unlock()
	close(c.stop)
	c.done.Wait()
	_ = c.rdb.Close()
}

// Run runs a script and parks the task until its result is there.
func (c *Client) Run(t *loop.Task, call *Call) error {
	call.loop, call.task, call.at = t.Loop(), t, time.Now()
	select {
	case c.queue <- call:
	default:
		return ErrOverloaded
	}
	for !call.done {
		t.Park(0)
	}
	return call.err
}

// Send runs a script without waiting for it. then, if not nil, gets the outcome
// on a background goroutine. It reports false when too many calls wait.
func (c *Client) Send(call *Call, then func(*Call, error)) bool {
	call.then, call.at = then, time.Now()
	select {
	case c.queue <- call:
		return true
	default:
		return false
	}
}

// reportEvery is how often failures are worth a line of the log.
const reportEvery = 5 * time.Second

// Report logs why a plugin could not use Redis, not more often than it helps.
func (c *Client) Report(log *slog.Logger, plugin, owner string, err error) {
	now, last := time.Now().UnixNano(), c.reported.Load()
	if log != nil && now-last >= int64(reportEvery) && c.reported.CompareAndSwap(last, now) {
		log.Error(plugin+" cannot use Redis", "object", owner, "error", err)
	}
}

// finish hands the outcome to who waits for it.
func (call *Call) finish(err error) {
	switch {
	case call.task != nil:
		call.err = err
		call.loop.Post(func() {
			call.done = true
			call.task.Wake()
		})
	case call.then != nil:
		call.then(call, err)
	}
}

// work sends what waits, as much at one time as there is.
func (c *Client) work() {
	calls := make([]*Call, 0, batch)
	for {
		select {
		case call := <-c.queue:
			calls = append(calls[:0], call)
		case <-c.stop:
			return
		}
	more:
		for len(calls) < batch {
			select {
			case call := <-c.queue:
				calls = append(calls, call)
			default:
				break more
			}
		}
		c.run(calls)
		clear(calls)
	}
}

func (c *Client) run(calls []*Call) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*c.patience)
	defer cancel()
	finished := 0
	defer func() {
		if v := recover(); v != nil { // a fault of ours must not hang the requests
			for _, call := range calls[finished:] {
				call.finish(fmt.Errorf("redis: %v", v))
			}
		}
	}()
	now := time.Now()
	pipe := c.rdb.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		if now.Sub(call.at) <= c.patience {
			cmds[i] = pipe.EvalSha(ctx, call.Script.sha, call.Keys, call.Args...)
		}
	}
	_, failed := pipe.Exec(ctx)
	again := false
	for _, cmd := range cmds {
		again = again || cmd != nil && unknownScript(cmd.Err())
	}
	if again {
		// Slow path: a server that does not know the script yet.
		pipe = c.rdb.Pipeline()
		for i, call := range calls {
			if cmds[i] != nil && unknownScript(cmds[i].Err()) {
				cmds[i] = pipe.Eval(ctx, call.Script.text, call.Keys, call.Args...)
			}
		}
		_, failed = pipe.Exec(ctx)
	}
	for i, call := range calls {
		err := errLate
		if cmds[i] != nil {
			// Every command has its own error, except when there was no
			// connection to send it on.
			if err = cmds[i].Err(); err == nil && cmds[i].Val() == nil {
				err = failed
			}
			if err == nil {
				call.Result, err = integers(cmds[i].Val())
			}
		}
		finished++
		call.finish(err)
	}
}

func unknownScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

func integers(v any) ([]int64, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]int64, len(list))
	for i, x := range list {
		n, ok := x.(int64)
		if !ok {
			return nil, fmt.Errorf("redis: the script returned %T instead of a number", x)
		}
		out[i] = n
	}
	return out, nil
}
