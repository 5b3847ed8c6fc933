package proc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestServesConfigurationAndChanges(t *testing.T) {
	w := startWorld(t, 2, fakeSettings{Name: "a"})
	if ok, why := w.Ready(); ok || why == "" {
		t.Fatalf("ready before there is a configuration (%q)", why)
	}
	w.table.Load(full(10, route("r", 9, "one")))
	w.ready()
	w.serves("one")
	w.table.Load(change(11, route("r", 11, "two")))
	w.serves("two")
	eventually(t, "revision 11 acknowledged", func() bool { rev, ok := w.Served(); return ok && rev == 11 })
	soon, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for rev := int64(100); rev < 120; rev++ {
		w.table.Load(change(rev, route("r", rev, fmt.Sprint(rev))))
		if !w.WaitServed(soon, rev) {
			t.Fatalf("revision %d is not served", rev)
		}
		if _, _, v := w.ask(); v != fmt.Sprint(rev) {
			t.Fatalf("revision %d counts as served while %s is", rev, v)
		}
	}
	gone, stop := context.WithCancel(soon)
	stop()
	if w.WaitServed(gone, 1<<40) {
		t.Error("a revision of the future is served")
	}
	w.table.Load(change(121, route("r", 11, "two")))
	w.serves("two")
	// A re-read that brings nothing new sends nothing.
	w.table.Load(full(122, route("r", 11, "two")))
	eventually(t, "revision 122 acknowledged", func() bool { rev, _ := w.Served(); return rev == 122 })
	st := w.dataStatus()
	if last := st.Batches[len(st.Batches)-1]; last != "diff:0" {
		t.Errorf("batches %v: the re-read was not reduced to nothing", st.Batches)
	}
	w.table.Load(full(123))
	w.serves("")
}

func TestKilledDataProcessIsBackWithinASecond(t *testing.T) {
	w := startWorld(t, 2, fakeSettings{Name: "a"})
	w.table.Load(full(10, route("r", 9, "one")))
	w.ready()
	pid, _, _ := w.ask()
	began := time.Now()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Every connection is taken, and answered with the configuration.
	var group sync.WaitGroup
	errs := make(chan error, 40)
	for range 20 {
		group.Go(func() {
			_, _, v, err := askAddr(w.addr)
			if err == nil && v != "one" {
				err = fmt.Errorf("answered %q without the configuration", v)
			}
			// A connection that the dying process had accepted is reset.
			if err != nil && !errors.Is(err, unix.ECONNRESET) {
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	next, _, value := w.ask()
	if d := time.Since(began); d > time.Second {
		t.Errorf("back after %v", d)
	}
	if next == pid || value != "one" {
		t.Errorf("pid %d after %d serves %q", next, pid, value)
	}
	if st := w.Status(); st.Restarts != 1 || !strings.Contains(st.LastExit, "killed") {
		t.Errorf("status %+v", st)
	}
}

func TestConnectionsWaitForTheFirstConfiguration(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{})
	answered := make(chan string, 1)
	go func() {
		_, _, v, err := askAddr(w.addr)
		answered <- fmt.Sprint(v, err)
	}()
	eventually(t, "the process is there", func() bool { return len(w.Status().Processes) == 1 && w.Status().Processes[0].Connected })
	w.table.Load(full(1, route("r", 1, "one")))
	if got := <-answered; got != "one<nil>" {
		t.Errorf("answered %q", got)
	}
}

func TestConnectionsAreTakenWithoutAConfigurationInTheEnd(t *testing.T) {
	dir, err := LockRunDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	opts := testOptions(NewTable())
	opts.Hold = time.Millisecond
	s := NewSupervisor(dir, opts)
	addr := freeAddr(t)
	if err := s.Start(testSpec(addr, 1, fakeSettings{Name: "a"}), testLive); err != nil {
		t.Fatal(err)
	}
	if _, name, v, err := askAddr(addr); err != nil || name != "a" || v != "" {
		t.Errorf("%q %q %v", name, v, err)
	}
	s.Drain(time.Second)
	dir.Unlock()
}

func TestConnectionsWaitWhileNoDataProcessRuns(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{Name: "a", DieOnBoot: true})
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatalf("refused while the data process cannot start: %v", err)
	}
	c.Close()
	eventually(t, "several attempts", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.quick >= 3
	})
	if ok, _ := w.Ready(); ok {
		t.Error("ready without a data process")
	}
	if _, err := w.Call(context.Background(), CallStatus, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("call answered %v", err)
	}
	// Settings that work end the misery without waiting for the pause.
	w.table.Load(full(1, route("r", 1, "x")))
	if err := w.Replace(testSpec(w.addr, 1, fakeSettings{Name: "b"})); err != nil {
		t.Fatal(err)
	}
	if _, name, _ := w.ask(); name != "b" {
		t.Errorf("%q serves", name)
	}
}

