package state

// Conn is a request in flight that was counted; nil: one that was not.
type Conn entry

// Acquire counts a request in flight of the key unless there are most of them.
// inFlight is their number with this one, counted or not. A request that was
// counted is given back with Release.
//
// Counts are of one data process: those of an earlier one, which died or is
// draining, are dropped when the key comes up.
//
// Word: epoch (16 bits) | generation (24) | count (24).
func (t *Table) Acquire(h Hash, most uint32, now int64) (c *Conn, inFlight uint32, outcome Outcome) {
	for range tries {
		e := t.find(h)
		if e == nil {
			generation := t.n.generation.Add(1) & connMask
			if e = t.insert(h, kindConn, now+connIdle, t.epoch<<epochShift|generation<<connBits, now); e == nil {
				return nil, 0, Full
			}
		}
		for {
			v, ok := e.current(h)
			if !ok {
				break
			}
			if whose := v >> epochShift; whose != t.epoch {
				if int16(whose-t.epoch) > 0 {
					// We are draining and our successor counts already. What
					// we do is no longer counted: nobody would take it back
					// if we died.
					return nil, 0, Admitted
				}
				v2 := t.epoch<<epochShift | v&(connMask<<connBits)
				if !e.v[0].CompareAndSwap(v, v2) {
					continue
				}
				v = v2
			}
			inFlight = uint32(v&connMask) + 1
			if inFlight > min(most, connMask-1) {
				return nil, inFlight, Rejected
			}
			e.prolong(kindConn, now+connIdle/2, connIdle/2)
			if e.v[0].CompareAndSwap(v, v+1) {
				return (*Conn)(e), inFlight, Admitted
			}
		}
	}
	t.n.busy.Add(1)
	return nil, 0, Full
}

const (
	connBits = 24
	connMask = 1<<connBits - 1
	// connIdle is how long the entry of a key stays after its requests.
	connIdle = 10_000
)

// Release gives back what Acquire counted, once. An entry that somebody is
// counted in is never taken out, so the handle is good until then.
func (t *Table) Release(c *Conn) {
	if c == nil {
		return
	}
	e := (*entry)(c)
	for {
		v := e.v[0].Load()
		if v>>epochShift != t.epoch || v == dead || v&connMask == 0 {
			return // our successor dropped our counts
		}
		if e.v[0].CompareAndSwap(v, v-1) {
			return
		}
	}
}

// InFlight is how many requests of the key are counted.
func (t *Table) InFlight(h Hash) uint32 {
	if e := t.find(h); e != nil {
		if v, ok := e.current(h); ok && v>>epochShift == t.epoch {
			return uint32(v & connMask)
		}
	}
	return 0
}

// idle tells whether nobody is counted in a word.
func (t *Table) idle(v uint64) bool {
	whose := v >> epochShift
	return v&connMask == 0 || int16(whose-t.epoch) < 0
}
