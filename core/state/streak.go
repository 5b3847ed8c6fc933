package state

// Streak is how a key has fared lately.
type Streak struct {
	// Bad counts failures since all was well, up to 65,534.
	Bad uint32
	// Last is when their number last was a multiple of the one asked for, in
	// unix seconds; 0: not yet.
	Last int64
}

// Streak reads what Fail and Succeed left.
//
// Word: failures (16 bits) | successes since the last one (16) | Last (32).
func (t *Table) Streak(h Hash, now int64) Streak {
	e := t.find(h)
	if e == nil {
		return Streak{}
	}
	v, ok := e.current(h)
	if !ok || e.expired(now) {
		return Streak{}
	}
	return Streak{uint32(v >> 48), int64(uint32(v))}
}

const maxStreak = 1<<16 - 2

// Fail counts a failure. It is remembered for ttl milliseconds. With every
// every-th one Last is set to now.
func (t *Table) Fail(h Hash, every uint32, ttl, now int64) Outcome {
	for range tries {
		e := t.find(h)
		if e == nil {
			if e = t.insert(h, kindTimed, now+ttl, 0, now); e == nil {
				return Full
			}
		}
		for {
			v, ok := e.current(h)
			if !ok {
				break
			}
			if e.expired(now) {
				v2 := uint64(0)
				e.prolong(kindTimed, now+ttl, 0)
				if v != v2 && !e.v[0].CompareAndSwap(v, v2) {
					continue
				}
				v = v2
			}
			bad, last := min(uint32(v>>48)+1, maxStreak), uint32(v)
			if bad%every == 0 {
				last = uint32(now / 1000)
			}
			e.prolong(kindTimed, now+ttl, ttl/8)
			if e.v[0].CompareAndSwap(v, uint64(bad)<<48|uint64(last)) {
				return Admitted
			}
		}
	}
	t.n.busy.Add(1)
	return Full
}

// Succeed counts a success of a key that has failed. enough of them in a row
// and all is well.
func (t *Table) Succeed(h Hash, enough uint32, now int64) {
	e := t.find(h)
	if e == nil {
		return
	}
	for {
		v, ok := e.current(h)
		if !ok || v>>48 == 0 || e.expired(now) {
			return
		}
		good := min(uint32(v>>32)&0xffff+1, maxStreak)
		next := v&^(0xffff<<32) | uint64(good)<<32
		if good >= enough {
			next = 0
		}
		if e.v[0].CompareAndSwap(v, next) {
			return
		}
	}
}
