package state

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func numbered(s Scope, n uint64) Hash {
	var b [KeyRoom + 8]byte
	binary.LittleEndian.PutUint64(b[KeyRoom:], n)
	return s.Hash(b[:])
}

// onThreads runs f on n goroutines, each locked to a thread as loops are.
func onThreads(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread()
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func TestExactUnderConcurrency(t *testing.T) {
	const threads, limit = 5, 250_000
	total := 1_000_000
	if testing.Short() || raceEnabled {
		total = 400_000
	}
	f := func(name string, one func(tab *Store, h Hash, now int64) bool) {
		t.Run(name, func(t *testing.T) {
			s := tables(t)
			h := keyOf(s.Limits.Scope("exact"), "k")
			var admitted atomic.Int64
			onThreads(threads, func(i int) {
				n := int64(0)
				for range total / threads {
					if one(s, h, t0+int64(i)) {
						n++
					}
				}
				admitted.Add(n)
			})
			if admitted.Load() != limit {
				t.Errorf("%d of %d admitted, want %d", admitted.Load(), total, limit)
			}
		})
	}
	f("fixed window", func(s *Store, h Hash, now int64) bool {
		return s.Limits.FixedWindow(h, limit, 1, 3600_000, now).Outcome == Admitted
	})
	f("sliding window", func(s *Store, h Hash, now int64) bool {
		return s.Limits.SlidingWindow(h, limit, 1, 3600_000, now).Outcome == Admitted
	})
	leak := &Leak{Rate: 1, Burst: (limit - 1) * 1000}
	f("leaky bucket", func(s *Store, h Hash, now int64) bool {
		return s.Limits.LeakyBucket(h, leak, true, now).Outcome == Admitted
	})
	f("in flight", func(s *Store, h Hash, now int64) bool {
		_, _, out := s.Conns.Acquire(h, limit, now)
		return out == Admitted
	})
}

// TestExactWhileEntriesComeAndGo has many keys in a table that holds few, with
// the clock running, so that entries are taken out and put in all the time.
func TestExactWhileEntriesComeAndGo(t *testing.T) {
	const threads, keys, limit = 4, 24, 50
	rounds := 60
	if raceEnabled {
		rounds = 15
	}
	s := New(Sizes{Limits: 4 * groupEntries, Conns: 1, Breakers: 1})
	sc := s.Limits.Scope("churn")
	for round := range rounds {
		// Every round has keys of its own; those of the rounds before have
		// expired just long enough ago.
		now := t0 + int64(round)*(1000+graceMillis)
		var admitted [keys]atomic.Int64
		var full atomic.Int64
		onThreads(threads, func(i int) {
			for n := range 2 * limit * keys / threads {
				k := (n + i*7) % keys
				switch s.Limits.FixedWindow(numbered(sc, uint64(round*keys+k)), limit, 1, 1000, now).Outcome {
				case Admitted:
					admitted[k].Add(1)
				case Full:
					full.Add(1)
				}
			}
		})
		sum := int64(0)
		for k := range admitted {
			n := admitted[k].Load()
			if n > limit {
				t.Fatalf("round %d: key %d got %d, want at most %d", round, k, n, limit)
			}
			sum += n
		}
		if full.Load() == 0 && sum != keys*limit {
			t.Fatalf("round %d: %d admitted, want %d", round, sum, keys*limit)
		}
	}
	st := s.Limits.Stats()
	if st.Reclaimed == 0 || st.Used > st.Entries {
		t.Errorf("stats %+v", st)
	}
}

func TestFullTable(t *testing.T) {
	s := New(Sizes{Limits: 700, Conns: 1, Breakers: 1})
	tab := s.Limits
	sc := tab.Scope("full")
	held := 0
	for n := range uint64(3000) {
		switch tab.FixedWindow(numbered(sc, n), 1, 1, 10_000, t0).Outcome {
		case Admitted:
			held++
		case Rejected:
			t.Fatal("a new key was rejected")
		}
	}
	st := tab.Stats()
	if st.Used != uint64(held) || st.Full != uint64(3000-held) || st.Used < st.Entries*9/10 {
		t.Errorf("%d held, stats %+v", held, st)
	}
	// Those that are in go on.
	again := 0
	for n := range uint64(3000) {
		if tab.FixedWindow(numbered(sc, n), 1, 1, 10_000, t0).Outcome == Rejected {
			again++
		}
	}
	if again != held {
		t.Errorf("%d of %d keys are still known", again, held)
	}
	// Not before the grace is over does a key give way.
	if got := tab.FixedWindow(numbered(sc, 1<<40), 1, 1, 10_000, t0+10_000+graceMillis-1).Outcome; got != Full {
		t.Errorf("before the grace is over: %v", got)
	}
	if got := tab.FixedWindow(numbered(sc, 1<<40), 1, 1, 10_000, t0+10_000+graceMillis).Outcome; got != Admitted {
		t.Errorf("after the grace is over: %v", got)
	}
	s.Sweep(t0 + 10_000 + graceMillis)
	if st := tab.Stats(); st.Used != 1 || st.Reclaimed != uint64(held) {
		t.Errorf("after a sweep: %+v", st)
	}
}

// TestFirstFull tells how full a table gets before the first key finds no room.
func TestFirstFull(t *testing.T) {
	tab := New(Sizes{Limits: 100_000, Conns: 1, Breakers: 1}).Limits
	sc := tab.Scope("load")
	n := uint64(0)
	for tab.FixedWindow(numbered(sc, n), 1, 1, 10_000, t0).Outcome == Admitted {
		n++
	}
	if load := float64(n) / float64(tab.Stats().Entries); load < 0.6 {
		t.Errorf("the first key found no room at a load of %.2f", load)
	} else {
		t.Logf("first full at a load of %.2f", load)
	}
}

func TestConns(t *testing.T) {
	s := tables(t)
	tab := s.Conns
	h := keyOf(tab.Scope("conns"), "k")
	a, n, out := tab.Acquire(h, 2, t0)
	if a == nil || n != 1 || out != Admitted {
		t.Fatal(a, n, out)
	}
	b, n, out := tab.Acquire(h, 2, t0)
	if b == nil || n != 2 || out != Admitted {
		t.Fatal(b, n, out)
	}
	c, n, out := tab.Acquire(h, 2, t0)
	if c != nil || n != 3 || out != Rejected {
		t.Fatal(c, n, out)
	}
	tab.Release(c)
	// Whoever has requests in flight stays, however long they take.
	s.Sweep(t0 + 3600_000)
	if got := tab.InFlight(h); got != 2 {
		t.Errorf("%d in flight, want 2", got)
	}
	tab.Release(a)
	tab.Release(b)
	if got := tab.InFlight(h); got != 0 {
		t.Errorf("%d in flight, want 0", got)
	}
	s.Sweep(t0 + 3600_000)
	if st := tab.Stats(); st.Used != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestConnsOfAnEarlierProcess(t *testing.T) {
	f, err := Create(Sizes{Limits: 64, Conns: 64, Breakers: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old, next := open(t, f.Fd()), (*Store)(nil)
	h := keyOf(old.Conns.Scope("conns"), "k")
	held, _, _ := old.Conns.Acquire(h, 1, t0)
	if held == nil {
		t.Fatal("not admitted")
	}
	next = open(t, f.Fd())
	if keyOf(next.Conns.Scope("conns"), "k") != h {
		t.Fatal("another process has other keys")
	}
	mine, n, out := next.Conns.Acquire(h, 1, t0)
	if mine == nil || n != 1 {
		t.Fatal(n, out)
	}
	// The old one is draining: it is not limited any more, and takes nothing
	// back that is not its own.
	c, _, out := old.Conns.Acquire(h, 1, t0)
	if c != nil || out != Admitted {
		t.Fatal(c, out)
	}
	old.Conns.Release(held)
	if got := next.Conns.InFlight(h); got != 1 {
		t.Errorf("%d in flight, want 1", got)
	}
}

func TestBalanceUnderConcurrency(t *testing.T) {
	s := tables(t)
	h := keyOf(s.Conns.Scope("conns"), "k")
	var most, now atomic.Int64
	onThreads(4, func(int) {
		for range 50_000 {
			c, _, out := s.Conns.Acquire(h, 3, t0)
			if out != Admitted {
				continue
			}
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			now.Add(-1)
			s.Conns.Release(c)
		}
	})
	if got := s.Conns.InFlight(h); got != 0 || most.Load() > 3 {
		t.Errorf("%d left, %d at most", got, most.Load())
	}
}

func TestAbandonedSpinWord(t *testing.T) {
	s := tables(t)
	tab := s.Limits
	h := keyOf(tab.Scope("dead"), "k")
	g := tab.home(h)
	// Somebody of this process holds it: nothing is decided.
	g.lock.Store(tab.epoch<<epochShift | uint64(t0))
	if got := tab.FixedWindow(h, 1, 1, 1000, t0); got.Outcome != Full || tab.Stats().Busy != 1 {
		t.Errorf("held: %+v", got)
	}
	// A process that died holds it, and died while it replaced an entry.
	g.lock.Store((tab.epoch+1)<<epochShift | uint64(t0))
	g.tags[0].Store(h.a)
	g.entries[0].hash.Store(h.b)
	g.entries[0].v[0].Store(dead)
	if got := tab.FixedWindow(h, 1, 1, 1000, t0+foreignHoldMillis+1); got.Outcome != Admitted {
		t.Errorf("abandoned: %+v", got)
	}
	if g.lock.Load() != 0 {
		t.Error("the spin word was not given back")
	}
	if got := tab.FixedWindow(h, 1, 1, 1000, t0+foreignHoldMillis+1); got.Outcome != Rejected {
		t.Errorf("again: %+v", got)
	}
}

func open(t testing.TB, fd uintptr) *Store {
	t.Helper()
	s, err := Open(int(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
