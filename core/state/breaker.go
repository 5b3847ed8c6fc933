package state

// BreakerRules say when a circuit breaker opens and how it closes again.
type BreakerRules struct {
	// Window is over how many milliseconds requests are counted, Sleep for how
	// many an open breaker lets nothing pass.
	Window, Sleep int64
	// Trials is how many requests a half-open breaker lets pass, 1 to
	// MaxTrials; when all of them succeed it closes.
	Trials uint32
	// Failures opens it when so many failed; 0: no such rule.
	Failures uint32
	// Percent opens it when so many of a hundred failed, of at least
	// MinRequests; 0: no such rule.
	Percent, MinRequests uint32
}

// MaxTrials is the largest BreakerRules.Trials.
const MaxTrials = 1000

// BreakerState is what a breaker lets pass.
type BreakerState uint8

const (
	// BreakerClosed: everything.
	BreakerClosed BreakerState = iota
	// BreakerOpen: nothing.
	BreakerOpen
	// BreakerHalfOpen: some trial requests.
	BreakerHalfOpen
)

// String names the state for people.
func (s BreakerState) String() string { return [...]string{"closed", "open", "half-open"}[s] }

// Pass is what a breaker says of one request.
type Pass struct {
	Allowed bool
	// Trial says that it is a trial request of a half-open breaker.
	Trial bool
	round uint16
}

// The first word: state (2 bits) | round (10) | trials that were let pass (10) |
// of these, trials that succeeded (10) | time (32, milliseconds). The time is
// the end of the sleep of an open breaker, and the begin of a half-open round.
// The other words are buckets of a fifth of the window: number (16 bits) |
// requests (24) | failures (24).
type breakerWord struct {
	state        BreakerState
	round        uint16
	issued, good uint32
	at           uint32
}

const (
	tenBits = 1<<10 - 1
	buckets = valueWords - 1
	// lostMillis is after how long trials that nobody reported are given up,
	// so that a crash cannot keep a breaker half-open.
	lostMillis = 120_000
)

func (w breakerWord) pack() uint64 {
	return uint64(w.state)<<62 | uint64(w.round&tenBits)<<52 | uint64(w.issued&tenBits)<<42 | uint64(w.good&tenBits)<<32 | uint64(w.at)
}

func unpackBreaker(v uint64) breakerWord {
	return breakerWord{BreakerState(v >> 62), uint16(v>>52) & tenBits, uint32(v>>42) & tenBits, uint32(v>>32) & tenBits, uint32(v)}
}

func (r *BreakerRules) ttl() int64 { return r.Window + r.Sleep + lostMillis }

// Breaker tells the state of a key's breaker, changing nothing. An open one
// whose sleep is over counts as half-open.
func (t *Table) Breaker(h Hash, now int64) BreakerState {
	e := t.find(h)
	if e == nil {
		return BreakerClosed
	}
	v, ok := e.current(h)
	if !ok || e.expired(now) {
		return BreakerClosed
	}
	w := unpackBreaker(v)
	if w.state == BreakerOpen && int32(w.at-uint32(now)) <= 0 {
		return BreakerHalfOpen
	}
	return w.state
}

// Allow decides whether a request may pass. The outcome of one that was
// allowed is told with Report, or Cancel when there was none.
func (t *Table) Allow(h Hash, r *BreakerRules, now int64) Pass {
	e := t.find(h)
	if e == nil {
		return Pass{Allowed: true}
	}
	for {
		v, ok := e.current(h)
		if !ok || e.expired(now) {
			return Pass{Allowed: true}
		}
		w := unpackBreaker(v)
		switch w.state {
		case BreakerClosed:
			return Pass{Allowed: true}
		case BreakerOpen:
			left := int64(int32(w.at - uint32(now)))
			// A sleep longer than there is: the clock was set back.
			if left > 0 && left <= r.Sleep+setBackMillis {
				return Pass{}
			}
			w = breakerWord{BreakerHalfOpen, (w.round + 1) & tenBits, 1, 0, uint32(now)}
		case BreakerHalfOpen:
			age := int64(int32(uint32(now) - w.at))
			switch {
			case w.issued < r.Trials:
				w.issued++
			case age > lostMillis || age < -setBackMillis:
				w = breakerWord{BreakerHalfOpen, (w.round + 1) & tenBits, 1, 0, uint32(now)}
			default:
				return Pass{}
			}
		}
		e.prolong(kindTimed, now+r.ttl(), 0)
		if e.v[0].CompareAndSwap(v, w.pack()) {
			return Pass{Allowed: true, Trial: true, round: w.round}
		}
	}
}

