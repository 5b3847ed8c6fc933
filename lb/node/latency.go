package node

import "math"

// LatencyDecay is the time constant of a node's latency average: what was
// measured that long ago still counts 37 %.
const LatencyDecay = 10e9 // nanoseconds

// A latency average travels as one word: the average in microseconds as a
// float32 in the upper half, and when it was made in milliseconds (modulo 2^32,
// 49 days) in the lower one. 0 says that nothing was measured yet.
func packLatency(us float32, ms uint32) uint64 {
	return uint64(math.Float32bits(us))<<32 | uint64(ms)
}

func unpackLatency(w uint64) (us float32, ms uint32) {
	return math.Float32frombits(uint32(w >> 32)), uint32(w)
}

// decay returns what is left after the time between two stamps. A stamp from
// the future (another loop's clock read a moment later) counts as now.
func decay(from, to uint32) float64 {
	age := int32(to - from)
	if age <= 0 {
		return 1
	}
	return fade(float64(age) * (1e6 / LatencyDecay))
}

// fade is e^-x within a thousandth up to x = 4, where less than 2 % are left,
// and falls to zero from there: the fourth power of e^(-x/4) by its series. Two
// of these are part of every pick; math.Exp costs three times as much.
func fade(x float64) float64 {
	y := x / 4
	p := 1 + y*(1+y*(0.5+y*(1.0/6+y*(1.0/24))))
	p *= p
	return 1 / (p * p)
}

// latencyAttempts bounds how often a sample is tried against those of other
// loops; one lost sample among many says nothing new.
const latencyAttempts = 4

// ObserveLatency adds a sample in nanoseconds to the node's average. The
// average is a peak one: a slower sample replaces it at once and a faster one
// draws it down over LatencyDecay, so that a node that stalls is left alone
// after one response.
func (s *State) ObserveLatency(now, latency int64) {
	ms := uint32(now / 1e6)
	sample := float64(max(latency, 1)) / 1e3
	for range latencyAttempts {
		w := s.ewma.Load()
		us := sample
		if w != 0 {
			old, stamp := unpackLatency(w)
			left := decay(stamp, ms)
			if kept := float64(old) * left; kept > sample {
				us = kept + sample*(1-left)
			}
		}
		if s.ewma.CompareAndSwap(w, packLatency(float32(us), ms)) {
			return
		}
	}
}

// Latency returns the average in microseconds, drawn down by the time since the
// last sample so that a node that was slow once gets another chance, and false
// when there is no sample.
func (s *State) Latency(now int64) (float64, bool) {
	w := s.ewma.Load()
	if w == 0 {
		return 0, false
	}
	us, stamp := unpackLatency(w)
	return float64(us) * decay(stamp, uint32(now/1e6)), true
}
