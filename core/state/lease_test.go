package state

import (
	"sync/atomic"
	"testing"
)

func TestLease(t *testing.T) {
	tab := tables(t).Limits
	h := keyOf(tab.Scope("lease"), "k")
	f := func(what string, cost uint32, at int64, want Lease) {
		t.Helper()
		if got := tab.TakeLease(h, cost, t0+at); got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	f("none yet", 1, 0, Lease{})
	tab.FillLease(h, 3, 0, 1000, t0)
	f("first", 1, 0, Lease{Known: true, Remaining: 2, Reset: 1000, First: true})
	f("second", 1, 100, Lease{Known: true, Remaining: 1, Reset: 900})
	if n := tab.DrainLease(h); n != 2 {
		t.Errorf("drained %d, want 2", n)
	}
	f("while it is told", 1, 200, Lease{Known: true, Remaining: 0, Reset: 800, First: true})
	f("used up", 1, 200, Lease{Known: true, Outcome: Rejected, Reset: 800})
	// Others have used some, too: 5 are left, of which we have taken one.
	tab.FillLease(h, 5, 0, 500, t0+300)
	f("after a fill", 1, 300, Lease{Known: true, Remaining: 3, Reset: 500})
	n := tab.DrainLease(h)
	tab.RestoreLease(h, n)
	if got := tab.DrainLease(h); got != 2 || n != 2 {
		t.Errorf("drained %d and then %d, want 2 twice", n, got)
	}
	f("expired", 1, 900, Lease{})
	tab.FillLease(h, -5, 0, 500, t0+900)
	f("nothing left elsewhere", 1, 900, Lease{Known: true, Outcome: Rejected, Reset: 500})
}

func TestLeaseIsExact(t *testing.T) {
	tab := tables(t).Limits
	h := keyOf(tab.Scope("lease"), "k")
	const limit = 100_000
	tab.FillLease(h, limit, 0, 3600_000, t0)
	var admitted, told atomic.Int64
	onThreads(4, func(i int) {
		for n := range limit {
			if tab.TakeLease(h, 1, t0).Outcome == Admitted {
				admitted.Add(1)
			}
			if i == 0 && n%1000 == 0 {
				told.Add(int64(tab.DrainLease(h)))
			}
		}
	})
	told.Add(int64(tab.DrainLease(h)))
	if admitted.Load() != limit || told.Load() != limit {
		t.Errorf("%d admitted, %d told, want %d", admitted.Load(), told.Load(), limit)
	}
}
