// Package loop runs one pinned OS thread: its event engine, its sockets, its
// timers and the coroutines that handlers are written in.
//
// A loop is used from its own thread only; the exceptions (Post, Stats, Stop)
// say so. Nothing that runs on a loop may block: what has to wait parks its
// coroutine (Task) and the loop turns on.
package loop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Config describes one loop.
type Config struct {
	ID int
	// CPU is the processor that the thread is pinned to; negative leaves it
	// unpinned.
	CPU int
	// Engine is how the loop speaks to the kernel: EngineUring, EngineEpoll, or
	// EngineAuto, which is io_uring where the kernel offers all that is needed
	// (Linux 6.1; containers often forbid it) and else epoll. Default
	// EngineAuto.
	Engine string
	// MaxAwait bounds the background goroutines that run Await functions for
	// this loop at one time. Default 256.
	MaxAwait int
	// StallLimit is the longest a turn may take before it counts as a stall.
	// Default 1 ms.
	StallLimit time.Duration
}

// The engines.
const (
	EngineAuto  = "auto"
	EngineEpoll = "epoll"
	EngineUring = "uring"
)

// Loop is one event loop. Make it with New, run it with Run.
type Loop struct {
	ID  int
	CPU int

	// now is the monotonic clock in nanoseconds since the process's first
	// loop, read once a turn; wallBase turns it into unix time.
	now      int64
	wallBase int64

	// One of the two engines.
	ep       *epoll
	u        *uring
	fallback error

	naps bool // the last sleep was short: see napLimit
	evfd int  // eventfd that Post rings
	gen  uint32

	stallLimit int64 // nanoseconds

	arena     arena
	freeBufs  *Buf
	freeMem   [][]byte
	freeTasks *Task
	current   *Task

	ready []*Task // yielded; they go on after this turn's events
	wheel wheel

	post struct {
		mu      sync.Mutex
		queue   []func()
		pending atomic.Bool
		asleep  atomic.Bool
		spare   []func()
	}
	awaiting chan struct{} // one token per running Await function

	stop    atomic.Bool
	stopped chan struct{}

	stats Stats
}

// Stats are a loop's counters. The loop is the only writer; any thread may
// read.
type Stats struct {
	Turns     atomic.Uint64 // event batches handled
	Events    atomic.Uint64 // events in them
	Waits     atomic.Uint64 // times the loop went to sleep, naps not counted
	Stalls    atomic.Uint64 // turns that took longer than Config.StallLimit
	StallNS   atomic.Uint64 // the longest such turn, nanoseconds
	Tasks     atomic.Int64  // coroutines that exist
	Busy      atomic.Int64  // coroutines in use
	Dials     atomic.Uint64
	Conns     atomic.Int64  // open sockets of this loop
	Refused   atomic.Uint64 // Await calls refused because the pool was full
	Starved   atomic.Uint64 // receives that found no buffer (io_uring)
	TurnStart atomic.Int64  // clock at the start of the running turn, 0 while asleep
	_         [64]byte
}

// defaultStallLimit is the longest a turn may take before it counts as a stall.
const defaultStallLimit = time.Millisecond

var clockBase = time.Now()

// Clock reads the monotonic clock that loops use: nanoseconds since the
// process started. Loops hand out their own coarse copy (Now), which costs
// nothing.
func Clock() int64 { return int64(time.Since(clockBase)) }

// New makes a loop. The caller then calls Run on a goroutine of its own.
func New(cfg Config) (*Loop, error) {
	if cfg.MaxAwait <= 0 {
		cfg.MaxAwait = 256
	}
	if cfg.StallLimit <= 0 {
		cfg.StallLimit = defaultStallLimit
	}
	switch cfg.Engine {
	case "":
		cfg.Engine = EngineAuto
	case EngineAuto, EngineEpoll, EngineUring:
	default:
		return nil, fmt.Errorf("loop %d: unknown engine %q: want auto, epoll or uring", cfg.ID, cfg.Engine)
	}
	evfd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("loop %d: eventfd: %w", cfg.ID, err)
	}
	l := &Loop{
		ID: cfg.ID, CPU: cfg.CPU, evfd: evfd, stallLimit: int64(cfg.StallLimit),
		awaiting: make(chan struct{}, cfg.MaxAwait),
		stopped:  make(chan struct{}),
	}
	l.now = Clock()
	l.wallBase = clockBase.UnixNano()
	l.wheel.init(l.now)
	l.arena.make()
	if cfg.Engine != EngineEpoll {
		l.u, err = newUring(l, sqEntries, cqEntries)
	}
	if cfg.Engine == EngineAuto && err != nil {
		l.fallback, err = err, nil
	}
	if l.u == nil && err == nil {
		l.ep, err = newEpoll(evfd)
	}
	if err != nil {
		unix.Close(evfd)
		return nil, fmt.Errorf("loop %d: %w", cfg.ID, err)
	}
	return l, nil
}

// Engine is the engine in use, EngineEpoll or EngineUring.
func (l *Loop) Engine() string {
	if l.u != nil {
		return EngineUring
	}
	return EngineEpoll
}

