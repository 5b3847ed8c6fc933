package state

// A lease is the part of a quota kept elsewhere that this host may hand out by
// itself until it tells how much it has.

// Lease is the outcome of TakeLease.
type Lease struct {
	// Known says that there is a lease that has not expired; the rest holds
	// only then.
	Known   bool
	Outcome Outcome
	// Remaining is what is left of it, Reset in how many milliseconds the
	// quota begins anew.
	Remaining, Reset int64
	// First says that this was the first cost since the last DrainLease.
	First bool
}

const maxLease = 1<<31 - 1

// TakeLease takes cost from the key's lease.
//
// Word: left (32 bits) | taken and not told yet (32).
func (t *Table) TakeLease(h Hash, cost uint32, now int64) Lease {
	e := t.find(h)
	if e == nil {
		return Lease{}
	}
	for {
		v, ok := e.current(h)
		if !ok || e.expired(now) {
			return Lease{}
		}
		reset := int64(e.expiry.Load()&expiryMask) - now
		left, taken := uint32(v>>32), uint32(v)
		if cost > left {
			return Lease{Known: true, Outcome: Rejected, Reset: reset}
		}
		left -= cost
		if e.v[0].CompareAndSwap(v, uint64(left)<<32|uint64(min(taken+cost, maxLease))) {
			return Lease{Known: true, Remaining: int64(left), Reset: reset, First: taken == 0 && cost > 0}
		}
	}
}

// DrainLease returns what was taken and not told yet, which the caller tells
// now.
func (t *Table) DrainLease(h Hash) uint32 {
	e := t.find(h)
	if e == nil {
		return 0
	}
	for {
		v, ok := e.current(h)
		if !ok {
			return 0
		}
		if e.v[0].CompareAndSwap(v, v&^(1<<32-1)) {
			return uint32(v)
		}
	}
}

// FillLease sets what the whole quota has left, less what was taken meanwhile,
// for ttl milliseconds. untold is added to what DrainLease returns next.
func (t *Table) FillLease(h Hash, left int64, untold uint32, ttl, now int64) Outcome {
	left = min(max(left, 0), maxLease)
	for range tries {
		e := t.find(h)
		if e == nil {
			if e = t.insert(h, kindTimed, now+ttl, uint64(left)<<32, now); e == nil {
				return Full
			}
		}
		for {
			v, ok := e.current(h)
			if !ok {
				break
			}
			taken := min(int64(uint32(v))+int64(untold), maxLease)
			e.expiry.Store(uint64(now+ttl) & expiryMask)
			if e.v[0].CompareAndSwap(v, uint64(max(left-taken, 0))<<32|uint64(taken)) {
				return Admitted
			}
		}
	}
	t.n.busy.Add(1)
	return Full
}

// RestoreLease adds untold to what DrainLease returns next: telling failed.
func (t *Table) RestoreLease(h Hash, untold uint32) {
	e := t.find(h)
	if e == nil {
		return
	}
	for {
		v, ok := e.current(h)
		if !ok || e.v[0].CompareAndSwap(v, v&^(1<<32-1)|uint64(min(uint32(v)+untold, maxLease))) {
			return
		}
	}
}
