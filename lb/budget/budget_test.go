package budget

import (
	"sync"
	"sync/atomic"
	"testing"
)

const second = int64(1e9)

func TestTheAllowanceWithoutTraffic(t *testing.T) {
	b := New(Default(), 100*second)
	now := 100 * second
	allowed := 0
	// Ten seconds of a thousand retries each.
	for range 10_000 {
		now += second / 1000
		if b.Retry(now) {
			allowed++
		}
	}
	if allowed < 95 || allowed > 112 {
		t.Errorf("%d retries in ten seconds, want about 10 a second", allowed)
	}
}

func TestAShareOfTheRequests(t *testing.T) {
	b := New(Config{Percent: 20}, 0)
	now := int64(0)
	allowed, requests := 0, 0
	// Every request fails and asks for two retries, for a minute at 1000/s.
	for range 60_000 {
		now += second / 1000
		b.Request()
		requests++
		for range 2 {
			if b.Retry(now) {
				allowed++
			}
		}
	}
	if share := float64(allowed) / float64(requests); share < 0.19 || share > 0.201 {
		t.Errorf("%.3f of the requests were retried, want 0.2", share)
	}
}

func TestTheFirstRetriesOfAnOutageAreThere(t *testing.T) {
	b := New(Default(), 0)
	now := int64(0)
	for range 20_000 { // twenty good seconds
		now += second / 1000
		b.Request()
	}
	allowed := 0
	for range 5000 {
		if b.Retry(now) {
			allowed++
		}
	}
	// A fifth of the last ten seconds' requests, and 10 a second.
	if allowed < 2000 || allowed > 2200 {
		t.Errorf("%d retries at once, want about 2100", allowed)
	}
}

func TestEarningsFade(t *testing.T) {
	b := New(Config{Percent: 20}, 0)
	for range 10_000 {
		b.Request()
	}
	b.Retry(second) // collects 2000
	allowed := 0
	for range 5000 {
		if b.Retry(second + 100*second) {
			allowed++
		}
	}
	if allowed > 1 {
		t.Errorf("%d retries a hundred seconds after the traffic, want none", allowed)
	}
}

func TestNothingIsAllowedWithoutAllowance(t *testing.T) {
	b := New(Config{}, 0)
	for i := range int64(1000) {
		b.Request()
		if b.Retry(i * second) {
			t.Fatal("a retry of a budget of nothing")
		}
	}
}

func TestANilBudgetAllowsAll(t *testing.T) {
	var b *Budget
	b.Request()
	if !b.Retry(0) {
		t.Error("refused")
	}
}

func TestLoopsShareTheBudget(t *testing.T) {
	b := New(Config{Percent: 10}, 0)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	const loops, each = 4, 20_000
	for range loops {
		wg.Go(func() {
			now := int64(0)
			for range each {
				now += second / 10_000
				b.Request()
				if b.Retry(now) {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got, most := allowed.Load(), int64(loops*each/10); got > most || got < most*8/10 {
		t.Errorf("%d retries over %d loops, want at most %d", got, loops, most)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	b := New(Default(), 0)
	now := int64(0)
	if a := testing.AllocsPerRun(100, func() {
		now++
		b.Request()
		b.Retry(now)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkRequest(b *testing.B) {
	bud := New(Default(), 0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			bud.Request()
		}
	})
}

func BenchmarkRetry(b *testing.B) {
	bud := New(Default(), 0)
	b.ReportAllocs()
	now := int64(0)
	for b.Loop() {
		now += 1000
		bud.Retry(now)
	}
}
