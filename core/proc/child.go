package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
)

const (
	// redialPause lies between attempts to reach a data process that lives
	// but whose connection was lost.
	redialPause = 200 * time.Millisecond
	// killWait is how long a process told to quit may take before SIGKILL.
	killWait = 2 * time.Second
	// slowApply is after how long an unanswered batch is worth a warning.
	slowApply = 10 * time.Second
)

// child is one data process as the control process sees it.
type child struct {
	log     *slog.Logger
	table   *Table
	dir     string
	version string
	live    func() Live
	// progress is told of every acknowledgement.
	progress func()

	spec    Spec
	epoch   uint64
	h       *handle
	adopted bool
	since   time.Time
	// startTime is the kernel's start time of the process (see dataState).
	startTime string

	ctx    context.Context // of feeding; ended by release
	cancel context.CancelFunc
	fed    sync.WaitGroup

	mu     sync.Mutex
	link   *link
	role   string
	acked  int64     // revision
	ackAt  time.Time // when
	exit   string
	leave  bool // it is meant to end
	exeID  string
	binary string

	readyOnce sync.Once
	ready     chan struct{} // closed with the first configuration served
	gone      chan struct{} // closed when the process has ended
	selfDrain chan struct{} // closed when it drains by itself
	drainOnce sync.Once
}

func (s *Supervisor) newChild(spec Spec, epoch uint64, h *handle, role string) *child {
	c := &child{
		log: s.log.With("data_pid", h.pid, "epoch", epoch), table: s.table, dir: s.dir.path, version: s.opts.Version, live: s.liveNow, progress: s.tellProgress,
		spec: spec, epoch: epoch, h: h, since: time.Now(), startTime: processStart(h.pid), role: role,
		ready: make(chan struct{}), gone: make(chan struct{}), selfDrain: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go func() {
		exit, ended := h.wait()
		if !ended {
			return // detached: the process and its socket live on
		}
		c.mu.Lock()
		c.exit = exit
		c.mu.Unlock()
		close(c.gone)
		h.close()
		_ = os.Remove(filepath.Join(c.dir, dataSock(epoch)))
	}()
	return c
}

// start executes a data process and boots it. On error the process is gone.
func (s *Supervisor) start(spec Spec, socks *Sockets) (*child, error) {
	epoch := s.nextEpoch()
	ln, err := listenSock(s.dir.path, dataSock(epoch))
	if err != nil {
		return nil, err
	}
	command := append(s.opts.Command[:len(s.opts.Command):len(s.opts.Command)], fmt.Sprintf("--epoch=%d", epoch))
	p, err := spawn(command, s.opts.Env, ln)
	ln.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot start the data process: %w", err)
	}
	h, err := openHandle(p.Pid, p)
	if err != nil {
		_ = p.Kill()
		_, _ = p.Wait()
		return nil, err
	}
	c := s.newChild(spec, epoch, h, roleStarting)
	s.track(c)
	// A gateway that is to end does not wait for a slow start.
	booted := make(chan struct{})
	go func() {
		select {
		case <-s.stopping:
			c.kill()
		case <-booted:
		}
	}()
	defer close(booted)
	if err := c.boot(&Boot{Spec: spec, Live: s.liveNow(), Epoch: epoch, Dir: s.dir.path, Hold: s.hold()}, socks); err != nil {
		c.kill()
		<-c.gone
		s.untrack(c)
		return nil, fmt.Errorf("data process %d did not start (%s): %w", h.pid, c.exitText(), err)
	}
	return c, nil
}

// hold is how long a new data process waits for its configuration. One that is
// at hand is waited for as long as it takes.
func (s *Supervisor) hold() time.Duration {
	if s.table.Loaded() {
		return s.opts.ReadyTimeout
	}
	return s.opts.Hold
}

func (c *child) boot(b *Boot, socks *Sockets) error {
	l, err := dialLink(c.dir, dataSock(c.epoch), c.version)
	if err != nil {
		return err
	}
	if err := l.boot(b, socks.List()); err != nil {
		l.w.close()
		return err
	}
	c.follow(l)
	return nil
}

// follow feeds the process over l, and over new connections when that one is
// lost, until it is gone or released.
func (c *child) follow(l *link) {
	c.setLink(l)
	c.fed.Go(func() {
		for l != nil {
			c.feed(l)
			c.setLink(nil)
			l.close()
			l = c.redial()
			c.setLink(l)
		}
	})
}

func (c *child) setLink(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	if l != nil {
		c.exeID, c.binary = l.welcome.Exe, l.welcome.Version
	}
}

