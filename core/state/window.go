package state

import (
	"math"
	"math/bits"
)

// Outcome is what became of a request for quota.
type Outcome uint8

const (
	// Admitted: it fits, and was counted.
	Admitted Outcome = iota
	// Rejected: it does not fit.
	Rejected
	// Full: the table has no room for the key; nothing was counted. The caller
	// decides by its own policy.
	Full
)

// Window is the outcome of a decision over a window.
type Window struct {
	Outcome Outcome
	// Remaining is the quota that is left. 0 when rejected.
	Remaining int64
	// Reset is in how many milliseconds the quota changes for the better: the
	// end of the window, or for a sliding one that rejected, the moment from
	// which on a request fits again.
	Reset int64
}

// tries bounds how often a decision begins anew because its entry was taken
// out under its hands. More than once hardly ever happens.
const tries = 16

// MaxLimit is the largest limit of a fixed window, larger ones are taken for
// this.
const MaxLimit = math.MaxUint32 - 1

// units turns milliseconds into the 32-bit time of a word. Windows of up to
// twelve days are kept in milliseconds, longer ones in larger units, so that
// the time wraps long after the window's end.
func units(window, now int64) (start uint32, length int32, shift uint) {
	shift = uint(max(bits.Len64(uint64(window))-30, 0))
	return uint32(now >> shift), int32(window >> shift), shift
}

// FixedWindow takes cost from the key's quota of limit per window milliseconds.
// The window starts with the key's first request. With cost 0 it only looks.
//
// Word: start of the window (32 bits) | used quota (32 bits).
func (t *Table) FixedWindow(h Hash, limit, cost uint32, window, now int64) Window {
	limit = min(limit, MaxLimit)
	at, length, shift := units(window, now)
	for range tries {
		e := t.find(h)
		if e == nil {
			if cost == 0 {
				return Window{Admitted, int64(limit), window}
			}
			if e = t.insert(h, kindTimed, now+window, uint64(at)<<32, now); e == nil {
				return Window{Outcome: Full}
			}
		}
		for {
			v, ok := e.current(h)
			if !ok {
				break
			}
			start, used := uint32(v>>32), uint32(v)
			elapsed := int32(at - start)
			renew := elapsed >= length || e.expired(now)
			switch {
			case renew:
				start, used, elapsed = at, 0, 0
			case elapsed < -setBackMillis:
				// The clock was set back: the window begins again, with what
				// was used in it.
				start, elapsed = at, 0
				renew = true
			case elapsed < 0:
				elapsed = 0
			}
			left := int64(length-elapsed) << shift
			if uint64(used)+uint64(cost) > uint64(limit) {
				return Window{Rejected, 0, left}
			}
			used += cost
			if cost > 0 {
				if renew {
					e.prolong(kindTimed, now+window, 0)
				}
				if !e.v[0].CompareAndSwap(v, uint64(start)<<32|uint64(used)) {
					continue
				}
			}
			return Window{Admitted, int64(limit - used), left}
		}
	}
	t.n.busy.Add(1)
	return Window{Outcome: Full}
}

// setBackMillis is how far a stored time may lie ahead before the clock must
// have been set back: more than loops' clocks ever differ.
const setBackMillis = 4000

// MaxSlidingLimit is the largest limit of a sliding window; larger ones are
// taken for this.
const MaxSlidingLimit = 1<<24 - 1

