package proxymirror

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegw/sluice/core/h1"
)

// Bounds of one host that copies go to. What exceeds them is dropped and
// counted.
const (
	// maxQueued is how many copies wait to be sent.
	maxQueued = 1024
	// maxBytes is how much memory copies take that wait or are being sent.
	maxBytes = 64 << 20
	// maxBody is the largest body that is mirrored.
	maxBody = 8 << 20
	// maxWorkers is how many copies are sent at one time.
	maxWorkers = 64
)

// Counts are the copies so far, over all hosts.
type Counts struct {
	Sent    uint64 // answered, whatever the answer was
	Failed  uint64 // not answered
	Dropped uint64 // not sent: over a bound
}

var sent, failed, dropped atomic.Uint64

// Count returns the counts of this process.
func Count() Counts { return Counts{sent.Load(), failed.Load(), dropped.Load()} }

// targets are the hosts of a gateway. An instance of the plugin holds one for
// as long as it lives.
type targets struct {
	log *slog.Logger
	mu  sync.Mutex
	all map[targetKey]*target
}

type targetKey struct {
	scheme, host string
	limits       limits
}

func newTargets(log *slog.Logger) *targets {
	if log == nil {
		log = slog.Default()
	}
	return &targets{log: log, all: map[targetKey]*target{}}
}

func (ts *targets) hold(scheme, host string, l limits) *target {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	k := targetKey{scheme, host, l}
	t := ts.all[k]
	if t == nil {
		t = &target{key: k, owner: ts, queue: make(chan *job, maxQueued)}
		ts.all[k] = t
	}
	t.held++
	return t
}

// target is one host that copies go to.
type target struct {
	key   targetKey
	owner *targets
	held  int // instances; guarded by owner.mu

	queue   chan *job
	bytes   atomic.Int64 // of the jobs that are under way
	workers atomic.Int32
	told    atomic.Int64 // unix seconds of the last word in the log
	jobs    sync.Pool
}

// release gives the target up. Its workers end when they have been idle for a
// while; requests that still run may use it.
func (t *target) release() {
	t.owner.mu.Lock()
	defer t.owner.mu.Unlock()
	if t.held--; t.held == 0 {
		delete(t.owner.all, t.key)
	}
}

// job is one copy.
type job struct {
	head   []byte // without Content-Length and the blank line
	body   []byte
	method h1.Method
	size   int64 // what it counts for in target.bytes
}

// job makes an empty copy.
func (t *target) job() *job {
	j, _ := t.jobs.Get().(*job)
	if j == nil {
		j = new(job)
	}
	j.head, j.body, j.size = j.head[:0], j.body[:0], 0
	return j
}

// claim counts n further bytes of the copy, and refuses when that is too much.
func (t *target) claim(j *job, n int) bool {
	j.size += int64(n)
	return t.bytes.Add(int64(n)) <= maxBytes
}

// add appends a piece of the body, as long as that is not too large.
func (t *target) add(j *job, piece []byte) bool {
	if len(j.body)+len(piece) > maxBody || !t.claim(j, len(piece)) {
		return false
	}
	j.body = append(j.body, piece...)
	return true
}

// send hands the copy over. It never waits. wall is the unix time in
// nanoseconds.
func (t *target) send(j *job, wall int64) {
	select {
	case t.queue <- j:
	default:
		t.drop(j, wall)
		return
	}
	// A worker that waited has taken it; else one more is needed.
	if len(t.queue) > 0 && t.workers.Load() < maxWorkers {
		t.workers.Add(1)
		go (&worker{t: t}).run()
	}
}

// drop throws a copy away: it, or what is under way altogether, is too large,
// too many wait, or its body broke off.
func (t *target) drop(j *job, wall int64) {
	t.free(j)
	dropped.Add(1)
	t.tell("copies of requests are dropped: the host is too slow, or their bodies are too large or broke off", wall)
}

// keepJob is how much memory a copy keeps for the next.
const keepJob = 64 << 10

func (t *target) free(j *job) {
	t.bytes.Add(-j.size)
	if cap(j.body) > keepJob {
		j.body = nil
	}
	t.jobs.Put(j)
}

// tellEvery is how often the log is told of trouble with a host, in seconds.
const tellEvery = 60

func (t *target) tell(what string, wall int64, args ...any) {
	now := wall / int64(time.Second)
	if last := t.told.Load(); now-last < tellEvery || !t.told.CompareAndSwap(last, now) {
		return
	}
	// A log may have to wait for its file.
	go t.owner.log.Warn("proxy-mirror: "+what, append([]any{"host", t.key.host,
		"sent", sent.Load(), "failed", failed.Load(), "dropped", dropped.Load()}, args...)...)
}