func TestBackoff(t *testing.T) {
	f := func(n int, want time.Duration) {
		t.Helper()
		if got := backoff(n); got != want {
			t.Errorf("backoff(%d) = %v, want %v", n, got, want)
		}
	}
	f(0, 0)
	f(1, 100*time.Millisecond)
	f(2, 200*time.Millisecond)
	f(3, 400*time.Millisecond)
	f(6, 3200*time.Millisecond)
	f(7, 5*time.Second)
	f(1000, 5*time.Second)
}

func TestRefusedObjectKeepsItsLastGoodVersion(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{Refuse: true})
	w.table.Load(full(1, route("r", 1, "good")))
	w.ready()
	w.table.Load(change(2, route("r", 2, "bad")))
	eventually(t, "the refusal is known", func() bool { return len(w.table.Refused()) == 1 })
	w.serves("good")
	// A restarted process, which never saw the good version, gets it too.
	pid, _, _ := w.ask()
	_ = unix.Kill(pid, unix.SIGKILL)
	eventually(t, "another process", func() bool { p, _, _, err := askAddr(w.addr); return err == nil && p != pid })
	w.serves("good")
	w.table.Load(change(3, route("r", 3, "better")))
	w.serves("better")
	if len(w.table.Refused()) != 0 {
		t.Error("still listed as refused")
	}
}

func TestReplaceRefusesNoConnection(t *testing.T) {
	w := startWorld(t, 2, fakeSettings{Name: "a"})
	w.table.Load(full(1, route("r", 1, "one")))
	w.ready()
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, v, err := askAddr(w.addr); err != nil || v != "one" {
					t.Errorf("during the replacement: %q, %v", v, err)
					return
				}
			}
		})
	}
	// More loops, then fewer: the extra sockets find another loop.
	for i, loops := range []int{3, 1, 2} {
		if err := w.Replace(testSpec(w.addr, loops, fakeSettings{Name: fmt.Sprint("r", i)})); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
	eventually(t, "the old processes are gone", func() bool { return len(w.Status().Processes) == 1 })
	if _, name, _ := w.ask(); name != "r2" {
		t.Errorf("%q serves", name)
	}
	if w.Status().Restarts != 0 {
		t.Error("a replacement counted as a death")
	}
}

