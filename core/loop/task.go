package loop

import (
	"iter"
)

// Runner is what a coroutine runs. Run may park the coroutine any number of
// times; when it returns the coroutine is free for the next Runner.
type Runner interface{ Run(t *Task) }

// Task is a pooled coroutine. A switch to it and back costs about 0.1 µs.
type Task struct {
	loop   *Loop
	next   func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	run    Runner
	timer  Timer
	parked bool
	timed  bool // the last park ended by its deadline
	done   bool
	free   *Task
	// Note names what the task works on, for the stall watchdog.
	Note any
}

// Start runs r on a coroutine at once, until it first parks or returns.
func (l *Loop) Start(r Runner) {
	t := l.freeTasks
	if t == nil {
		t = l.newTask()
	} else {
		l.freeTasks = t.free
		t.free = nil
	}
	t.run, t.done = r, false
	l.stats.Busy.Store(l.stats.Busy.Load() + 1)
	l.resume(t)
}

func (l *Loop) newTask() *Task {
	t := &Task{loop: l}
	t.timer.slot = -1
	t.timer.owner = t
	t.timer.fire = taskTimer
	t.next, t.stop = iter.Pull(t.seq)
	l.stats.Tasks.Store(l.stats.Tasks.Load() + 1)
	return t
}

func (t *Task) seq(yield func(struct{}) bool) {
	t.yield = yield
	for {
		t.run.Run(t)
		t.run, t.Note = nil, nil
		t.done = true
		if !yield(struct{}{}) {
			return
		}
	}
}

// resume switches to t until it parks or ends.
func (l *Loop) resume(t *Task) {
	outer := l.current
	l.current = t
	_, alive := t.next()
	l.current = outer
	if !alive {
		l.forget(t)
		return
	}
	if t.done {
		t.timer.at = 0
		t.free = l.freeTasks
		l.freeTasks = t
		l.stats.Busy.Store(l.stats.Busy.Load() - 1)
	}
}

func (l *Loop) forget(t *Task) {
	l.DropTimer(&t.timer)
	l.stats.Tasks.Store(l.stats.Tasks.Load() - 1)
	l.stats.Busy.Store(l.stats.Busy.Load() - 1)
}

// endTasks ends the coroutines that wait for work.
func (l *Loop) endTasks() {
	for t := l.freeTasks; t != nil; t = t.free {
		t.stop()
		l.stats.Tasks.Store(l.stats.Tasks.Load() - 1)
	}
	l.freeTasks = nil
}

// Loop is the loop that the task runs on.
func (t *Task) Loop() *Loop { return t.loop }

// Park suspends the task until Wake, an event on a connection it waits for, or
// the deadline (clock time, 0: none). It reports false when the deadline ended
// it. Wakes may be spurious: callers check their condition in a loop.
func (t *Task) Park(deadline int64) bool {
	t.timed = false
	if deadline != 0 {
		t.loop.SetTimer(&t.timer, deadline)
	}
	t.parked = true
	t.yield(struct{}{})
	t.timer.at = 0
	return !t.timed
}

// Wake resumes a parked task at once, on the caller's turn. On a task that is
// not parked it does nothing.
func (t *Task) Wake() {
	if !t.parked {
		return
	}
	t.parked = false
	t.loop.resume(t)
}

func taskTimer(tm *Timer) {
	t := tm.owner.(*Task)
	if t.parked {
		t.timed = true
		t.Wake()
	}
}

// Yield lets the loop's other work go on and comes back in the next turn.
func (t *Task) Yield() {
	t.loop.ready = append(t.loop.ready, t)
	t.Park(0)
}

// Sleep suspends the task for d nanoseconds, rounded up to the wheel's
// millisecond.
func (t *Task) Sleep(d int64) {
	end := t.loop.now + d
	for t.loop.now < end {
		t.Park(end)
	}
}

// ErrBusy says that the background pool is full.
var ErrBusy = errBusy{}

type errBusy struct{}

func (errBusy) Error() string { return "background pool is full" }

// Await runs f on a background goroutine and parks the task until f has
// returned; the loop turns on meanwhile. It fails with ErrBusy, without
// running f, when as many functions as Config.MaxAwait are running. f must
// bound its own time: the request waits for it.
func (t *Task) Await(f func()) error {
	l := t.loop
	select {
	case l.awaiting <- struct{}{}:
	default:
		l.stats.Refused.Store(l.stats.Refused.Load() + 1)
		return ErrBusy
	}
	done := false
	var failure any
	go func() {
		defer func() {
			failure = recover()
			<-l.awaiting
			l.Post(func() {
				done = true
				t.Wake()
			})
		}()
		f()
	}()
	for !done {
		t.Park(0)
	}
	if failure != nil {
		// It is the request's failure, not the process's.
		panic(failure)
	}
	return nil
}