// redial connects again; nil when that makes no sense any more.
func (c *child) redial() *link {
	for {
		select {
		case <-c.gone:
			return nil
		case <-c.ctx.Done():
			return nil
		case <-time.After(redialPause):
		}
		l, err := dialLink(c.dir, dataSock(c.epoch), c.version)
		if err == nil {
			c.log.Warn("connected to the data process again")
			return l
		}
		if !isTimeout(err) && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, net.ErrClosed) {
			c.log.Debug("data process is not reachable", "error", err)
		}
	}
}

// feed sends the process what it lacks, batch by batch, each after the last
// was acknowledged.
func (c *child) feed(l *link) {
	var reader sync.WaitGroup
	reader.Go(l.run)
	defer reader.Wait()
	defer l.close()

	var base map[Key]uint64
	if l.welcome.Served {
		raw, err := l.call(c.ctx, callInventory, nil)
		if err == nil {
			base, err = parseInventory(raw)
		}
		if err != nil {
			c.log.Error("cannot learn what the data process serves", "error", err)
			return
		}
		c.noteAck(l.welcome.Rev)
	}
	if err := l.w.sendJSON(msgLive, 0, c.live()); err != nil {
		return
	}
	sub := c.table.subscribe(base)
	defer sub.cancel()
	draining := l.draining
	for {
		select {
		case <-c.ctx.Done():
			// Released: stay connected for calls, but feed no more.
			sub.cancel()
			<-l.down
			return
		case <-l.down:
			return
		case <-draining:
			draining = nil
			c.drainOnce.Do(func() { close(c.selfDrain) })
		case <-sub.wake:
			b, ok := sub.take()
			if !ok {
				continue
			}
			for _, part := range split(b) {
				if !c.deliver(l, &part) {
					return
				}
			}
			c.noteAck(b.Rev)
		}
	}
}

func (c *child) deliver(l *link, b *conf.Batch) bool {
	slow := time.AfterFunc(slowApply, func() {
		c.log.Warn("the data process takes long to apply a configuration", "objects", len(b.Objects), "revision", b.Rev)
	})
	defer slow.Stop()
	// No time limit: a process that works is waited for, one that died ends
	// the connection.
	m, err := l.roundTrip(context.Background(), msgBatch, appendBatch(nil, b))
	if err != nil {
		select {
		case <-l.down: // its end is told elsewhere
		default:
			c.log.Error("cannot send the configuration to the data process", "error", err)
		}
		return false
	}
	var ack ackMsg
	if err := json.Unmarshal(m.payload, &ack); err != nil {
		c.log.Error("malformed acknowledgement from the data process", "error", err)
		return false
	}
	c.table.acked(b, ack.Refused)
	for _, r := range ack.Refused {
		c.log.Error("object refused by the data process; its last good version stays", "object", r.Kind.String()+" "+r.ID,
			"revision", r.Rev, "reason", r.Reason)
	}
	return true
}

func (c *child) noteAck(rev int64) {
	c.mu.Lock()
	c.acked, c.ackAt = rev, time.Now()
	c.mu.Unlock()
	c.readyOnce.Do(func() { close(c.ready) })
	c.progress()
}

// drain tells the process to finish what it has and end. It is not fed any
// more.
func (c *child) drain(timeout time.Duration) {
	c.mu.Lock()
	c.leave = true
	l := c.link
	c.mu.Unlock()
	c.cancel()
	if l == nil {
		// Without a connection the signal does the same, with the time limit
		// of its own settings.
		_ = c.h.signal(unix.SIGTERM)
		return
	}
	if err := l.w.sendJSON(msgDrain, 0, drainMsg{TimeoutMS: timeout.Milliseconds()}); err != nil {
		_ = c.h.signal(unix.SIGTERM)
	}
}

// quit ends the process at once, by SIGKILL if it does not obey.
func (c *child) quit() {
	c.mu.Lock()
	c.leave = true
	l := c.link
	c.mu.Unlock()
	c.cancel()
	if l != nil && l.w.send(msgQuit, 0, 0, nil) == nil {
		select {
		case <-c.gone:
			return
		case <-time.After(killWait):
		}
	}
	c.kill()
}

func (c *child) kill() {
	c.mu.Lock()
	c.leave = true
	c.mu.Unlock()
	c.cancel()
	select {
	case <-c.gone:
	default:
		_ = c.h.signal(unix.SIGKILL)
	}
}

// detach lets go of a process that lives on.
func (c *child) detach() {
	c.cancel()
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.close()
	}
	c.fed.Wait()
	c.h.close()
}

func (c *child) exitText() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit
}

func (c *child) isReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

func (c *child) call(ctx context.Context, name string, arg []byte) ([]byte, error) {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l == nil {
		return nil, ErrNotRunning
	}
	return l.call(ctx, name, arg)
}
