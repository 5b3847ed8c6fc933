package node

import (
	"sync"
	"testing"
)

// run applies reports given as letters: s success, h, t, o the failures (o is a
// timeout), with thresholds 2 for successes and 3, 2, 3 for the failures.
func run(s *State, reports string) {
	for _, r := range reports {
		switch r {
		case 's':
			s.Report(Success, 2, 7)
		case 'h':
			s.Report(HTTPFailure, 3, 7)
		case 't':
			s.Report(TCPFailure, 2, 7)
		case 'o':
			s.Report(Timeout, 3, 7)
		}
	}
}

func TestHealthStates(t *testing.T) {
	f := func(reports string, want Status, counts ...uint8) {
		t.Helper()
		var s State
		run(&s, reports)
		h := s.Health()
		if h.Status != want || s.Down() != want.Down() {
			t.Errorf("%q: %v, want %v", reports, h.Status, want)
		}
		for i, c := range counts {
			if h.Counts[i] != c {
				t.Errorf("%q: counters %v, want %v", reports, h.Counts, counts)
			}
		}
	}
	f("", Healthy, 0, 0, 0, 0)
	f("ssss", Healthy, 0, 0, 0, 0) // nothing to count
	f("h", MostlyHealthy, 0, 1, 0, 0)
	f("hh", MostlyHealthy, 0, 2, 0, 0)
	f("hhh", Unhealthy, 0, 3, 0, 0)
	f("hht", MostlyHealthy, 0, 2, 1, 0) // each kind has its own count
	f("htt", Unhealthy, 0, 1, 2, 0)
	f("ooo", Unhealthy, 0, 0, 0, 3)
	f("hhs", MostlyHealthy, 1, 0, 0, 0) // a success clears failures
	f("hhss", Healthy, 2, 0, 0, 0)
	f("hhshh", MostlyHealthy, 0, 2, 0, 0)
	f("hhsshhh", Unhealthy, 0, 3, 0, 0)
	f("tt", Unhealthy)
	f("tttttt", Unhealthy, 0, 0, 2, 0)
	f("tts", MostlyUnhealthy, 1, 0, 0, 0)
	f("ttst", MostlyUnhealthy, 0, 0, 1, 0)
	f("ttstt", Unhealthy, 0, 0, 2, 0)
	f("ttss", Healthy, 2, 0, 0, 0)
}

func TestAThresholdOfZeroCountsNothing(t *testing.T) {
	var s State
	for range 300 {
		s.Report(TCPFailure, 0, 1)
	}
	if h := s.Health(); h != (Health{}) {
		t.Errorf("got %+v", h)
	}
}

func TestFlipsMoveTheEpoch(t *testing.T) {
	n := build(t, NewRegistry(), "u", 1, "10.0.0.1")[0]
	g := n.Group()
	f := func(reports string, epoch uint64, risen int64) {
		t.Helper()
		run(n.State, reports)
		if g.Epoch() != epoch || n.Risen() != risen || g.LastRise() != risen {
			t.Errorf("after %q: epoch %d, risen %d, want %d, %d", reports, g.Epoch(), n.Risen(), epoch, risen)
		}
	}
	f("t", 0, 0)
	f("t", 1, 0)
	f("s", 1, 0)
	f("s", 2, 7)
	f("tt", 3, 7)
	n.ResetHealth(9)
	f("", 4, 9)
	if n.Health() != (Health{}) {
		t.Errorf("after a reset: %+v", n.Health())
	}
}

func TestReportsOfSeveralLoopsAllCount(t *testing.T) {
	var s State
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				s.Report(HTTPFailure, 201, 1)
			}
		})
	}
	wg.Wait()
	if h := s.Health(); h.Counts[HTTPFailure] != 200 || h.Status != MostlyHealthy {
		t.Errorf("after 200 of 201 failures: %+v", h)
	}
	s.Report(HTTPFailure, 201, 1)
	if !s.Down() {
		t.Error("still up after the last failure")
	}
}

func TestNamesOfStates(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(Healthy.String(), "healthy")
	f(MostlyHealthy.String(), "mostly_healthy")
	f(MostlyUnhealthy.String(), "mostly_unhealthy")
	f(Unhealthy.String(), "unhealthy")
	f(Success.String(), "success")
	f(HTTPFailure.String(), "http_failure")
	f(TCPFailure.String(), "tcp_failure")
	f(Timeout.String(), "timeout_failure")
}
