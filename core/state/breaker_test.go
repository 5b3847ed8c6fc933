package state

import (
	"sync/atomic"
	"testing"
)

func TestBreaker(t *testing.T) {
	tab := tables(t).Breakers
	h := keyOf(tab.Scope("breaker"), "k")
	r := &BreakerRules{Window: 10_000, Sleep: 5000, Trials: 2, Percent: 50, MinRequests: 4}
	state := func(what string, at int64, want BreakerState) {
		t.Helper()
		if got := tab.Breaker(h, t0+at); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	request := func(at int64, failed bool) bool {
		p := tab.Allow(h, r, t0+at)
		if p.Allowed {
			tab.Report(h, r, p, failed, t0+at)
		}
		return p.Allowed
	}
	request(0, true)
	request(0, true)
	request(0, true)
	state("three failures of three", 0, BreakerClosed)
	request(0, false)
	state("four requests, the last one good", 0, BreakerClosed)
	request(100, true)
	state("four of five", 100, BreakerOpen)
	if request(5099, false) {
		t.Error("a request passes while the breaker sleeps")
	}
	state("asleep", 5099, BreakerOpen)
	state("the sleep is over", 5100, BreakerHalfOpen)
	a := tab.Allow(h, r, t0+5100)
	b := tab.Allow(h, r, t0+5100)
	c := tab.Allow(h, r, t0+5100)
	if !a.Trial || !b.Trial || c.Allowed {
		t.Fatalf("trials %+v %+v %+v", a, b, c)
	}
	tab.Report(h, r, a, false, t0+5200)
	state("one of two trials", 5200, BreakerHalfOpen)
	tab.Report(h, r, b, true, t0+5300)
	state("the second failed", 5300, BreakerOpen)
	if tab.Report(h, r, a, false, t0+5400); tab.Breaker(h, t0+5400) != BreakerOpen {
		t.Error("a late report of a former round counts")
	}
	p := tab.Allow(h, r, t0+10_300)
	tab.Cancel(h, p)
	for range 2 {
		if !request(10_300, false) {
			t.Fatal("a trial given back is lost")
		}
	}
	state("all trials succeeded", 10_300, BreakerClosed)
	request(10_300, true)
	state("what opened it is forgotten", 10_300, BreakerClosed)
	// Failures leave the window.
	for range 3 {
		request(10_300, true)
	}
	state("opened again", 10_300, BreakerOpen)
}

func TestBreakerByCount(t *testing.T) {
	tab := tables(t).Breakers
	h := keyOf(tab.Scope("breaker"), "k")
	r := &BreakerRules{Window: 10_000, Sleep: 5000, Trials: 1, Failures: 3}
	fail := func(at int64) BreakerState {
		tab.Report(h, r, tab.Allow(h, r, t0+at), true, t0+at)
		return tab.Breaker(h, t0+at)
	}
	fail(0)
	fail(5000)
	if got := fail(12_000); got != BreakerClosed {
		t.Errorf("the first has left the window: %v", got)
	}
	if got := fail(13_000); got != BreakerOpen {
		t.Errorf("three in the window: %v", got)
	}
	// Trials that nobody reports are given up in the end.
	tab.Allow(h, r, t0+20_000)
	if tab.Allow(h, r, t0+20_000+lostMillis).Allowed {
		t.Error("another trial while one is out")
	}
	if !tab.Allow(h, r, t0+20_001+lostMillis).Allowed {
		t.Error("the breaker is stuck half-open")
	}
	// The clock is set back while it sleeps.
	fail(20_001 + lostMillis)
}

func TestExactlyNTrials(t *testing.T) {
	tab := tables(t).Breakers
	h := keyOf(tab.Scope("breaker"), "k")
	r := &BreakerRules{Window: 1000, Sleep: 100, Trials: 7, Failures: 1}
	now := t0
	for range 50 {
		tab.Report(h, r, tab.Allow(h, r, now), true, now)
		if tab.Breaker(h, now) != BreakerOpen {
			t.Fatal("not open")
		}
		now += 100
		var passed atomic.Int64
		var passes [4][]Pass
		onThreads(4, func(i int) {
			for range 100 {
				if p := tab.Allow(h, r, now); p.Allowed {
					passed.Add(1)
					passes[i] = append(passes[i], p)
				}
			}
		})
		if passed.Load() != 7 {
			t.Fatalf("%d trials, want 7", passed.Load())
		}
		for _, list := range passes {
			for _, p := range list {
				tab.Report(h, r, p, false, now)
			}
		}
		if tab.Breaker(h, now) != BreakerClosed {
			t.Fatal("not closed")
		}
	}
}
