package pick

import (
	"errors"
	"math"

	"github.com/sluicegw/sluice/lb/node"
)

// WarmUp lets a node that joins an upstream, or comes back from being down,
// start with a part of its weight that grows to all of it.
type WarmUp struct {
	// SlowStart is how long the growth takes, in nanoseconds, > 0.
	SlowStart int64
	// MinPercent is the part of the weight to start with, 1..100.
	MinPercent int
	// Interval is how often the part grows, in nanoseconds; 0 means a second.
	// There are at most 1024 steps.
	Interval int64
	// Aggression bends the growth: the part is (age/SlowStart)^(1/Aggression).
	// 1 is a straight line, more gives traffic earlier. 0 means 1.
	Aggression float64
	// MatureUntil is the time, on the clock of Input.Now, up to which nodes
	// that join count as warm: the start of the process plus the grace period,
	// so that a restart does not slow down a whole fleet.
	MatureUntil int64
}

func (w *WarmUp) check() error {
	switch {
	case w.SlowStart <= 0:
		return errors.New("warm_up_conf: slow_start_time_seconds must be greater than 0")
	case w.MinPercent < 1 || w.MinPercent > 100:
		return errors.New("warm_up_conf: min_weight_percent must be between 1 and 100")
	case w.Interval < 0:
		return errors.New("warm_up_conf: interval must not be negative")
	case w.Aggression < 0 || math.IsNaN(w.Aggression):
		return errors.New("warm_up_conf: aggression must not be negative")
	}
	return nil
}

const maxRampSteps = 1024

// ramp is a WarmUp made ready for picking.
//
// A weight is turned down without touching tables or rings: a node that warms
// up declines the part of its turns that it is not due, by a random word (or
// the key's hash, on a ring) against a threshold, and the pick moves on.
type ramp struct {
	window, interval, matureUntil int64
	// thresholds hold, for each step, the part of the turns that a node
	// accepts, in units of 2^-32.
	thresholds []uint32
}

// fullShare is the threshold of a node that is warm.
const fullShare = math.MaxUint32

// maxDeclined bounds how many turns are declined in one pick, for an upstream
// whose nodes nearly all warm up; what falls due after that is accepted.
const maxDeclined = 32

func newRamp(w *WarmUp) *ramp {
	if w == nil {
		return nil
	}
	const second = int64(1e9)
	interval := w.Interval
	if interval == 0 {
		interval = second
	}
	interval = max(interval, w.SlowStart/maxRampSteps, 1)
	power := 1.0
	if w.Aggression > 0 {
		power = 1 / w.Aggression
	}
	steps := (w.SlowStart + interval - 1) / interval
	r := &ramp{window: w.SlowStart, interval: interval, matureUntil: w.MatureUntil}
	for i := range steps {
		age := float64(max(i*interval, min(second, w.SlowStart)))
		share := math.Pow(age/float64(w.SlowStart), power)
		share = min(1, max(share, float64(w.MinPercent)/100))
		r.thresholds = append(r.thresholds, uint32(share*fullShare))
	}
	return r
}

// covers reports whether a node that started at risen is still warming up.
func (r *ramp) covers(risen, now int64) bool {
	return risen != 0 && risen > r.matureUntil && now-risen < r.window
}

// share returns the part of its turns that n accepts, in units of 2^-32.
func (r *ramp) share(n *node.Node, now int64) uint32 {
	risen := n.Risen()
	if !r.covers(risen, now) {
		return fullShare
	}
	step := max(now-risen, 0) / r.interval
	return r.thresholds[min(step, int64(len(r.thresholds)-1))]
}

// declines reports whether n passes a turn on, decided by word.
func (r *ramp) declines(n *node.Node, now int64, word uint64) bool {
	return uint32(word>>32) > r.share(n, now)
}
