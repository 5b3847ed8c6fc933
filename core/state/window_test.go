package state

import (
	"fmt"
	"testing"
)

const t0 = int64(1_800_000_000_123)

func tables(t testing.TB) *Store {
	t.Helper()
	return New(Sizes{Limits: 1024, Conns: 256, Breakers: 256})
}

func keyOf(s Scope, key string) Hash {
	return s.Hash(append(make([]byte, KeyRoom), key...))
}

func TestFixedWindow(t *testing.T) {
	tab := tables(t).Limits
	sc := tab.Scope("test")
	f := func(key string, limit, cost uint32, window, at int64, want Window) {
		t.Helper()
		if got := tab.FixedWindow(keyOf(sc, key), limit, cost, window, t0+at); got != want {
			t.Errorf("%s, %d of %d at %d: got %+v, want %+v", key, cost, limit, at, got, want)
		}
	}
	// The window starts with the first request.
	f("a", 2, 1, 1000, 0, Window{Admitted, 1, 1000})
	f("a", 2, 1, 1000, 400, Window{Admitted, 0, 600})
	f("a", 2, 1, 1000, 999, Window{Rejected, 0, 1})
	f("b", 2, 1, 1000, 999, Window{Admitted, 1, 1000})
	f("a", 2, 1, 1000, 1000, Window{Admitted, 1, 1000})
	// What does not fit takes nothing.
	f("c", 10, 8, 1000, 0, Window{Admitted, 2, 1000})
	f("c", 10, 3, 1000, 0, Window{Rejected, 0, 1000})
	f("c", 10, 2, 1000, 0, Window{Admitted, 0, 1000})
	// Looking takes nothing.
	f("d", 10, 0, 1000, 0, Window{Admitted, 10, 1000})
	f("d", 10, 4, 1000, 0, Window{Admitted, 6, 1000})
	f("d", 10, 0, 1000, 0, Window{Admitted, 6, 1000})
	f("d", 10, 0, 1000, 2000, Window{Admitted, 10, 1000})
	// Another loop's clock is a little behind: the same window.
	f("e", 2, 1, 1000, 10, Window{Admitted, 1, 1000})
	f("e", 2, 1, 1000, 5, Window{Admitted, 0, 1000})
	f("e", 2, 1, 1000, 1010, Window{Admitted, 1, 1000})
	f("e", 2, 1, 1000, 1005, Window{Admitted, 0, 1000})
	// The clock is set back by an hour: what was used stays used, and the
	// window ends in time.
	f("f", 2, 2, 60000, 0, Window{Admitted, 0, 60000})
	f("f", 2, 1, 60000, -3600_000, Window{Rejected, 0, 60000})
	f("g", 2, 1, 60000, 0, Window{Admitted, 1, 60000})
	f("g", 2, 1, 60000, -3600_000, Window{Admitted, 0, 60000})
	f("g", 2, 1, 60000, -3600_000+59_999, Window{Rejected, 0, 1})
	f("g", 2, 1, 60000, -3600_000+60_000, Window{Admitted, 1, 60000})
	// A month, and a key that comes back after the time in the word has wrapped.
	const day = 24 * 3600 * 1000
	f("h", 2, 2, 30*day, 0, Window{Admitted, 0, 30 * day})
	if got := tab.FixedWindow(keyOf(sc, "h"), 2, 1, 30*day, t0+29*day); got.Outcome != Rejected || got.Reset < day-10 || got.Reset > day+10 {
		t.Errorf("after 29 of 30 days: %+v", got)
	}
	f("h", 2, 1, 30*day, 30*day, Window{Admitted, 1, 30 * day})
	f("i", 2, 2, 1000, 0, Window{Admitted, 0, 1000})
	f("i", 2, 1, 1000, 30*day, Window{Admitted, 1, 1000})
	f("j", 1<<32-1, 1, 1000, 0, Window{Admitted, MaxLimit - 1, 1000})
}

func TestSlidingWindow(t *testing.T) {
	tab := tables(t).Limits
	sc := tab.Scope("test")
	const begin = int64(1_800_000_000_000) // of a window of 1 s
	f := func(key string, limit, cost uint32, at int64, want Window) {
		t.Helper()
		if got := tab.SlidingWindow(keyOf(sc, key), limit, cost, 1000, begin+at); got != want {
			t.Errorf("%s, %d of %d at %d: got %+v, want %+v", key, cost, limit, at, got, want)
		}
	}
	f("a", 4, 1, 500, Window{Admitted, 3, 500})
	f("a", 4, 1, 600, Window{Admitted, 2, 400})
	f("a", 4, 1, 700, Window{Admitted, 1, 300})
	f("a", 4, 1, 800, Window{Admitted, 0, 200})
	f("a", 4, 1, 900, Window{Rejected, 0, 100})
	// At the start of the next window all four still count.
	f("a", 4, 1, 1000, Window{Rejected, 0, 0})
	// After a quarter one of them has gone, and what one costs may exceed.
	f("a", 4, 1, 1250, Window{Admitted, 0, 750})
	f("a", 4, 1, 1250, Window{Rejected, 0, 0})
	f("a", 4, 1, 1252, Window{Admitted, 0, 748})
	f("a", 4, 1, 1252, Window{Rejected, 0, 248})
	// Two windows on nothing counts.
	f("a", 4, 1, 3100, Window{Admitted, 3, 900})
	// Looking takes nothing.
	f("b", 4, 0, 0, Window{Admitted, 4, 1000})
	f("b", 4, 3, 0, Window{Admitted, 1, 1000})
	f("b", 4, 0, 0, Window{Admitted, 1, 1000})
	// A loop whose clock is behind counts in the window that has begun.
	f("c", 4, 2, 1000, Window{Admitted, 2, 1000})
	f("c", 4, 1, 999, Window{Admitted, 1, 1000})
	f("c", 4, 1, 1001, Window{Admitted, 0, 999})
	// A clock set back keeps the count.
	f("d", 4, 4, 0, Window{Admitted, 0, 1000})
	f("d", 4, 1, -3600_000, Window{Rejected, 0, 1000})
}

