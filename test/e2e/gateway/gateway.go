// Package gateway starts the real gateway binary for tests that look at it
// from outside only.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// ReadyTimeout bounds how long Start waits for /status/ready.
const ReadyTimeout = 30 * time.Second

// Gateway is a running gateway: a control process and its data process.
type Gateway struct {
	// Dir is the working directory; data, run files and conf/ lie below it.
	Dir string
	// Config is the path of config.yaml.
	Config string
	// Proxy, AdminAddr, ControlAddr, MetricsAddr, StatusAddr and EtcdAddr are
	// host:port. EtcdAddr is the embedded etcd's client port.
	Proxy, AdminAddr, ControlAddr, MetricsAddr, StatusAddr, EtcdAddr string

	t      testing.TB
	bin    string
	mark   string
	env    []string
	layout layout
	opts   Options
	log    *os.File
	cmd    *exec.Cmd
	done   chan struct{} // closed when cmd has ended
	err    error         // cmd's end, valid after done
}

var marks atomic.Int64

// Start runs the gateway in a directory of its own and waits until it is
// ready. When the test ends the gateway is stopped; a process that is left
// over fails the test, and a failed test prints the end of the gateway's log.
func Start(t testing.TB, o Options) *Gateway {
	t.Helper()
	g := Prepare(t, o)
	g.Run()
	if !o.NoWait {
		g.WaitReady(ReadyTimeout)
	}
	return g
}

// Prepare writes the configuration of a gateway and starts nothing.
func Prepare(t testing.TB, o Options) *Gateway {
	t.Helper()
	dir := t.TempDir()
	l := newLayout(t, dir)
	l.write(t, o)
	if o.Bin == "" {
		o.Bin = Binary(t)
	}
	reapWhenWeDie(t)
	mark := fmt.Sprintf("%s-%d", markPrefix, marks.Add(1))
	g := &Gateway{
		Dir: dir, Config: l.config, t: t, bin: o.Bin, mark: mark, layout: l, opts: o,
		Proxy:       addr(l.proxy),
		AdminAddr:   addr(l.admin),
		ControlAddr: addr(l.control),
		MetricsAddr: addr(l.metrics),
		StatusAddr:  addr(l.status),
		EtcdAddr:    addr(l.etcdPort),
		env:         append(append(os.Environ(), markVar+"="+mark), o.Env...),
	}
	var err error
	if g.log, err = os.Create(filepath.Join(dir, "gw.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.cleanup)
	return g
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Run starts the control process, which must not be running. A data process
// that an earlier one left behind is its to adopt.
func (g *Gateway) Run() {
	g.t.Helper()
	cmd := g.Command("run", "-c", g.Config)
	cmd.Stdout, cmd.Stderr = g.log, g.log
	// A group of its own keeps a terminal's interrupt away from the gateway:
	// the test decides when it stops.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		g.t.Fatalf("starting the gateway: %v", err)
	}
	done := make(chan struct{})
	g.cmd, g.done = cmd, done
	go func() {
		g.err = cmd.Wait()
		close(done)
	}()
}

// Command returns a gw sub-command in the gateway's directory, not started.
func (g *Gateway) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.bin, args...)
	cmd.Dir, cmd.Env = g.Dir, g.env
	return cmd
}

// WaitReady polls /status/ready until it answers 200.
func (g *Gateway) WaitReady(limit time.Duration) {
	g.t.Helper()
	last := errors.New("never asked")
	ok := Poll(limit, func() bool {
		select {
		case <-g.done:
			g.t.Fatalf("the gateway ended before it was ready: %v", g.err)
		default:
		}
		var code int
		code, last = g.ReadyStatus()
		if last == nil && code != http.StatusOK {
			last = fmt.Errorf("status %d", code)
		}
		return last == nil
	})
	if !ok {
		g.t.Fatalf("the gateway was not ready within %v: %v", limit, last)
	}
}

