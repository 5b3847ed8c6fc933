package proc

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The calls that every data process answers; others go to DataPlane.Query.
const (
	CallStatus    = "status"
	CallMetrics   = "metrics"
	CallHealth    = "health"
	callInventory = "inventory"
)

// maxDataCalls bounds calls that are being answered at one time.
const maxDataCalls = 16

// idleBootTimeout is how long a fresh data process waits for its control
// process before it gives up.
const idleBootTimeout = time.Minute

// DataOptions are the options of RunData.
type DataOptions struct {
	// Version is shown to the control process.
	Version string
	Log     *slog.Logger
	// OnBoot, if set, is called with the boot message before the data plane
	// starts: the place to set memory limits and the log's level.
	OnBoot func(*Boot) error
	// OnLive, if set, is called with what can change, at the start and then
	// with every change.
	OnLive func(Live)
}

// RunData is the data process: it takes its orders from the control process
// on the socket inherited as descriptor 3 and drives dp. It returns nil after
// a drain or an order to quit, and an error when it never came to serve. A
// control process that dies is no reason to end: the next one may connect.
func RunData(dp DataPlane, opts DataOptions) error {
	signal.Ignore(unix.SIGPIPE, unix.SIGINT, unix.SIGHUP)
	// Best effort: the name that ps and ss show.
	_ = os.WriteFile("/proc/self/comm", []byte("gw-data"), 0)

	f := os.NewFile(listenFD, "control socket")
	ln, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("data process: descriptor %d is not the control socket (it is started by `gw run`): %w", listenFD, err)
	}
	d := &dataProcess{
		dp: dp, opts: opts, log: opts.Log, ln: ln.(*net.UnixListener),
		applied: make(map[Key]uint64), exe: exeID(),
		done: make(chan struct{}),
	}
	stop := make(chan os.Signal, 4)
	signal.Notify(stop, unix.SIGTERM, unix.SIGQUIT)
	defer signal.Stop(stop)
	go d.signals(stop)
	return d.serve()
}

type dataProcess struct {
	dp   DataPlane
	opts DataOptions
	log  *slog.Logger
	ln   *net.UnixListener
	exe  string

	boot   *Boot
	digest string
	socks  []Socket

	// mu guards the fields up to rev.
	live Live
	// applied is what is live, by checksum of the value; apply goroutine and
	// inventory calls share it.
	mu      sync.Mutex
	applied map[Key]uint64
	served  bool
	rev     int64
	session atomic.Pointer[wire]  // the control process that is connected
	failure atomic.Pointer[error] // why the process has to end

	acceptOnce sync.Once

	drainOnce sync.Once
	draining  atomic.Bool
	doneOnce  sync.Once
	done      chan struct{} // closed when the process is to end
}

// signals drains on SIGTERM or SIGQUIT sent to this process alone, and ends it
// on the second one.
func (d *dataProcess) signals(stop <-chan os.Signal) {
	for n := 0; ; n++ {
		select {
		case <-d.done:
			return
		case sig := <-stop:
			if n > 0 {
				d.log.Warn("second signal, ending at once", "signal", sig.String())
				d.quit()
				return
			}
			d.log.Info("draining", "signal", sig.String())
			if w := d.session.Load(); w != nil {
				// Control starts another process before this one is gone.
				_ = w.send(msgDraining, 0, 0, nil)
			}
			go d.drain(d.shutdownTimeout())
		}
	}
}

func (d *dataProcess) shutdownTimeout() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live.ShutdownTimeout
}

func (d *dataProcess) setLive(v Live) {
	d.mu.Lock()
	d.live = v
	d.mu.Unlock()
	if d.opts.OnLive != nil {
		d.opts.OnLive(v)
	}
}

func (d *dataProcess) drain(timeout time.Duration) {
	d.drainOnce.Do(func() {
		d.draining.Store(true)
		if d.running() {
			d.dp.Drain(timeout)
		}
		d.quit()
	})
}

func (d *dataProcess) running() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boot != nil
}

func (d *dataProcess) quit() {
	d.doneOnce.Do(func() {
		close(d.done)
		d.ln.Close()
		if w := d.session.Load(); w != nil {
			w.conn.Close()
		}
	})
}

// serve takes one control process after the other.
func (d *dataProcess) serve() error {
	defer d.quit()
	for {
		if !d.running() {
			_ = d.ln.SetDeadline(time.Now().Add(idleBootTimeout))
		} else {
			_ = d.ln.SetDeadline(time.Time{})
		}
		conn, err := d.ln.AcceptUnix()
		if err != nil {
			select {
			case <-d.done:
				return d.end()
			default:
			}
			if !d.running() {
				return fmt.Errorf("data process: no control process came: %w", err)
			}
			return fmt.Errorf("data process: control socket: %w", err)
		}
		if err := checkPeer(conn); err != nil {
			d.log.Error("control connection refused", "error", err)
			conn.Close()
			continue
		}
		w := newWire(conn)
		d.session.Store(w)
		err = io.EOF
		select {
		case <-d.done: // quit may have looked before the session was there
		default:
			err = d.talk(w)
		}
		d.session.Store(nil)
		w.close()
		select {
		case <-d.done:
			return d.end()
		default:
		}
		if !d.running() {
			return fmt.Errorf("data process: start: %w", err)
		}
		if errors.Is(err, io.EOF) {
			d.log.Warn("control process is gone; serving on with the configuration at hand")
		} else {
			d.log.Error("control connection lost; serving on", "error", err)
		}
	}
}

// end closes the data plane, if it was started.
func (d *dataProcess) end() error {
	if d.running() {
		d.dp.Close()
		_ = os.Remove(filepath.Join(d.boot.Dir, dataSock(d.boot.Epoch)))
	}
	if err := d.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *dataProcess) startPlane(b *Boot, socks []Socket) error {
	if err := RaiseOpenFiles(b.Spec.OpenFiles, d.log); err != nil {
		d.log.Warn("limit on open files", "error", err)
	}
	setMaxProcs(len(b.Spec.Loops))
	d.setLive(b.Live)
	if d.opts.OnBoot != nil {
		if err := d.opts.OnBoot(b); err != nil {
			return err
		}
	}
	socks, b.Memory = splitMemory(socks)
	if err := d.dp.Start(b, socks); err != nil {
		return err
	}
	go func() {
		select {
		case <-d.done:
		case <-time.After(b.Hold):
			d.accept("no configuration has come")
		}
	}()
	return nil
}

// accept opens the doors, once. A process that takes no connections is of no
// use.
func (d *dataProcess) accept(early string) {
	d.acceptOnce.Do(func() {
		if early != "" {
			d.log.Warn("accepting connections", "why", early)
		}
		if err := d.dp.Accept(); err != nil {
			d.failure.Store(&err)
			d.quit()
		}
	})
}

// giveUpSockets closes our listening sockets: the control process has them.
func (d *dataProcess) giveUpSockets() {
	// The doors that are not open yet stay shut: the descriptors' numbers may
	// come to mean something else.
	d.acceptOnce.Do(func() {})
	d.mu.Lock()
	socks := d.socks
	d.socks = nil
	d.mu.Unlock()
	for _, s := range socks {
		closeFD(s.FD)
	}
}

// spareProcs are the Ps beside the loops': garbage collection and background
// work never take a loop's turn.
const spareProcs = 2

// setMaxProcs gives every loop a P of its own and leaves spare ones. GOMAXPROCS
// in the environment wins.
func setMaxProcs(loops int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(loops + max(spareProcs, loops/4))
	}
}
