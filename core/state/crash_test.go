package state

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

const childEnv = "STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
	}
	os.Exit(m.Run())
}

const crashLimit = 1 << 30

// child counts requests of one key as fast as it can until it is killed, and
// tells when it has begun. New keys keep the spin words busy.
func child() {
	s, err := Open(3)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	h := keyOf(s.Limits.Scope("crash"), "k")
	sc := s.Limits.Scope("noise")
	for n := uint64(0); ; n++ {
		now := time.Now().UnixMilli()
		s.Limits.FixedWindow(h, crashLimit, 1, 3600_000, now)
		s.Limits.FixedWindow(numbered(sc, n), 1, 1, 1, now-5000)
		s.Conns.Acquire(h, crashLimit, now)
		if n == 20_000 {
			fmt.Println("counting")
		}
	}
}

// TestQuotaOutlivesAProcess kills a process in the middle of its decisions.
func TestQuotaOutlivesAProcess(t *testing.T) {
	f, err := Create(Sizes{Limits: 128, Conns: 64, Breakers: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last := int64(0)
	for range 8 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), childEnv+"=1")
		cmd.ExtraFiles = []*os.File{f}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != "counting\n" {
			t.Fatalf("the child says %q (%v)", line, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("the child ended by itself: %v", err)
		}
		s := open(t, f.Fd())
		h := keyOf(s.Limits.Scope("crash"), "k")
		now := time.Now().UnixMilli()
		got := s.Limits.FixedWindow(h, crashLimit, 0, 3600_000, now)
		used := crashLimit - got.Remaining
		if used < last+20_000 {
			t.Fatalf("%d used after a crash, %d before", used, last)
		}
		last = used
		if n := s.Conns.InFlight(h); n != 0 {
			t.Fatalf("%d requests of a dead process are in flight", n)
		}
		if c, n, _ := s.Conns.Acquire(h, 1, now); c == nil || n != 1 {
			t.Fatalf("the first request after a crash is number %d", n)
		}
		// Every group can still be used.
		sc := s.Limits.Scope("after")
		for n := range uint64(200) {
			if got := s.Limits.FixedWindow(numbered(sc, n), 1, 1, 1, now+1000); got.Outcome == Rejected {
				t.Fatal("a new key is rejected")
			}
		}
		s.Sweep(now + 10_000)
		if st := s.Limits.Stats(); st.Busy != 0 || st.Used > 1 {
			t.Fatalf("after a crash and a sweep: %+v", st)
		}
	}
}

func TestWrongMemoryIsRefused(t *testing.T) {
	f, err := Create(Sizes{Limits: 64, Conns: 64, Breakers: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(100); err == nil {
		t.Error("the memory can be made shorter under a process that has it mapped")
	}
	if got, err := Inspect(int(f.Fd())); err != nil || got.Limits != 64 {
		t.Errorf("sizes %+v, %v", got, err)
	}
	if _, err := f.WriteAt([]byte("not ours"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(int(f.Fd())); !errors.Is(err, ErrLayout) {
		t.Errorf("another layout: %v", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Open(int(null.Fd())); !errors.Is(err, ErrLayout) {
		t.Errorf("no memory at all: %v", err)
	}
	if _, err := Create(Sizes{Limits: 0, Conns: 1, Breakers: 1}); err == nil {
		t.Error("a table without entries was made")
	}
}