// Fallback tells why EngineAuto chose epoll; nil where it did not.
func (l *Loop) Fallback() error { return l.fallback }

// Now is the coarse monotonic clock in nanoseconds (same base as Clock): the
// time at which the running turn began.
func (l *Loop) Now() int64 { return l.now }

// Wall is the unix time in nanoseconds that belongs to Now.
func (l *Loop) Wall() int64 { return l.wallBase + l.now }

// Stats gives the loop's counters. Safe from any thread.
func (l *Loop) Stats() *Stats { return &l.stats }

// Run locks the calling goroutine to its thread, pins it and turns until Stop.
// Sockets that are still open then are closed; parked coroutines end.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	l.now = Clock()
	// The thread is not unlocked: it ends with its goroutine, so a changed
	// affinity never leaks to other work.
	if l.CPU >= 0 {
		var set unix.CPUSet
		set.Set(l.CPU)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("loop %d: cannot pin to cpu %d: %w", l.ID, l.CPU, err)
		}
	}
	defer close(l.stopped)
	defer l.closeAll()
	if l.u != nil {
		if err := l.u.start(); err != nil {
			return err
		}
		for !l.stop.Load() {
			l.turnUring()
		}
		return nil
	}
	for !l.stop.Load() {
		l.turnEpoll()
	}
	return nil
}

// Stop makes Run return after its present turn. Safe from any thread.
func (l *Loop) Stop() {
	l.stop.Store(true)
	l.ring()
}

// Stopped is closed when Run has returned.
func (l *Loop) Stopped() <-chan struct{} { return l.stopped }

// napLimit is how long a loop may wait in the kernel without telling the Go
// scheduler. A loop under load sleeps often and shortly. When it is told, the
// scheduler takes the loop's processor slot away once such sleeps have gone on
// for 10 ms, and its monitor thread runs every 20 us from then on, which was a
// tenth of the time spent. A collection that has to stop a napping thread
// interrupts it with a signal, and at worst waits out the nap. So a loop whose
// last sleep was shorter than this naps, and one whose nap was too short sleeps.
const napLimit = int64(4 * time.Millisecond)

// mayNap tells whether the loop may nap now, which has a Post wake it. wake
// must follow.
func (l *Loop) mayNap() bool {
	l.post.asleep.Store(true)
	return !l.post.pending.Load() && !l.stop.Load()
}

// wake ends a sleep or nap that began at since, and reads the clock.
func (l *Loop) wake(since int64) {
	l.post.asleep.Store(false)
	l.now = Clock()
	l.naps = l.now-since < napLimit
}

// afterEvents is what every turn does once the engine's events are handled.
func (l *Loop) afterEvents() {
	if len(l.ready) > 0 {
		l.runReady()
	}
	if l.post.pending.Load() {
		l.runPosted()
	}
	if l.now >= l.wheel.next {
		l.wheel.advance(l.now)
	}
}

// noteStall is told how long the turn before took: one clock read serves both
// turns.
func (l *Loop) noteStall(d int64) {
	if d <= l.stallLimit {
		return
	}
	l.stats.Stalls.Store(l.stats.Stalls.Load() + 1)
	if uint64(d) > l.stats.StallNS.Load() {
		l.stats.StallNS.Store(uint64(d))
	}
}

// Post runs f on the loop's thread in its next turn. Safe from any thread; it
// never blocks for long. It reports false when the loop has stopped.
func (l *Loop) Post(f func()) bool {
	if l.stop.Load() {
		return false
	}
	l.post.mu.Lock()
	l.post.queue = append(l.post.queue, f)
	l.post.mu.Unlock()
	l.post.pending.Store(true)
	if l.post.asleep.Load() {
		l.ring()
	}
	return true
}

func (l *Loop) ring() {
	one := [8]byte{1}
	_, _ = unix.Write(l.evfd, one[:])
}

func (l *Loop) runPosted() {
	l.post.pending.Store(false)
	l.post.mu.Lock()
	q := l.post.queue
	l.post.queue = l.post.spare[:0]
	l.post.mu.Unlock()
	for i, f := range q {
		f()
		q[i] = nil
	}
	l.post.spare = q[:0]
}

// runReady resumes the tasks that had yielded before; those that yield again
// wait for the next turn.
func (l *Loop) runReady() {
	n := len(l.ready)
	for i := range n {
		t := l.ready[i]
		l.ready[i] = nil
		t.Wake()
	}
	l.ready = append(l.ready[:0], l.ready[n:]...)
}

func (l *Loop) closeAll() {
	if l.u != nil {
		l.u.close()
	} else {
		l.ep.close()
	}
	l.stats.TurnStart.Store(0)
	l.endTasks()
	l.arena.drop()
	unix.Close(l.evfd)
}

// ErrTimeout says that a deadline passed before the operation was done.
var ErrTimeout = fmt.Errorf("deadline passed: %w", os.ErrDeadlineExceeded)

// ErrClosed says that the connection was closed on this side.
var ErrClosed = errors.New("connection is closed")

// ErrStopped says that the loop is ending.
var ErrStopped = errors.New("loop is stopping")

// ErrCanceled says that the wait was ended by another task.
var ErrCanceled = errors.New("canceled")
