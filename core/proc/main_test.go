package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
)

// The test binary plays the data process ("data-process") and, for the tests
// that kill it, the control process ("control").
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "data-process":
			os.Exit(fakeData())
		case "control":
			os.Exit(fakeControl())
		}
	}
	goleak.VerifyTestMain(m)
}

// fakePlane answers every connection with one line: its pid, what it was
// configured with, and closes. Its settings make it misbehave.
type fakePlane struct {
	settings fakeSettings
	boot     *Boot
	socks    []Socket
	listens  []net.Listener
	mu       sync.Mutex
	objects  map[Key]string
	rev      int64
	batches  []string
	open     atomic.Int64
	draining atomic.Bool
	held     chan struct{}
	lives    int64
}

type fakeSettings struct {
	Name      string `json:"name"`
	FailStart string `json:"fail_start"`
	DieOnBoot bool   `json:"die_on_boot"`
	HangBoot  bool   `json:"hang_boot"`
	// Refuse names an id that Apply refuses when its value contains "bad".
	Refuse bool `json:"refuse"`
	// HoldDrain keeps Drain until Close or its timeout.
	HoldDrain bool `json:"hold_drain"`
	// NewMemory has the memory made anew.
	NewMemory bool `json:"new_memory"`
}

func (p *fakePlane) Start(b *Boot, socks []Socket) error {
	p.boot, p.socks = b, socks
	p.objects = make(map[Key]string)
	p.held = make(chan struct{})
	if b.Memory != noMemory {
		var n [8]byte
		if _, err := unix.Pread(b.Memory, n[:], 0); err != nil {
			return err
		}
		n[0]++
		if _, err := unix.Pwrite(b.Memory, n[:], 0); err != nil {
			return err
		}
		p.lives = int64(n[0])
	}
	if err := json.Unmarshal(b.Spec.Settings, &p.settings); err != nil {
		return err
	}
	if p.settings.DieOnBoot {
		os.Exit(3)
	}
	if p.settings.HangBoot {
		select {}
	}
	if p.settings.FailStart != "" {
		return fmt.Errorf("%s", p.settings.FailStart)
	}
	return nil
}

func (p *fakePlane) Accept() error {
	for _, s := range p.socks {
		f := os.NewFile(uintptr(s.FD), "listener")
		ln, err := net.FileListener(f) // duplicates
		if err != nil {
			return err
		}
		// f is not closed: the descriptor is the caller's.
		keep = append(keep, f)
		p.listens = append(p.listens, ln)
		go p.acceptAll(ln)
	}
	return nil
}

var keep []*os.File

func (p *fakePlane) acceptAll(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		p.open.Add(1)
		p.mu.Lock()
		fmt.Fprintf(c, "%d %s %s\n", os.Getpid(), p.settings.Name, p.objects[Key{conf.KindRoute, "r"}])
		p.mu.Unlock()
		c.Close()
		p.open.Add(-1)
	}
}

func (p *fakePlane) Apply(b *conf.Batch) []Refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	var refused []Refusal
	old := p.objects
	if b.Full {
		p.objects = make(map[Key]string)
	}
	for i := range b.Objects {
		o := &b.Objects[i]
		k := Key{o.Kind, o.ID}
		switch {
		case o.Deleted():
			delete(p.objects, k)
		case p.settings.Refuse && bytes.Contains(o.Value, []byte("bad")):
			refused = append(refused, Refusal{Kind: o.Kind, ID: o.ID, Rev: o.Rev, Reason: "it is bad"})
			if v, had := old[k]; had {
				p.objects[k] = v
			}
		default:
			p.objects[k] = string(o.Value)
		}
	}
	p.rev = b.Rev
	kind := "diff"
	if b.Full {
		kind = "full"
	}
	p.batches = append(p.batches, fmt.Sprintf("%s:%d", kind, len(b.Objects)))
	return refused
}

func (p *fakePlane) Drain(timeout time.Duration) {
	p.draining.Store(true)
	for _, ln := range p.listens {
		ln.Close()
	}
	if p.settings.HoldDrain {
		select {
		case <-p.held:
		case <-time.After(timeout):
		}
	}
}

func (p *fakePlane) Close() {}

type fakeStatus struct {
	PID     int               `json:"pid"`
	Epoch   uint64            `json:"epoch"`
	Rev     int64             `json:"rev"`
	Objects map[string]string `json:"objects"`
	Batches []string          `json:"batches"`
	// Lives counts the data processes that the shared memory has seen.
	Lives int64 `json:"lives"`
}

func (p *fakePlane) Status() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := fakeStatus{PID: os.Getpid(), Epoch: p.boot.Epoch, Rev: p.rev, Objects: map[string]string{}, Batches: p.batches, Lives: p.lives}
	for k, v := range p.objects {
		st.Objects[k.Kind.String()+"/"+k.ID] = v
	}
	return st
}