// SlidingWindow takes cost from the key's quota of limit per window
// milliseconds, where what was used in the window before counts in proportion
// to how much of it the last window milliseconds still cover. Windows are
// aligned to unix time, as APISIX has them. A request is admitted as long as
// the quota is not used up, whatever it costs.
//
// Word: number of the window (16 bits) | used before (24) | used (24).
func (t *Table) SlidingWindow(h Hash, limit, cost uint32, window, now int64) Window {
	limit = min(limit, MaxSlidingLimit)
	number := uint16(now / window)
	left := window - now%window
	for range tries {
		e := t.find(h)
		if e == nil {
			if cost == 0 {
				return Window{Admitted, int64(limit), left}
			}
			if e = t.insert(h, kindTimed, now+left+window, uint64(number)<<48, now); e == nil {
				return Window{Outcome: Full}
			}
		}
		for {
			v, ok := e.current(h)
			if !ok {
				break
			}
			was, before, used := uint16(v>>48), uint32(v>>24)&MaxSlidingLimit, uint32(v)&MaxSlidingLimit
			roll := true
			switch age := int16(number - was); {
			case e.expired(now) || age > 1:
				before, used = 0, 0
			case age == 1:
				before, used = used, 0
			case age == -1 && left <= setBackMillis:
				// Another loop's clock is in the next window already.
				number, left = was, window
				roll = false
			case age < 0:
				// The clock was set back: what was used stays used.
			default:
				roll = false
			}
			if used >= limit {
				return Window{Rejected, 0, left}
			}
			rate := float64(min(before, limit)) / float64(window)
			carried := rate * float64(left)
			if carried+float64(used) >= float64(limit) {
				wait := float64(left) - float64(limit-used)/rate
				return Window{Rejected, 0, max(int64(math.Ceil(wait)), 0)}
			}
			used = uint32(min(uint64(used)+uint64(cost), MaxSlidingLimit-1))
			if cost > 0 {
				if roll {
					e.prolong(kindTimed, now+left+window, 0)
				}
				if !e.v[0].CompareAndSwap(v, uint64(number)<<48|uint64(before)<<24|uint64(used)) {
					continue
				}
			}
			rest := math.Floor(float64(limit) - float64(used) - carried)
			return Window{Admitted, max(int64(rest), 0), left}
		}
	}
	t.n.busy.Add(1)
	return Window{Outcome: Full}
}

// Bucket is the outcome of a leaky bucket.
type Bucket struct {
	Outcome Outcome
	// Excess is how many thousandths of a request the bucket holds beyond the
	// steady rate.
	Excess int64
}

// Leak is the shape of a leaky bucket, in thousandths of a request.
type Leak struct {
	// Rate is what flows off per second, at least 1.
	Rate int64
	// Burst is how much it holds.
	Burst int64
}

// MaxBurst is the largest burst of a bucket, in thousandths of a request;
// larger ones are taken for this.
const MaxBurst = math.MaxUint32 - 2000

// maxDrain bounds the memory of a bucket: the time in its word wraps after 24
// days.
const maxDrain = int64(20 * 24 * 3600 * 1000)

// LeakyBucket adds one request to the key's bucket unless it would overflow.
// With count false it only looks.
//
// Word: excess (32 bits) | time of the last request (32 bits, milliseconds).
func (t *Table) LeakyBucket(h Hash, l *Leak, count bool, now int64) Bucket {
	at := uint32(now)
	burst := min(l.Burst, MaxBurst)
	for range tries {
		e := t.find(h)
		if e == nil {
			if !count {
				return Bucket{}
			}
			if e = t.insert(h, kindTimed, now+l.drain(0), uint64(at-longAgo), now); e == nil {
				return Bucket{Outcome: Full}
			}
		}
		for {
			v, ok := e.current(h)
			if !ok {
				break
			}
			last, excess := at, int64(0)
			if !e.expired(now) { // else it is empty since longer than matters
				elapsed := int64(int32(at - uint32(v)))
				if elapsed < 0 && elapsed >= -setBackMillis {
					last = uint32(v) // another loop's clock is ahead
				}
				excess = max(int64(v>>32)-l.Rate*max(elapsed, 0)/1000+1000, 0)
			}
			if excess > burst {
				return Bucket{Rejected, excess}
			}
			if count {
				e.prolong(kindTimed, now+l.drain(excess), drainSlack)
				if !e.v[0].CompareAndSwap(v, uint64(excess)<<32|uint64(last)) {
					continue
				}
			}
			return Bucket{Admitted, excess}
		}
	}
	t.n.busy.Add(1)
	return Bucket{Outcome: Full}
}

// longAgo before the present time empties any bucket.
const longAgo = 1 << 30

// drain is after how many milliseconds a bucket no longer matters.
func (l *Leak) drain(excess int64) int64 {
	return min((excess+1000)*1000/max(l.Rate, 1)+1, maxDrain)
}

// drainSlack is how much longer a bucket lives than it must, so that not every
// request writes its expiry.
const drainSlack = 2000
