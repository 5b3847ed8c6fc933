// Package budget limits an upstream's retries to a share of its requests, so
// that retries cannot multiply the load of an outage.
package budget

import (
	"math"
	"sync/atomic"
)

// Config is what a budget allows.
type Config struct {
	// Percent of the requests may be retried on top; 0..1000.
	Percent float64
	// PerSecond retries are allowed whatever the traffic, so that an upstream
	// with little of it can retry at all; >= 0.
	PerSecond float64
}

// Default is a fifth of the requests and ten a second.
func Default() Config { return Config{Percent: 20, PerSecond: 10} }

// window is how far back requests earn retries, in nanoseconds: what was earned
// fades with this time constant, so a quiet hour does not pay for a storm.
const window = 10e9

// Budget is one upstream's allowance, shared by all loops. A request costs one
// atomic addition; everything else is done by the retries, which are few.
type Budget struct {
	share, perSecond float64

	_ [64]byte
	// earned counts the requests since a retry last collected them.
	earned atomic.Int64
	_      [56]byte

	// purse is the retries left, as a float32 in the upper half, and when they
	// were counted in milliseconds (modulo 2^32), in the lower half. One word,
	// so that loops that retry at once cannot spend the same retry twice.
	purse atomic.Uint64
	_     [56]byte
}

// New returns a budget that may spend a second's allowance at once. now is in
// nanoseconds on the clock that Retry gets.
func New(c Config, now int64) *Budget {
	b := &Budget{share: c.Percent / 100, perSecond: c.PerSecond}
	b.purse.Store(pack(float32(c.PerSecond), millis(now)))
	return b
}

// Request counts a request, not its retries. A nil budget counts nothing.
func (b *Budget) Request() {
	if b != nil {
		b.earned.Add(1)
	}
}

// retryAttempts bounds how often a retry contends with those of other loops. A
// retry that loses that often is one of a storm.
const retryAttempts = 16

// Retry reports whether a retry is allowed now, and spends it if so. A nil
// budget allows all.
func (b *Budget) Retry(now int64) bool {
	if b == nil {
		return true
	}
	// Taken by one retry at a time and carried through its attempts, so every
	// request earns once.
	requests := float64(b.earned.Swap(0))
	ms := millis(now)
	for range retryAttempts {
		w := b.purse.Load()
		left, since := unpack(w)
		age := max(float64(int32(ms-since))*1e6, 0)
		fresh := requests
		if age > window {
			fresh *= window / age // those of the last window
		}
		have := float64(left)*math.Exp(-age/window) + fresh*b.share + b.perSecond*min(age, window)/1e9
		ok := have >= 1
		if ok {
			have--
		}
		if age == 0 {
			ms = since // a clock behind must not make time pass twice
		}
		if b.purse.CompareAndSwap(w, pack(float32(have), ms)) {
			return ok
		}
	}
	b.earned.Add(int64(requests))
	return false
}

func millis(ns int64) uint32 { return uint32(ns / 1e6) }

func pack(left float32, ms uint32) uint64 {
	return uint64(math.Float32bits(left))<<32 | uint64(ms)
}

func unpack(w uint64) (left float32, ms uint32) {
	return math.Float32frombits(uint32(w >> 32)), uint32(w)
}
