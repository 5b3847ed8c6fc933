package proc

import (
	"cmp"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// quickDeath is the life below which a data process counts as one that
	// dies at once.
	quickDeath = 10 * time.Second
	// backoffFirst and backoffMax bound the pause before a restart; the first
	// one is immediate.
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
	// drainGrace is how much longer than its time limit a drain may take
	// before the process is ended.
	drainGrace = 3 * time.Second
)

// Options are what a Supervisor needs to know beside the spec.
type Options struct {
	// Command is the program's path and its argv. Default: this program with
	// the sub-command data-process.
	Command []string
	// Env is the data process's environment; nil = this process's.
	Env []string
	// Version is told to data processes and compared on adoption, together
	// with the program file.
	Version string
	Log     *slog.Logger
	Table   *Table
	// ReadyTimeout is how long a replacement may take to serve the
	// configuration before it is given up. Default 60 s.
	ReadyTimeout time.Duration
	// Memory returns the descriptor of the memory that data processes of this
	// spec share and hand on (Boot.Memory): have if it fits, else a new one.
	// have is 0 when there is none. The supervisor owns what it returns and
	// closes it when the gateway ends. nil: there is no such memory.
	Memory func(spec *Spec, have int) (int, error)
	// Hold is how long connections wait when the gateway starts and has no
	// configuration yet. Default 3 s.
	Hold time.Duration
}

// Supervisor keeps one data process serving: it starts, adopts, restarts,
// replaces and drains. Its methods are safe for concurrent use.
type Supervisor struct {
	opts  Options
	log   *slog.Logger
	dir   *RunDir
	table *Table

	orders chan order
	// stopping is closed when the gateway is to end, ended when the loop has.
	stopping chan struct{}
	ended    chan struct{}
	stopOnce sync.Once

	mu       sync.Mutex
	spec     Spec
	live     Live
	socks    *Sockets
	cur      *child
	all      map[*child]struct{}
	epoch    uint64
	restarts uint64
	lastExit string
	exitedAt time.Time
	quick    int // deaths in a row that came quickly
	// progress is closed and made anew with every acknowledgement.
	progress chan struct{}
}

// order is a request to replace the data process.
type order struct {
	spec Spec
	done chan error
}

// NewSupervisor makes a supervisor for a run directory that the caller has
// locked.
func NewSupervisor(dir *RunDir, opts Options) *Supervisor {
	if opts.Command == nil {
		opts.Command = []string{"/proc/self/exe", "gw", "data-process"}
	}
	if opts.Env == nil {
		opts.Env = os.Environ()
	}
	opts.Hold = cmp.Or(opts.Hold, 3*time.Second)
	opts.ReadyTimeout = cmp.Or(opts.ReadyTimeout, time.Minute)
	return &Supervisor{
		opts: opts, log: opts.Log, dir: dir, table: opts.Table,
		orders: make(chan order), stopping: make(chan struct{}), ended: make(chan struct{}),
		all: make(map[*child]struct{}), progress: make(chan struct{}),
	}
}

// Start opens the listening sockets, or gets them from a data process that
// outlived its control process, and begins to supervise. An error means that
// nothing was started; a data process found is left as it was.
func (s *Supervisor) Start(spec Spec, live Live) error {
	st, err := readState(s.dir.path)
	if err != nil {
		s.log.Warn("state of the last run is lost", "error", err)
	}
	s.epoch = st.Epoch
	found := s.adopt(&st)
	var old *Sockets
	if found != nil {
		old = found.socks
	}
	socks, err := old.Prepare(&spec, s.log)
	if err != nil {
		found.release()
		return err
	}
	s.giveMemory(socks, &spec)
	s.spec, s.live, s.socks = spec, live, socks
	replace := false
	if found != nil {
		replace = found.differs(&spec)
		c := s.newChild(found.state.Spec, found.state.Epoch, found.h, roleCurrent)
		c.adopted = true
		s.track(c)
		c.follow(found.link)
		s.cur = c
		s.log.Info("data process adopted", "data_pid", c.h.pid, "epoch", c.epoch, "listen", socks.Addrs(), "will_be_replaced", replace)
	}
	go s.run(replace, old)
	return nil
}

