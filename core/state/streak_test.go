package state

import "testing"

func TestStreak(t *testing.T) {
	tab := tables(t).Limits
	h := keyOf(tab.Scope("streak"), "k")
	f := func(what string, at int64, want Streak) {
		t.Helper()
		if got := tab.Streak(h, t0+at); got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	const s0 = t0 / 1000
	f("nothing yet", 0, Streak{})
	tab.Succeed(h, 2, t0)
	f("a success alone", 0, Streak{})
	tab.Fail(h, 3, 60_000, t0)
	tab.Fail(h, 3, 60_000, t0)
	f("two failures", 0, Streak{2, 0})
	tab.Fail(h, 3, 60_000, t0)
	f("the third", 0, Streak{3, s0})
	tab.Succeed(h, 2, t0)
	tab.Fail(h, 3, 60_000, t0+5000)
	f("a failure between successes", 5000, Streak{4, s0})
	tab.Succeed(h, 2, t0+5000)
	tab.Succeed(h, 2, t0+5000)
	f("two successes in a row", 5000, Streak{})
	tab.Fail(h, 1, 60_000, t0+6000)
	f("failed again", 6000, Streak{1, s0 + 6})
	f("long ago", 600_000, Streak{})
	tab.Fail(h, 2, 60_000, t0+600_000)
	f("failed after a long time", 600_000, Streak{1, 0})
}
