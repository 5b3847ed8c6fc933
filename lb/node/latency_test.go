package node

import (
	"math"
	"testing"
	"unsafe"
)

func TestLatencyIsAPeakAverage(t *testing.T) {
	const second = int64(1e9)
	var s State
	if _, ok := s.Latency(0); ok {
		t.Error("a latency before the first sample")
	}
	near := func(now int64, want float64) {
		t.Helper()
		got, ok := s.Latency(now)
		if !ok || math.Abs(got-want) > want*0.01 {
			t.Errorf("at %d s: %.2f us, want %.2f", now/second, got, want)
		}
	}
	s.ObserveLatency(100*second, 2e6)
	near(100*second, 2000)
	s.ObserveLatency(100*second, 8e6) // slower: at once
	near(100*second, 8000)
	s.ObserveLatency(100*second, 1e6) // faster at the same moment: no time passed
	near(100*second, 8000)
	near(110*second, 8000/math.E) // fades while nothing comes
	s.ObserveLatency(110*second, 1e6)
	near(110*second, 8000/math.E+1000*(1-1/math.E))
	near(90*second, 8000/math.E+1000*(1-1/math.E)) // a clock behind
}

func TestFadeIsExponential(t *testing.T) {
	last := 2.0
	for x := 0.0; x < 1000; x += 0.01 {
		got, want := fade(x), math.Exp(-x)
		if x <= 4 && math.Abs(got-want) > 0.001 {
			t.Fatalf("fade(%v) is %v, want %v", x, got, want)
		}
		if got >= last || got < 0 {
			t.Fatalf("fade(%v) is %v after %v", x, got, last)
		}
		last = got
	}
	if fade(1e6) > 1e-12 {
		t.Errorf("fade(1e6) is %v", fade(1e6))
	}
}

func TestStateHasALinePerWriter(t *testing.T) {
	// Held by the size: four cells and the padding before them.
	if got := unsafe.Sizeof(State{}); got != 4*cacheLine {
		t.Errorf("a State is %d bytes, want %d", got, 4*cacheLine)
	}
}