// ReadyStatus asks /status/ready once.
func (g *Gateway) ReadyStatus() (int, error) {
	resp, err := client.Get("http://" + g.StatusAddr + "/status/ready")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

// PID is the control process's id.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// DataPIDs lists the data processes that are alive.
func (g *Gateway) DataPIDs() []int {
	var pids []int
	for _, p := range marked(g.mark) {
		if p.IsData() {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// DataPID returns the only data process.
func (g *Gateway) DataPID() int {
	g.t.Helper()
	var pids []int
	if !Poll(5*time.Second, func() bool { pids = g.DataPIDs(); return len(pids) == 1 }) {
		g.t.Fatalf("want one data process, have %v", pids)
	}
	return pids[0]
}

// Processes lists every living process of the gateway.
func (g *Gateway) Processes() []Process { return marked(g.mark) }

// Signal sends a signal to the control process.
func (g *Gateway) Signal(sig syscall.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(sig); err != nil {
		g.t.Fatalf("signal %v to the control process: %v", sig, err)
	}
}

// Kill9 kills the control process with SIGKILL and waits until it is gone.
func (g *Gateway) Kill9() {
	g.t.Helper()
	g.Signal(syscall.SIGKILL)
	<-g.done
}

// Wait waits for the control process to end and returns its exit code.
func (g *Gateway) Wait(limit time.Duration) int {
	g.t.Helper()
	select {
	case <-g.done:
	case <-time.After(limit):
		g.t.Fatalf("the control process was still running after %v", limit)
	}
	return g.cmd.ProcessState.ExitCode()
}

// HasEnded tells whether the control process started last has ended.
func (g *Gateway) HasEnded() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// Stop asks the gateway to drain and waits until all of it has ended.
func (g *Gateway) Stop(limit time.Duration) {
	g.t.Helper()
	g.Signal(syscall.SIGTERM)
	g.Wait(limit)
	if !Poll(5*time.Second, func() bool { return len(g.Processes()) == 0 }) {
		g.t.Errorf("processes left after the control process ended: %v", g.Processes())
	}
}

// Log returns everything the gateway has logged.
func (g *Gateway) Log() string {
	b, err := os.ReadFile(g.log.Name())
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

// WaitLog waits until the log contains text.
func (g *Gateway) WaitLog(text string, limit time.Duration) {
	g.t.Helper()
	if !Poll(limit, func() bool { return strings.Contains(g.Log(), text) }) {
		g.t.Fatalf("the log does not say %q after %v", text, limit)
	}
}

// WriteYAML replaces apisix.yaml.
func (g *Gateway) WriteYAML(text string) {
	g.t.Helper()
	g.layout.writeYAML(g.t, text)
}

// WriteConfig replaces config.yaml by what o makes, keeping the ports.
func (g *Gateway) WriteConfig(o Options) {
	g.t.Helper()
	g.opts = o
	g.layout.write(g.t, o)
}

func (g *Gateway) cleanup() {
	if g.cmd != nil {
		select {
		case <-g.done:
		default:
			g.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-g.done:
			case <-time.After(20 * time.Second):
				g.t.Errorf("the control process did not end within 20 s of SIGTERM")
				g.cmd.Process.Kill()
				<-g.done
			}
		}
	}
	if !Poll(5*time.Second, func() bool { return len(g.Processes()) == 0 }) {
		for _, p := range g.Processes() {
			g.t.Errorf("process %d is left over: %s", p.PID, strings.Join(p.Args, " "))
			syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	if crash := crashLine.FindString(g.Log()); crash != "" {
		g.t.Errorf("a process of the gateway crashed: %s", crash)
	}
	if g.t.Failed() {
		g.t.Logf("end of the gateway's log:\n%s", tail(g.Log(), 80))
	}
	g.log.Close()
}

// crashLine is how the Go runtime begins its last words.
var crashLine = regexp.MustCompile(`(?m)^(panic: |fatal error: |unexpected fault address|SIGSEGV|WARNING: DATA RACE|runtime: ).*`)

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Poll asks f every few milliseconds until it says true or limit has passed,
// and returns what it said last.
func Poll(limit time.Duration, f func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if f() {
			return true
		}
		select {
		case <-ctx.Done():
			return f()
		case <-tick.C:
		}
	}
}

// Listens tells whether somebody accepts connections on address.
func Listens(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