// Cancel gives a trial back that was not made.
func (t *Table) Cancel(h Hash, p Pass) {
	if !p.Trial {
		return
	}
	if e := t.find(h); e != nil {
		for {
			v, ok := e.current(h)
			w := unpackBreaker(v)
			if !ok || w.state != BreakerHalfOpen || w.round != p.round || w.issued <= w.good {
				return
			}
			w.issued--
			if e.v[0].CompareAndSwap(v, w.pack()) {
				return
			}
		}
	}
}

// Report tells how a request went that was allowed, and returns the state that
// the breaker took by it, with changed set.
func (t *Table) Report(h Hash, r *BreakerRules, p Pass, failed bool, now int64) (s BreakerState, changed bool) {
	if p.Trial {
		return t.reportTrial(h, r, p, failed, now)
	}
	if !failed && r.Percent == 0 {
		return BreakerClosed, false // successes do not matter
	}
	e := t.find(h)
	if e == nil {
		if e = t.insert(h, kindTimed, now+r.ttl(), 0, now); e == nil {
			return BreakerClosed, false // a breaker without room stays closed
		}
	}
	e.prolong(kindTimed, now+r.ttl(), r.ttl()/4)
	all, bad := e.count(r, failed, now)
	if !failed {
		return BreakerClosed, false
	}
	trips := r.Failures > 0 && bad >= r.Failures ||
		r.Percent > 0 && all >= r.MinRequests && uint64(bad)*100 >= uint64(all)*uint64(r.Percent)
	if !trips {
		return BreakerClosed, false
	}
	for {
		v, ok := e.current(h)
		w := unpackBreaker(v)
		if !ok || w.state != BreakerClosed {
			return w.state, false
		}
		if e.v[0].CompareAndSwap(v, breakerWord{BreakerOpen, w.round, 0, 0, uint32(now + r.Sleep)}.pack()) {
			e.forget()
			return BreakerOpen, true
		}
	}
}

func (t *Table) reportTrial(h Hash, r *BreakerRules, p Pass, failed bool, now int64) (BreakerState, bool) {
	e := t.find(h)
	if e == nil {
		return BreakerClosed, false
	}
	for {
		v, ok := e.current(h)
		w := unpackBreaker(v)
		if !ok || w.state != BreakerHalfOpen || w.round != p.round {
			return w.state, false // of a round that is over
		}
		next := w
		switch {
		case failed:
			next = breakerWord{BreakerOpen, w.round, 0, 0, uint32(now + r.Sleep)}
		case w.good+1 >= r.Trials:
			next = breakerWord{BreakerClosed, w.round, 0, 0, 0}
		default:
			next.good++
		}
		e.prolong(kindTimed, now+r.ttl(), 0)
		if e.v[0].CompareAndSwap(v, next.pack()) {
			return next.state, next.state != BreakerHalfOpen
		}
	}
}

// count adds a request to its bucket and returns what the window holds.
func (e *entry) count(r *BreakerRules, failed bool, now int64) (all, bad uint32) {
	width := max(r.Window/buckets, 1)
	number := uint16(now / width)
	b := &e.v[1+now/width%buckets]
	for {
		v := b.Load()
		next := v
		if uint16(v>>48) != number {
			next = uint64(number) << 48
		}
		if next>>24&MaxSlidingLimit < MaxSlidingLimit {
			next += 1 << 24
			if failed {
				next++
			}
		}
		if b.CompareAndSwap(v, next) {
			break
		}
	}
	for i := 1; i < valueWords; i++ {
		v := e.v[i].Load()
		if number-uint16(v>>48) < buckets {
			all += uint32(v>>24) & MaxSlidingLimit
			bad += uint32(v) & MaxSlidingLimit
		}
	}
	return all, bad
}

// forget empties the buckets: what led to the opening does not count again.
func (e *entry) forget() {
	for i := 1; i < valueWords; i++ {
		e.v[i].Store(0)
	}
}
