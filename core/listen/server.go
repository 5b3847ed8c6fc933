// Package listen is the client's side of the data path: the loops' accepted
// connections, HTTP/1.x on them, and the run of each request through the
// stages.
package listen

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/relay"
	"github.com/sluicegw/sluice/core/req"
)

// Config is what a data process listens with. Immutable once given to New.
type Config struct {
	// CPUs has one entry per loop: the processor it is pinned to, or -1.
	CPUs []int
	// Engine is the loops' event engine, see loop.Config.
	Engine string
	// StallWarn is how long a loop's turn may take before it counts as a
	// stall. Default 1 ms.
	StallWarn time.Duration
	// Limits bound what a client may send in a head.
	Limits h1.Limits
	// Policy is what guard applies to every request.
	Policy *guard.Policy
	// HeaderTimeout is the longest time from the first byte of a head to its
	// end; BodyTimeout the longest silence within a body; SendTimeout the
	// longest time without progress of a response; KeepaliveTimeout how long a
	// connection may be idle between requests. Zero: no limit.
	HeaderTimeout, BodyTimeout, SendTimeout, KeepaliveTimeout time.Duration
	// KeepaliveRequests is how many requests a connection serves. Default
	// 1000.
	KeepaliveRequests uint32
	// MaxConns bounds the client connections of each loop. Default 10620.
	MaxConns int
	// ServerHeader is the value of the Server field; empty sends none.
	ServerHeader string
	// MetricPrefix begins the names of the metrics that APISIX has too. Default
	// "apisix_".
	MetricPrefix string
	// Finished, when set, sees every request that got an answer, on its loop,
	// before the log phase. It must not block.
	Finished func(*req.Ctx)
	Relay    relay.Options
	Log      *slog.Logger
}

// Server runs the loops of one data process.
type Server struct {
	cfg    Config
	snap   atomic.Pointer[req.Snapshot]
	loops  []*worker
	connID atomic.Uint64
	wg     sync.WaitGroup
	drain  atomic.Bool
	log    *slog.Logger
}

// Socket is a listening socket. Each loop has one of its own per address.
type Socket struct {
	FD   int
	Loop int
	Addr string // for messages
}

// New makes a server. It serves once SetSnapshot and Start were called.
func New(cfg Config) (*Server, error) {
	if cfg.KeepaliveRequests == 0 {
		cfg.KeepaliveRequests = 1000
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 10620
	}
	if cfg.MetricPrefix == "" {
		cfg.MetricPrefix = "apisix_"
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{cfg: cfg, log: cfg.Log}
	for i, cpu := range cfg.CPUs {
		l, err := loop.New(loop.Config{ID: i, CPU: cpu, Engine: cfg.Engine, StallLimit: cfg.StallWarn})
		if err != nil {
			return nil, err
		}
		if why := l.Fallback(); why != nil && i == 0 {
			s.log.Warn("serving with epoll instead of io_uring", "why", why)
		}
		w := &worker{srv: s, loop: l, relay: relay.New(l, cfg.Relay)}
		w.clients.prev, w.clients.next = &w.clients, &w.clients
		s.loops = append(s.loops, w)
	}
	return s, nil
}

// SetSnapshot makes the requests that begin from now on use snap.
func (s *Server) SetSnapshot(snap *req.Snapshot) { s.snap.Store(snap) }

// Snapshot is the configuration in use.
func (s *Server) Snapshot() *req.Snapshot { return s.snap.Load() }

// Start runs the loops. They accept nothing yet.
func (s *Server) Start() {
	for _, w := range s.loops {
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			if err := w.loop.Run(); err != nil {
				s.log.Error("loop ended", "loop", w.loop.ID, "error", err)
			}
		}()
	}
	go s.watchStalls()
}

// Accept begins to take connections from socks. A snapshot must have been set.
// The descriptors stay the caller's.
func (s *Server) Accept(socks []Socket) error {
	if s.snap.Load() == nil {
		panic("BUG: connections are accepted without a snapshot")
	}
	errs := make(chan error, len(socks))
	for _, sk := range socks {
		if sk.Loop < 0 || sk.Loop >= len(s.loops) {
			return fmt.Errorf("socket for %s names loop %d of %d", sk.Addr, sk.Loop, len(s.loops))
		}
		// Accepted sockets inherit it: responses leave at once.
		_ = unix.SetsockoptInt(sk.FD, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		w := s.loops[sk.Loop]
		w.loop.Post(func() { errs <- w.listen(sk) })
	}
	for range socks {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// Drain stops accepting, closes idle connections, lets requests in flight end
// with Connection: close, and returns when no connection is left or timeout
// has passed. It reports how many were cut.
func (s *Server) Drain(timeout time.Duration) int {
	s.drain.Store(true)
	for _, w := range s.loops {
		w.loop.Post(w.startDrain)
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		for _, w := range s.loops {
			left += int(w.stats.Active.Load())
		}
		if left == 0 {
			return 0
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return left
		}
	}
}

// Close stops the loops and closes what is open.
func (s *Server) Close() {
	for _, w := range s.loops {
		w.loop.Stop()
	}
	s.wg.Wait()
}

// Loops is how many loops there are.
func (s *Server) Loops() int { return len(s.loops) }

// watchStalls names what a loop is busy with when a turn takes long. The loops
// count stalls themselves; this looks from outside, where the culprit is still
// on the processor.
func (s *Server) watchStalls() {
	every := max(20*time.Millisecond, s.cfg.StallWarn)
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := make([]int64, len(s.loops))
	for range tick.C {
		running := false
		now := loop.Clock()
		for i, w := range s.loops {
			select {
			case <-w.loop.Stopped():
				continue
			default:
				running = true
			}
			start := w.loop.Stats().TurnStart.Load()
			if start == 0 || now-start < int64(every) || told[i] == start {
				continue
			}
			told[i] = start
			stage, route := w.watch.What()
			s.log.Warn("loop is stalled: a stage blocks it", "loop", i, "cpu", w.loop.CPU,
				"for", time.Duration(now-start).Round(time.Millisecond), "stage", stage, "route", route)
		}
		if !running {
			return
		}
	}
}