func TestLeakyBucket(t *testing.T) {
	tab := tables(t).Limits
	sc := tab.Scope("test")
	f := func(key string, rate, burst int64, at int64, want Bucket) {
		t.Helper()
		l := Leak{rate, burst}
		if got := tab.LeakyBucket(keyOf(sc, key), &l, true, t0+at); got != want {
			t.Errorf("%s at %d: got %+v, want %+v", key, at, got, want)
		}
	}
	f("a", 1000, 0, 0, Bucket{Admitted, 0})
	f("a", 1000, 0, 999, Bucket{Rejected, 1})
	f("a", 1000, 0, 1000, Bucket{Admitted, 0})
	f("b", 2000, 2000, 0, Bucket{Admitted, 0})
	f("b", 2000, 2000, 0, Bucket{Admitted, 1000})
	f("b", 2000, 2000, 0, Bucket{Admitted, 2000})
	f("b", 2000, 2000, 0, Bucket{Rejected, 3000})
	f("b", 2000, 2000, 250, Bucket{Rejected, 2500})
	f("b", 2000, 2000, 500, Bucket{Admitted, 2000})
	f("b", 2000, 2000, 60_000, Bucket{Admitted, 0})
	// A clock that is behind, and one that was set back.
	f("c", 1000, 5000, 10, Bucket{Admitted, 0})
	f("c", 1000, 5000, 0, Bucket{Admitted, 1000})
	f("c", 1000, 5000, 1010, Bucket{Admitted, 1000})
	f("c", 1000, 5000, -3600_000, Bucket{Admitted, 2000})
	f("c", 1000, 5000, -3599_000, Bucket{Admitted, 2000})
	// A key that comes back after the time in the word has wrapped.
	const day = 24 * 3600 * 1000
	f("d", 1000, 0, 0, Bucket{Admitted, 0})
	f("d", 1000, 0, 40*day, Bucket{Admitted, 0})
	// Looking takes nothing.
	l := Leak{1000, 0}
	for range 3 {
		if got := tab.LeakyBucket(keyOf(sc, "e"), &l, false, t0); got.Outcome != Admitted {
			t.Errorf("looking: %+v", got)
		}
	}
	f("e", 1000, 0, 0, Bucket{Admitted, 0})
}

func TestScopesSeparateKeys(t *testing.T) {
	tab := tables(t).Limits
	seen := map[Hash]string{}
	for _, parts := range [][]string{{"a", "b"}, {"ab"}, {"a", "b", ""}, {"", "ab"}, {"b", "a"}} {
		h := keyOf(tab.Scope(parts...), "k")
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %s have the same keys", parts, other)
		}
		seen[h] = fmt.Sprint(parts)
	}
}

// FuzzFixedWindow holds the table against a plain map.
func FuzzFixedWindow(f *testing.F) {
	f.Add([]byte{0, 1, 10, 1, 2, 10, 0, 1, 200, 3, 3, 3})
	f.Fuzz(func(t *testing.T, steps []byte) {
		tab := New(Sizes{Limits: 14, Conns: 1, Breakers: 1}).Limits
		sc := tab.Scope("fuzz")
		type window struct {
			end  int64
			used uint32
		}
		model := map[byte]window{}
		now := t0
		for len(steps) >= 3 {
			key, cost, pass := steps[0]%6, uint32(steps[1]%5), int64(steps[2])*10
			steps = steps[3:]
			now += pass
			w := model[key]
			if now >= w.end {
				w = window{end: now + 1000}
			}
			want := Window{Admitted, 0, w.end - now}
			if w.used+cost > 7 {
				want.Outcome = Rejected
			} else {
				w.used += cost
				want.Remaining = int64(7 - w.used)
			}
			if cost > 0 {
				model[key] = w
			}
			got := tab.FixedWindow(sc.Hash(append(make([]byte, KeyRoom), key)), 7, cost, 1000, now)
			if got != want {
				t.Fatalf("key %d cost %d at %d: got %+v, want %+v", key, cost, now-t0, got, want)
			}
		}
	})
}
