package proc

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// controlProcess runs fakeControl and returns when it is ready.
func controlProcess(t *testing.T, dir string, spec Spec, value string) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "control", dir, string(raw), value)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "up\n" {
		t.Fatalf("control process: %q, %v", line, err)
	}
	return cmd
}

// killControl leaves the data process alone in the world.
func killControl(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// successor is a new control process (this one) on the same run directory.
func successor(t *testing.T, dir string, spec Spec) *world {
	t.Helper()
	d, err := LockRunDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: d, addr: spec.Listen[0].Addr}
	w.Supervisor = NewSupervisor(d, testOptions(NewTable()))
	if err := w.Start(spec, testLive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Kill()
		w.Drain(0)
		d.Unlock()
	})
	return w
}

func TestDataProcessSurvivesControlAndIsAdopted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	spec := testSpec(freeAddr(t), 2, fakeSettings{Name: "a"})
	cmd := controlProcess(t, dir, spec, "one")
	w := &world{t: t, addr: spec.Listen[0].Addr}
	pid, _, _ := w.ask()
	killControl(t, cmd)
	for range 20 {
		if p, _, v := w.ask(); p != pid || v != "one" {
			t.Fatalf("after the death of control pid %d serves %q", p, v)
		}
	}
	if pids := Orphans(dir); len(pids) != 1 || pids[0] != pid {
		t.Errorf("orphans %v, want %d", pids, pid)
	}
	w = successor(t, dir, spec)
	w.ready() // it serves already: no need to wait for a configuration
	if p, _, v := w.ask(); p != pid || v != "one" {
		t.Errorf("adopted: pid %d serves %q", p, v)
	}
	if st := w.Status(); !st.Processes[0].Adopted {
		t.Errorf("status %+v", st)
	}
	// What is the same is not sent again; what went is removed.
	w.table.Load(full(9, route("r", 5, "one"), route("s", 9, "new")))
	eventually(t, "the difference arrives", func() bool { return len(w.dataStatus().Objects) == 2 })
	if b := w.dataStatus().Batches; b[len(b)-1] != "diff:1" {
		t.Errorf("batches %v", b)
	}
	w.table.Load(full(10, route("s", 9, "new")))
	eventually(t, "the removal arrives", func() bool { return len(w.dataStatus().Objects) == 1 })
	// An adopted process is watched and restarted like one's own.
	_ = unix.Kill(pid, unix.SIGKILL)
	eventually(t, "restart of the adopted process", func() bool { p, _, _, err := askAddr(w.addr); return err == nil && p != pid })
}

func TestSuccessorWithOtherSettingsReplacesGracefully(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	spec := testSpec(freeAddr(t), 2, fakeSettings{Name: "a"})
	cmd := controlProcess(t, dir, spec, "one")
	w := &world{t: t, addr: spec.Listen[0].Addr}
	pid, _, _ := w.ask()
	killControl(t, cmd)
	next := testSpec(spec.Listen[0].Addr, 1, fakeSettings{Name: "b"})
	w = successor(t, dir, next)
	// Without a configuration the old process is the better one.
	if p, n, v := w.ask(); p != pid || n != "a" || v != "one" {
		t.Errorf("before the configuration: pid %d %q serves %q", p, n, v)
	}
	w.table.Load(full(9, route("r", 9, "two")))
	eventually(t, "the new process serves", func() bool {
		_, n, v, err := askAddr(w.addr)
		if err != nil {
			t.Errorf("during the replacement: %v", err)
		}
		if v != "one" && v != "two" {
			t.Errorf("during the replacement: answered %q", v)
		}
		return n == "b" && v == "two"
	})
	eventually(t, "the old one is gone", func() bool { return len(w.Status().Processes) == 1 })
}

func TestProcessThatCannotBeTakenOverIsKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	spec := testSpec(freeAddr(t), 1, fakeSettings{Name: "a"})
	cmd := controlProcess(t, dir, spec, "one")
	w := &world{t: t, addr: spec.Listen[0].Addr}
	pid, _, _ := w.ask()
	killControl(t, cmd)
	matches, err := filepath.Glob(filepath.Join(dir, "data-*.sock"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("%v, %v", matches, err)
	}
	if err := os.Remove(matches[0]); err != nil {
		t.Fatal(err)
	}
	w = successor(t, dir, spec)
	w.table.Load(full(9, route("r", 9, "two")))
	w.serves("two")
	if p, _, _ := w.ask(); p == pid {
		t.Error("the unreachable process still serves")
	}
}

func TestDetachLeavesTheProcessForTheNext(t *testing.T) {
	w := startWorld(t, 2, fakeSettings{Name: "a"})
	w.table.Load(full(1, route("r", 1, "one")))
	w.ready()
	pid, _, _ := w.ask()
	path := w.dir.Path()
	w.Detach()
	w.dir.Unlock()
	next := successor(t, path, testSpec(w.addr, 2, fakeSettings{Name: "a"}))
	next.ready()
	if p, _, v := next.ask(); p != pid || v != "one" {
		t.Errorf("pid %d serves %q", p, v)
	}
}

func TestSecondControlProcessIsTurnedAway(t *testing.T) {
	w := startWorld(t, 1, fakeSettings{})
	_, err := LockRunDir(w.dir.Path())
	var running *RunningError
	if !errors.As(err, &running) || running.PID != os.Getpid() || !strings.Contains(err.Error(), "already running") {
		t.Errorf("second lock: %v", err)
	}
	if pid, err := Running(w.dir.Path()); err != nil || pid != os.Getpid() {
		t.Errorf("Running = %d, %v", pid, err)
	}
}

func TestRunDirWithALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40), "run")
	spec := testSpec(freeAddr(t), 1, fakeSettings{})
	w := successor(t, dir, spec)
	w.table.Load(full(1, route("r", 1, "one")))
	w.serves("one")
}

func TestStateOfAnotherProcessWithThatPidIsIgnored(t *testing.T) {
	p := dataState{PID: os.Getpid(), Started: "1"}
	if p.alive() {
		t.Error("a process with another start time taken for ours")
	}
	p.Started = processStart(os.Getpid())
	if !p.alive() {
		t.Error("own process not recognised")
	}
	if processStart(1<<22+1) != "" {
		t.Error("a process that does not exist has a start time")
	}
}

func TestStaleStateDoesNotStopAStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := LockRunDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := NewSupervisor(d, testOptions(NewTable()))
		if err := s.Start(testSpec(freeAddr(t), 1, fakeSettings{}), testLive); err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		s.Drain(time.Second)
		d.Unlock()
	}
	f("not json")
	f(`{"epoch":7,"processes":[{"pid":1,"started":"0","role":"current"},{"pid":4000000,"started":"5","role":"starting"}]}`)
}