func TestReplaceThatFailsKeepsTheOldProcess(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{Name: "a"})
	w.table.Load(full(1, route("r", 1, "one")))
	w.ready()
	pid, _, _ := w.ask()
	f := func(name string, spec Spec, want string) {
		t.Helper()
		err := w.Replace(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if p, _, v := w.ask(); p != pid || v != "one" {
			t.Errorf("%s: pid %d serves %q", name, p, v)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f("start fails", testSpec(w.addr, 1, fakeSettings{FailStart: "no such engine"}), "no such engine")
	f("process dies", testSpec(w.addr, 1, fakeSettings{DieOnBoot: true}), "exit status 3")
	f("port in use", testSpec(taken.Addr().String(), 1, fakeSettings{}), taken.Addr().String())
	f("port in use names the owner", testSpec(taken.Addr().String(), 1, fakeSettings{}), fmt.Sprintf("(pid %d)", os.Getpid()))
	f("bad address", testSpec("nowhere", 1, fakeSettings{}), "nowhere")
	// The failed attempts left nothing behind, and dying now restarts the old
	// settings.
	_ = unix.Kill(pid, unix.SIGKILL)
	eventually(t, "restart", func() bool { p, n, _, err := askAddr(w.addr); return err == nil && p != pid && n == "a" })
}

func TestReplaceWithEqualSpecDoesNothing(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{Name: "a"})
	w.table.Load(full(1))
	w.ready()
	pid, _, _ := w.ask()
	if err := w.Replace(testSpec(w.addr, 1, fakeSettings{Name: "a"})); err != nil {
		t.Fatal(err)
	}
	if p, _, _ := w.ask(); p != pid {
		t.Error("replaced without need")
	}
}

func TestReplaceMovesToAnotherAddress(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{})
	w.table.Load(full(1))
	w.ready()
	old := w.addr
	w.addr = freeAddr(t)
	if err := w.Replace(testSpec(w.addr, 1, fakeSettings{})); err != nil {
		t.Fatal(err)
	}
	w.ask()
	eventually(t, "the old address is free", func() bool {
		c, err := net.Dial("tcp", old)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
}

func TestDataProcessThatDrainsByItselfIsReplaced(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{HoldDrain: true})
	w.table.Load(full(1, route("r", 1, "one")))
	w.ready()
	pid, _, _ := w.ask()
	_ = unix.Kill(pid, unix.SIGTERM)
	eventually(t, "another process serves beside it", func() bool { p, _, v, err := askAddr(w.addr); return err == nil && p != pid && v == "one" })
	eventually(t, "the old one is gone", func() bool { return len(w.Status().Processes) == 1 })
}

func TestDrainWaitsForRequestsInFlight(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{HoldDrain: true})
	w.table.Load(full(1))
	w.ready()
	began := time.Now()
	w.Drain(300 * time.Millisecond)
	if d := time.Since(began); d < 300*time.Millisecond || d > 2*time.Second {
		t.Errorf("drained in %v", d)
	}
	if _, err := net.Dial("tcp", w.addr); err == nil {
		t.Error("still listening after the drain")
	}
	if err := w.Replace(testSpec(w.addr, 1, fakeSettings{})); err == nil {
		t.Error("replaced after the drain")
	}
}

func TestDrainingGatewayRefusesConnections(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{HoldDrain: true})
	w.table.Load(full(1))
	w.ready()
	done := make(chan struct{})
	go func() {
		w.Drain(5 * time.Second)
		close(done)
	}()
	eventually(t, "connections are refused while a request is in flight", func() bool {
		c, err := net.Dial("tcp", w.addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
	select {
	case <-done:
		t.Error("the drain is over already")
	default:
	}
	w.Kill()
	<-done
}

func TestKillCutsADrainShort(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{HoldDrain: true})
	w.table.Load(full(1))
	w.ready()
	done := make(chan struct{})
	began := time.Now()
	go func() {
		w.Drain(time.Minute)
		close(done)
	}()
	eventually(t, "draining", func() bool { return w.isStopping() })
	w.Kill()
	<-done
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestStopDoesNotWaitForASlowStart(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{HangBoot: true})
	eventually(t, "the process is there", func() bool { return len(w.Status().Processes) == 1 })
	began := time.Now()
	w.Drain(time.Second)
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestCalls(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{})
	w.table.Load(full(1))
	w.ready()
	ctx := context.Background()
	big := strings.Repeat("x", 3<<20)
	if raw, err := w.Call(ctx, "echo", []byte(big)); err != nil || string(raw) != big {
		t.Errorf("echo of %d bytes: %d bytes, %v", len(big), len(raw), err)
	}
	if _, err := w.Call(ctx, "nonsense", nil); !errors.Is(err, ErrNoQuery) {
		t.Errorf("unknown call: %v", err)
	}
	if _, err := w.Call(ctx, "panic", nil); err == nil || !strings.Contains(err.Error(), "asked for") {
		t.Errorf("panicking call: %v", err)
	}
	if raw, err := w.Call(ctx, CallMetrics, nil); err != nil || !strings.Contains(string(raw), "fake_rev") {
		t.Errorf("metrics: %q, %v", raw, err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := w.Call(short, "block", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call without answer: %v", err)
	}
	// Calls that hang are bounded and do not hold up the configuration.
	var group sync.WaitGroup
	hang, stop := context.WithCancel(ctx)
	for range maxDataCalls {
		group.Go(func() { _, _ = w.Call(hang, "block", nil) })
	}
	eventually(t, "the bound is reached", func() bool {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_, err := w.Call(ctx, "block", nil)
		return err != nil && err.Error() == errBusy.Error()
	})
	w.table.Load(change(2, route("r", 2, "live")))
	w.serves("live")
	stop()
	group.Wait()
}
