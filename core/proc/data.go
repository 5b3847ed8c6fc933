package proc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
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
	// accepting is set by start, then owned by the apply goroutine.
	accepting bool

	session atomic.Pointer[wire]  // the control process that is connected
	failure atomic.Pointer[error] // why the process has to end

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

// checkPeer lets only this user and root give orders.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("process %d of user %d may not control this gateway", cred.Pid, cred.Uid)
	}
	return nil
}

// talk is one control process's session.
func (d *dataProcess) talk(w *wire) error {
	if err := d.greet(w); err != nil {
		return err
	}
	batches := make(chan message, 1)
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		d.applyAll(w, batches)
	}()
	defer func() {
		close(batches)
		// The next control process must not find a batch half applied; a
		// process that ends need not wait. Calls still being answered are
		// left to fail.
		select {
		case <-applied:
		case <-d.done:
		}
	}()
	calls := make(chan struct{}, maxDataCalls)
	for {
		m, err := w.recv()
		if err != nil {
			return err
		}
		switch m.typ {
		case msgBoot:
			if err := d.start(w, m.payload); err != nil {
				return err
			}
		case msgGive:
			if err := w.sendSockets(d.socks); err != nil {
				return err
			}
		case msgBatch:
			select {
			case batches <- m:
			default:
				return errors.New("control process sent a batch before the last was acknowledged")
			}
		case msgCall:
			select {
			case calls <- struct{}{}:
				go func() {
					defer func() { <-calls }()
					d.answer(w, m)
				}()
			default:
				if err := w.send(msgReply, flagError, m.id, []byte(errBusy.Error())); err != nil {
					return err
				}
			}
		case msgDrain:
			var order drainMsg
			if err := json.Unmarshal(m.payload, &order); err != nil {
				return fmt.Errorf("drain order: %w", err)
			}
			go d.drain(time.Duration(order.TimeoutMS) * time.Millisecond)
		case msgLive:
			var v Live
			if err := json.Unmarshal(m.payload, &v); err != nil {
				return fmt.Errorf("live settings: %w", err)
			}
			d.setLive(v)
		case msgQuit:
			d.quit()
			return nil
		default:
			return fmt.Errorf("message of type %d is not for a data process", m.typ)
		}
	}
}

func (d *dataProcess) greet(w *wire) error {
	_ = w.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	var h hello
	if err := w.expect(msgHello, &h); err != nil {
		return err
	}
	_ = w.conn.SetReadDeadline(time.Time{})
	me := welcome{Proto: protoVersion, PID: os.Getpid(), Version: d.opts.Version, Exe: d.exe, Draining: d.draining.Load()}
	d.mu.Lock()
	if d.boot != nil {
		me.Booted, me.Epoch, me.Digest = true, d.boot.Epoch, d.digest
	}
	me.Served, me.Rev = d.served, d.rev
	d.mu.Unlock()
	if me.Booted {
		d.log.Info("control process connected", "pid", h.PID, "version", h.Version)
	}
	return w.sendJSON(msgWelcome, 0, me)
}

// start boots the data plane; the answer goes out in either case.
func (d *dataProcess) start(w *wire, payload []byte) error {
	if d.running() {
		return errors.New("control process sent a second boot message")
	}
	var b Boot
	if err := json.Unmarshal(payload, &b); err != nil {
		return fmt.Errorf("boot message: %w", err)
	}
	socks, err := w.recvSockets()
	if err != nil {
		return err
	}
	err = d.startPlane(&b, socks)
	answer := bootedMsg{}
	if err != nil {
		answer.Error = err.Error()
	}
	if sendErr := w.sendJSON(msgBooted, 0, answer); sendErr != nil && err == nil {
		// Nobody waits for us any more: a successor has started another.
		d.dp.Close()
		return sendErr
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.boot, d.digest, d.socks = &b, b.Spec.Digest(), socks
	d.mu.Unlock()
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
	if err := d.dp.Start(b, socks); err != nil {
		return err
	}
	if b.Hold {
		return nil
	}
	return d.accept()
}

// accept opens the doors, once.
func (d *dataProcess) accept() error {
	if d.accepting {
		return nil
	}
	d.accepting = true
	return d.dp.Accept()
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

func (d *dataProcess) applyAll(w *wire, batches <-chan message) {
	for m := range batches {
		refused, rev, err := d.apply(m.payload)
		if err == nil {
			err = w.sendJSON(msgAck, m.id, ackMsg{Rev: rev, Refused: refused})
		}
		if err != nil {
			d.log.Error("batch from the control process", "error", err)
			w.conn.Close()
			return
		}
	}
}

func (d *dataProcess) apply(raw []byte) ([]Refusal, int64, error) {
	b, err := parseBatch(raw)
	if err != nil {
		return nil, 0, err
	}
	if !d.running() {
		return nil, 0, errors.New("batch before the boot message")
	}
	refused := d.dp.Apply(b)
	if err := d.accept(); err != nil {
		// A process that takes no connections is of no use.
		d.failure.Store(&err)
		d.quit()
		return nil, 0, err
	}
	not := make(map[Key]bool, len(refused))
	for _, r := range refused {
		not[Key{r.Kind, r.ID}] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(b, not)
	d.served, d.rev = true, b.Rev
	return refused, b.Rev, nil
}

// note keeps the list of what is live.
func (d *dataProcess) note(b *conf.Batch, refused map[Key]bool) {
	old := d.applied
	if b.Full {
		d.applied = make(map[Key]uint64, len(b.Objects))
	}
	for i := range b.Objects {
		o := &b.Objects[i]
		k := Key{o.Kind, o.ID}
		switch {
		case refused[k]:
			if sum, had := old[k]; had {
				d.applied[k] = sum
			}
		case o.Deleted():
			delete(d.applied, k)
		default:
			d.applied[k] = xxhash.Sum64(o.Value)
		}
	}
}

func (d *dataProcess) answer(w *wire, m message) {
	name, arg, ok := splitCall(m.payload)
	var flags uint8
	var result []byte
	err := errors.New("malformed call")
	if ok {
		result, err = d.query(name, arg)
	}
	if err != nil {
		flags, result = flagError, []byte(err.Error())
		if errors.Is(err, ErrNoQuery) {
			flags |= flagNoQuery
		}
	}
	// A lost connection is noticed by the reader.
	_ = w.send(msgReply, flags, m.id, result)
}

// query answers a call; a panic in the data plane's answer costs the answer
// only.
func (d *dataProcess) query(name string, arg []byte) (result []byte, err error) {
	if !d.running() {
		return nil, errors.New("the data process is not started yet")
	}
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("BUG: call panicked", "call", name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error in call %q: %v", name, p)
		}
	}()
	switch name {
	case CallStatus:
		return json.Marshal(d.dp.Status())
	case CallHealth:
		return json.Marshal(d.dp.Health())
	case CallMetrics:
		var buf bytes.Buffer
		d.dp.Metrics(&buf)
		return buf.Bytes(), nil
	case callInventory:
		return d.inventory(), nil
	}
	return d.dp.Query(name, arg)
}