func (p *fakePlane) Metrics(w io.Writer) { fmt.Fprintf(w, "fake_rev %d\n", p.rev) }
func (p *fakePlane) Health() any         { return []string{} }

func (p *fakePlane) Query(name string, arg []byte) ([]byte, error) {
	switch name {
	case "echo":
		return arg, nil
	case "panic":
		panic("asked for")
	case "block": // until the process ends
		select {}
	}
	return nil, ErrNoQuery
}

func testLog() *slog.Logger {
	level := slog.LevelError + 4
	if os.Getenv("GW_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func fakeData() int {
	if err := RunData(&fakePlane{}, DataOptions{Version: "test", Log: testLog()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fakeControl runs a control process: argv is the run directory, the spec as
// JSON and the value of route r. It says "up" when ready, and drains on
// SIGTERM.
func fakeControl() int {
	fail := func(err error) int {
		fmt.Println("error: " + err.Error())
		return 1
	}
	var spec Spec
	if err := json.Unmarshal([]byte(os.Args[3]), &spec); err != nil {
		return fail(err)
	}
	dir, err := LockRunDir(os.Args[2])
	if err != nil {
		return fail(err)
	}
	table := NewTable()
	s := NewSupervisor(dir, testOptions(table))
	if err := s.Start(spec, testLive); err != nil {
		return fail(err)
	}
	table.Load(conf.Batch{Full: true, Rev: 5, Objects: []conf.Object{route("r", 5, os.Args[4])}})
	for {
		if ok, _ := s.Ready(); ok {
			break
		}
		pause()
	}
	fmt.Println("up")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	<-stop
	s.Drain(time.Second)
	dir.Unlock()
	return 0
}

func testOptions(table *Table) Options {
	return Options{Command: []string{"/proc/self/exe", "gw-test", "data-process"}, Version: "test", Log: testLog(), Table: table, ReadyTimeout: 5 * time.Second, Memory: testMemory}
}

// testMemory makes memory that fits every spec whose settings do not ask for
// another.
func testMemory(spec *Spec, have int) (int, error) {
	var set fakeSettings
	if err := json.Unmarshal(spec.Settings, &set); err != nil {
		return 0, err
	}
	if have != noMemory && !set.NewMemory {
		return have, nil
	}
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(fd, 8)
	}
	return fd, err
}

// pause lies between two looks at something that sends no event.
func pause() { <-time.After(2 * time.Millisecond) }

func route(id string, rev int64, value string) conf.Object {
	return conf.Object{Kind: conf.KindRoute, ID: id, CreateRev: 1, Rev: rev, Value: []byte(value)}
}

func full(rev int64, objects ...conf.Object) conf.Batch {
	return conf.Batch{Full: true, Rev: rev, Objects: objects}
}

func change(rev int64, objects ...conf.Object) conf.Batch {
	return conf.Batch{Rev: rev, Objects: objects}
}

// eventually waits for cond.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); pause() {
		if time.Now().After(end) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

var testLive = Live{ShutdownTimeout: time.Second}

func testSpec(addr string, loops int, set fakeSettings) Spec {
	raw, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return Spec{Settings: raw, Loops: make([]LoopPlan, loops), Listen: []Listen{{Addr: addr, Backlog: 128}}}
}

// world is a supervisor with its surroundings.
type world struct {
	*Supervisor
	t    *testing.T
	dir  *RunDir
	addr string
}

func startWorld(t *testing.T, loops int, set fakeSettings) *world {
	t.Helper()
	dir, err := LockRunDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, addr: freeAddr(t)}
	w.Supervisor = NewSupervisor(dir, testOptions(NewTable()))
	if err := w.Start(testSpec(w.addr, loops, set), testLive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Kill()
		w.Drain(0)
		dir.Unlock()
	})
	return w
}

func (w *world) ready() {
	w.t.Helper()
	eventually(w.t, "ready", func() bool { ok, _ := w.Ready(); return ok })
}

// ask connects once and returns what the data process says.
func (w *world) ask() (pid int, name, value string) {
	w.t.Helper()
	pid, name, value, err := askAddr(w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return pid, name, value
}

func askAddr(addr string) (pid int, name, value string, err error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, "", "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	raw, err := io.ReadAll(c)
	if err != nil {
		return 0, "", "", err
	}
	line := strings.TrimSuffix(string(raw), "\n")
	f := strings.SplitN(line, " ", 3)
	if len(f) != 3 {
		return 0, "", "", fmt.Errorf("answer %q", line)
	}
	_, err = fmt.Sscan(f[0], &pid)
	return pid, f[1], f[2], err
}

func (w *world) dataStatus() fakeStatus {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	raw, err := w.Call(ctx, CallStatus, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	var st fakeStatus
	if err := json.Unmarshal(raw, &st); err != nil {
		w.t.Fatal(err)
	}
	return st
}

func (w *world) serves(value string) {
	w.t.Helper()
	eventually(w.t, "route r = "+value, func() bool {
		_, _, v, err := askAddr(w.addr)
		return err == nil && v == value
	})
}
