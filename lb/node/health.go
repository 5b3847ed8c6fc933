package node

import "fmt"

// Status is what the health checks know about a node.
type Status uint8

// The states of a node. The "mostly" ones say that reports against the state
// have begun to count.
const (
	Healthy Status = iota
	MostlyHealthy
	MostlyUnhealthy
	Unhealthy
)

// String returns the name under which the control API shows the status.
func (s Status) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case MostlyHealthy:
		return "mostly_healthy"
	case MostlyUnhealthy:
		return "mostly_unhealthy"
	case Unhealthy:
		return "unhealthy"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// Down reports whether a node of this status gets no traffic.
func (s Status) Down() bool { return s >= MostlyUnhealthy }

// Report is what a probe or a request found out about a node.
type Report uint8

// The kinds of reports, which are also the counters of Health.
const (
	Success Report = iota
	HTTPFailure
	TCPFailure
	Timeout
	numReports
)

// String returns the report's name for logs.
func (r Report) String() string {
	switch r {
	case Success:
		return "success"
	case HTTPFailure:
		return "http_failure"
	case TCPFailure:
		return "tcp_failure"
	case Timeout:
		return "timeout_failure"
	}
	return fmt.Sprintf("report(%d)", uint8(r))
}

// MaxThreshold is the greatest number of reports that can be asked for before
// a node changes its state.
const MaxThreshold = 254

// Health is a node's status and the reports that count towards the next one.
// Failures and successes are never counted at the same time: a report of one
// side clears the other.
type Health struct {
	Status Status
	// Counts is indexed by Report; each is at most 255.
	Counts [numReports]uint8
}

// Health travels as one word (status in the low byte, a byte for each counter
// above it), so that a state and its counters can never disagree.
func (h Health) pack() uint64 {
	w := uint64(h.Status)
	for i, c := range h.Counts {
		w |= uint64(c) << (8 * (i + 1))
	}
	return w
}

func unpackHealth(w uint64) Health {
	h := Health{Status: Status(w)}
	for i := range h.Counts {
		h.Counts[i] = uint8(w >> (8 * (i + 1)))
	}
	return h
}

// next returns the health after a report of which threshold many in a row
// decide.
func (h Health) next(r Report, threshold uint8) Health {
	failure := r != Success
	// A report that confirms a settled state counts nothing: the common case
	// of a good response from a healthy node writes no memory.
	if !failure && h.Status == Healthy || failure && h.Status == Unhealthy {
		return h
	}
	if failure {
		h.Counts[Success] = 0
	} else {
		h.Counts[HTTPFailure], h.Counts[TCPFailure], h.Counts[Timeout] = 0, 0, 0
	}
	if h.Counts[r] < 255 {
		h.Counts[r]++
	}
	switch {
	case h.Counts[r] >= threshold && failure:
		h.Status = Unhealthy
	case h.Counts[r] >= threshold:
		h.Status = Healthy
	case failure && h.Status == Healthy:
		h.Status = MostlyHealthy
	case !failure && h.Status == Unhealthy:
		h.Status = MostlyUnhealthy
	}
	return h
}

// reportAttempts bounds how often a report is tried against reports of other
// loops. A report that is lost after that many is one of a crowd.
const reportAttempts = 64

// Report counts r, of which threshold many without a report to the contrary
// change the state; a threshold of 0 switches the kind of report off. It
// returns the health before and after. now is the clock of Registry.Nodes. It
// does not allocate and may be called from any thread.
//
// Loops contend here only while a node's state is in question: a report that
// changes nothing is one load.
func (s *State) Report(r Report, threshold uint8, now int64) (before, after Health) {
	for range reportAttempts {
		w := s.health.Load()
		if w == 0 && r == Success { // Fast path: healthy, and nothing to clear
			return Health{}, Health{}
		}
		before = unpackHealth(w)
		if threshold == 0 {
			return before, before
		}
		after = before.next(r, threshold)
		if after == before {
			return before, after
		}
		if s.health.CompareAndSwap(w, after.pack()) {
			s.flipped(before, after, now)
			return before, after
		}
	}
	return before, before
}

// ResetHealth makes the node healthy with all counters at zero, for an upstream
// whose health checks were taken away.
func (s *State) ResetHealth(now int64) {
	before := unpackHealth(s.health.Swap(Health{}.pack()))
	s.flipped(before, Health{}, now)
}

// flipped tells the group when a change decides over traffic. The order matters
// to readers: health first, then the epoch.
func (s *State) flipped(before, after Health, now int64) {
	if before.Status.Down() == after.Status.Down() {
		return
	}
	if before.Status.Down() {
		s.rise(now)
	}
	if s.group != nil {
		s.group.epoch.Add(1)
	}
}

// Health returns the node's status and counters.
func (s *State) Health() Health { return unpackHealth(s.health.Load()) }

// Down reports whether health checks keep traffic off the node.
func (s *State) Down() bool { return Status(s.health.Load()).Down() }
