package proc

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// lives waits until a data process other than pid serves, and tells how many
// the shared memory has seen.
func (w *world) lives(pid int) (int, int64) {
	w.t.Helper()
	next := 0
	eventually(w.t, "another data process", func() bool {
		p, _, _, err := askAddr(w.addr)
		next = p
		return err == nil && p != pid
	})
	return next, w.dataStatus().Lives
}

func TestMemoryIsHandedOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	spec := testSpec(freeAddr(t), 2, fakeSettings{Name: "a"})
	cmd := controlProcess(t, dir, spec, "one")
	w := &world{t: t, addr: spec.Listen[0].Addr}
	pid, _, _ := w.ask()
	killControl(t, cmd)

	// Adopted: the memory comes back from the data process.
	w = successor(t, dir, spec)
	w.ready()
	w.table.Load(full(9, route("r", 5, "one")))
	if n := w.dataStatus().Lives; n != 1 {
		t.Errorf("adopted: %d lives, want 1", n)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	pid, n := w.lives(pid)
	if n != 2 {
		t.Errorf("after a crash: %d lives, want 2", n)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	pid, n = w.lives(pid)
	if n != 3 {
		t.Errorf("after another crash: %d lives, want 3", n)
	}
	if err := w.Replace(testSpec(w.addr, 1, fakeSettings{Name: "b"})); err != nil {
		t.Fatal(err)
	}
	pid, n = w.lives(pid)
	if n != 4 {
		t.Errorf("replaced: %d lives, want 4", n)
	}
	// Memory that does not fit the new settings is made anew.
	if err := w.Replace(testSpec(w.addr, 1, fakeSettings{Name: "c", NewMemory: true})); err != nil {
		t.Fatal(err)
	}
	if _, n = w.lives(pid); n != 1 {
		t.Errorf("replaced by one with other memory: %d lives, want 1", n)
	}
}
