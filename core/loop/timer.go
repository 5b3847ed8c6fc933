package loop

import "math/bits"

// The wheel has slots of about a millisecond. A deadline beyond its horizon
// waits in the farthest slot and is put further on when that slot comes up.
const (
	tickShift = 20 // 1.05 ms
	slots     = 2048
	slotMask  = slots - 1
)

// Timer is an intrusive deadline. Moving a deadline later, as every request on
// a kept-alive connection does, is one store: the wheel finds out when the old
// slot comes up.
type Timer struct {
	at         int64 // 0: not set
	prev, next *Timer
	slot       int32 // where it is linked, -1 nowhere
	fire       func(*Timer)
	owner      any
}

// Init makes t call f when its time has come.
func (t *Timer) Init(f func()) {
	t.slot = -1
	t.fire = func(*Timer) { f() }
}

type wheel struct {
	heads [slots]Timer // sentinels
	used  [slots / 64]uint64
	tick  int64 // all slots up to this tick were served
	next  int64 // clock at which the next tick is due
}

func (w *wheel) init(now int64) {
	for i := range w.heads {
		h := &w.heads[i]
		h.prev, h.next = h, h
	}
	w.tick = now >> tickShift
	w.next = (w.tick + 1) << tickShift
}

// SetTimer arms t for clock time at, or disarms it with 0.
func (l *Loop) SetTimer(t *Timer, at int64) {
	t.at = at
	if at == 0 || t.fire == nil {
		return
	}
	w := &l.wheel
	if t.next != nil {
		// Linked for an earlier moment: it is looked at then. Linked for a
		// later one: move it.
		if w.due(t) <= at {
			return
		}
		w.unlink(t)
	}
	w.link(t)
}

// DropTimer disarms and unlinks t: its owner is about to be forgotten.
func (l *Loop) DropTimer(t *Timer) {
	t.at = 0
	if t.next != nil {
		l.wheel.unlink(t)
	}
}

// due is the clock time at which the slot that t is linked in comes up.
func (w *wheel) due(t *Timer) int64 {
	d := (int64(t.slot) - w.tick) & slotMask
	if d == 0 {
		d = slots
	}
	return (w.tick + d) << tickShift
}

func (w *wheel) link(t *Timer) {
	// Round up: a timer never fires early.
	k := (t.at + (1<<tickShift - 1)) >> tickShift
	if k <= w.tick {
		k = w.tick + 1
	}
	if k > w.tick+slots-1 {
		k = w.tick + slots - 1
	}
	s := int32(k & slotMask)
	h := &w.heads[s]
	t.slot = s
	t.prev, t.next = h.prev, h
	h.prev.next, h.prev = t, t
	w.used[s>>6] |= 1 << (s & 63)
}

func (w *wheel) unlink(t *Timer) {
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
	h := &w.heads[t.slot]
	if h.next == h {
		w.used[t.slot>>6] &^= 1 << (t.slot & 63)
	}
}

// advance fires what is due at now.
func (w *wheel) advance(now int64) {
	target := now >> tickShift
	if target-w.tick >= slots {
		w.tick = target - slots
	}
	for w.tick < target {
		w.tick++
		s := w.tick & slotMask
		if w.used[s>>6]&(1<<(s&63)) == 0 {
			continue
		}
		h := &w.heads[s]
		// Take the list off first: firing may link timers anew, never into a
		// slot that is being served.
		for t := h.next; t != h; t = h.next {
			w.unlink(t)
			switch {
			case t.at == 0:
			case t.at <= now:
				t.at = 0
				t.fire(t)
			default:
				w.link(t)
			}
		}
	}
	w.next = (w.tick + 1) << tickShift
}

// wait is how many milliseconds the loop may sleep: to the next used slot, at
// most a second.
func (w *wheel) wait(now int64) int {
	const most = 1000
	start := w.tick + 1
	limit := int64(most*1000000)>>tickShift + 1
	for k := start; k < start+limit; {
		s := k & slotMask
		word := w.used[s>>6] >> (s & 63)
		if word == 0 {
			k += 64 - (s & 63)
			continue
		}
		k += int64(bits.TrailingZeros64(word))
		d := k<<tickShift - now
		if d <= 0 {
			return 0
		}
		ms := int(d/1e6) + 1
		return min(ms, most)
	}
	return most
}