// run is the supervising goroutine.
func (s *Supervisor) run(replace bool, old *Sockets) {
	defer close(s.ended)
	if replace {
		if err := s.swap(s.spec, s.socks, old); err != nil && !s.isStopping() {
			s.log.Error("the data process found could not be replaced; it serves on with its old settings", "error", err)
		}
	}
	var retry <-chan time.Time
	if s.current() == nil {
		retry = time.After(0)
	}
	for {
		var gone, selfDrain <-chan struct{}
		c := s.current()
		if c != nil {
			gone, selfDrain = c.gone, c.selfDrain
		}
		select {
		case <-s.stopping:
			return
		case <-retry:
			retry = s.restart()
		case <-gone:
			retry = s.buried(c)
		case <-selfDrain:
			s.log.Warn("data process drains by itself, starting another", "data_pid", c.h.pid)
			c.setRole(roleDraining)
			s.setCurrent(nil)
			go s.forgetWhenGone(c)
			retry = time.After(0)
		case o := <-s.orders:
			o.done <- s.replace(o.spec)
			if s.current() != nil {
				retry = nil
			}
		}
	}
}

// restart starts the data process and returns when to try again, nil when it
// runs.
func (s *Supervisor) restart() <-chan time.Time {
	began := time.Now()
	spec, socks := s.shape()
	c, err := s.start(spec, socks)
	if err != nil {
		if s.isStopping() {
			return nil
		}
		return s.backOff("data process does not start", err)
	}
	s.promote(c)
	s.log.Info("data process started", "data_pid", c.h.pid, "epoch", c.epoch, "loops", len(spec.Loops),
		"listen", socks.Addrs(), "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// buried notes the death of the serving process.
func (s *Supervisor) buried(c *child) <-chan time.Time {
	lived := time.Since(c.since)
	exit := c.exitText()
	s.untrack(c)
	s.mu.Lock()
	s.cur = nil
	s.restarts++
	s.lastExit, s.exitedAt = exit, time.Now()
	if lived >= quickDeath {
		s.quick = 0
	}
	s.mu.Unlock()
	return s.backOff("data process died", errors.New(exit), "data_pid", c.h.pid, "epoch", c.epoch, "lived", lived.Round(time.Millisecond).String())
}

func (s *Supervisor) backOff(what string, err error, attrs ...any) <-chan time.Time {
	s.mu.Lock()
	pause := backoff(s.quick)
	s.quick++
	n := s.quick
	s.mu.Unlock()
	attrs = append(attrs, "error", err, "restart_in", pause.String())
	if n > 1 {
		attrs = append(attrs, "failures_in_a_row", n)
	}
	s.log.Error(what, attrs...)
	return time.After(pause)
}

// backoff is the pause after n earlier deaths in a row.
func backoff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	if n > 10 {
		return backoffMax
	}
	return min(backoffFirst<<(n-1), backoffMax)
}

// Replace brings another spec to life without refusing a connection: a new
// data process is started on the sockets, and when it serves the
// configuration the old one drains. Equal specs change nothing. On error the
// old process serves on.
func (s *Supervisor) Replace(spec Spec) error {
	o := order{spec: spec, done: make(chan error, 1)}
	select {
	case s.orders <- o:
	case <-s.ended:
		return errStopping
	}
	select {
	case err := <-o.done:
		return err
	case <-s.ended:
		return errStopping
	}
}

// SetLive tells every data process, present and to come, what has changed.
func (s *Supervisor) SetLive(v Live) {
	s.mu.Lock()
	s.live = v
	s.mu.Unlock()
	for _, c := range s.children() {
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		if l != nil {
			// A lost connection tells it when it is made again.
			_ = l.w.sendJSON(msgLive, 0, v)
		}
	}
}

func (s *Supervisor) liveNow() Live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

var errStopping = errors.New("the gateway is stopping")

func (s *Supervisor) replace(spec Spec) error {
	was, old := s.shape()
	if c := s.current(); c != nil && c.spec.Digest() == spec.Digest() {
		s.log.Info("settings of the data process are unchanged")
		return nil
	} else if c == nil && was.Digest() == spec.Digest() {
		return nil
	}
	socks, err := old.Prepare(&spec, s.log)
	if err != nil {
		return err
	}
	s.giveMemory(socks, &spec)
	return s.swap(spec, socks, old)
}

// swap starts a process of the new shape and lets the old one drain. old holds
// the sockets before, which are closed on success; on failure those that only
// socks has are.
func (s *Supervisor) swap(spec Spec, socks, old *Sockets) error {
	before := s.current()
	c, err := s.startReady(spec, socks, before)
	if err != nil {
		// What the failed process may have accepted is lost; what waits on
		// kept sockets is not.
		socks.CloseExcept(old)
		s.mu.Lock()
		if s.socks == socks {
			s.socks = old
			s.spec = before.spec
		}
		s.mu.Unlock()
		return err
	}
	s.mu.Lock()
	s.spec, s.socks, s.quick = spec, socks, 0
	s.mu.Unlock()
	s.promote(c)
	s.log.Info("data process replaced", "data_pid", c.h.pid, "epoch", c.epoch, "loops", len(spec.Loops), "listen", socks.Addrs())
	if before != nil {
		before.setRole(roleDraining)
		s.save()
		before.drain(s.liveNow().ShutdownTimeout)
		go s.forgetWhenGone(before)
	}
	old.CloseExcept(socks)
	return nil
}

// startReady starts a process and waits until it serves the configuration.
// While another one serves, it is not started before there is one.
func (s *Supervisor) startReady(spec Spec, socks *Sockets, before *child) (*child, error) {
	if before != nil {
		select {
		case <-s.table.loaded:
		case <-before.gone:
		case <-s.stopping:
			return nil, errStopping
		}
	}
	c, err := s.start(spec, socks)
	if err != nil {
		return nil, err
	}
	if !s.table.Loaded() {
		return c, nil
	}
	limit := time.NewTimer(s.opts.ReadyTimeout)
	defer limit.Stop()
	select {
	case <-c.ready:
		return c, nil
	case <-c.gone:
		err = errors.New("the new data process died: " + c.exitText())
	case <-s.stopping:
		err = errStopping
	case <-limit.C:
		err = errors.New("the new data process did not serve the configuration within " + s.opts.ReadyTimeout.String())
	}
	c.kill()
	<-c.gone
	s.untrack(c)
	return nil, err
}

// forgetWhenGone waits for a process that was told to drain, and ends it when
// it overstays.
func (s *Supervisor) forgetWhenGone(c *child) {
	limit := time.NewTimer(s.liveNow().ShutdownTimeout + drainGrace)
	defer limit.Stop()
	select {
	case <-c.gone:
	case <-limit.C:
		s.log.Warn("data process did not drain in time, killing it", "data_pid", c.h.pid)
		c.kill()
		<-c.gone
	case <-s.stopping:
		return // Drain sees to it
	}
	s.untrack(c)
	s.log.Info("old data process ended", "data_pid", c.h.pid, "epoch", c.epoch, "exit", c.exitText())
}

// Drain ends the gateway: no process is started any more, the sockets are
// closed, the data processes finish what they have within timeout and end. It
// returns when all are gone. Kill cuts it short.
func (s *Supervisor) Drain(timeout time.Duration) {
	s.stop()
	s.closeSockets()
	limit := time.NewTimer(timeout + drainGrace)
	defer limit.Stop()
	for _, c := range s.children() {
		c.drain(timeout)
	}
	for _, c := range s.children() {
		select {
		case <-c.gone:
		case <-limit.C:
			s.log.Warn("data process did not drain in time, killing it", "data_pid", c.h.pid)
			limit.Reset(0)
			c.kill()
			<-c.gone
		}
		s.untrack(c)
		c.fed.Wait()
	}
}

// Kill ends every data process at once.
func (s *Supervisor) Kill() {
	s.stop()
	for _, c := range s.children() {
		c.quit()
	}
}

// Detach ends supervision and lets the data process serve on, for a successor
// to adopt.
func (s *Supervisor) Detach() {
	s.stop()
	for _, c := range s.children() {
		c.detach()
	}
	s.mu.Lock()
	clear(s.all) // the state file keeps naming them
	s.mu.Unlock()
	s.closeSockets()
}

// closeSockets gives the sockets up for good.
func (s *Supervisor) closeSockets() {
	s.mu.Lock()
	socks := s.socks
	s.socks = nil
	s.mu.Unlock()
	socks.CloseExcept(nil)
}

func (s *Supervisor) stop() {
	s.stopOnce.Do(func() { close(s.stopping) })
	<-s.ended
}

func (s *Supervisor) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}
