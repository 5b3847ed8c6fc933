package state

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"
)

// Table maps keys to entries. See the package comment.
type Table struct {
	name   string
	epoch  uint64 // of the process, for requests in flight and spin words
	seeds  [2]uint64
	n      *counters
	groups []group
}

const (
	groupEntries = 7
	valueWords   = 6
	groupSize    = int(unsafe.Sizeof(group{}))
)

var _ = [1]byte{}[512-groupSize] // eight cache lines

type group struct {
	// lock is 0, or whose it is: epoch (16 bits) and time of taking it (48).
	lock    atomic.Uint64
	tags    [groupEntries]atomic.Uint64 // first word of the hash; 0: free
	entries [groupEntries]entry
}

type entry struct {
	hash   atomic.Uint64 // second word of the hash
	expiry atomic.Uint64 // unix milliseconds (48 bits) and the kind (the bits above)
	v      [valueWords]atomic.Uint64
}

// kind of an entry, in the upper bits of its expiry.
type kind uint64

const (
	kindTimed kind = iota // free to go when its time is over
	kindConn              // only when nobody is counted in it, too
)

const (
	expiryBits = 48
	expiryMask = 1<<expiryBits - 1

	epochBits  = 16
	epochMask  = 1<<epochBits - 1
	epochShift = 64 - epochBits

	// dead in the first value word says that the entry is being replaced. No
	// kind of value ever has all bits set.
	dead = ^uint64(0)

	// graceMillis is how long an expired entry stays untouched: longer than
	// clocks of loops ever differ.
	graceMillis = 1000
)

// groupsFor is how many groups hold n entries.
func groupsFor(n int) int { return (n + groupEntries - 1) / groupEntries }

// Hash identifies a key within a table.
type Hash struct{ a, b uint64 }

// Scope separates the keys of one user of a table from those of all others.
type Scope struct{ a, b uint64 }

// KeyRoom is how many bytes Scope.Hash needs in front of the key.
const KeyRoom = 8

// Scope makes the scope that is named by parts. Scopes with different parts
// have different keys. It costs allocations: make it when configuration comes.
func (t *Table) Scope(parts ...string) Scope {
	var s Scope
	for i, out := range []*uint64{&s.a, &s.b} {
		d := xxhash.NewWithSeed(t.seeds[i])
		for _, p := range parts {
			var size [8]byte
			putWord(size[:], uint64(len(p)))
			_, _ = d.Write(size[:])
			_, _ = d.WriteString(p)
		}
		*out = d.Sum64()
	}
	return s
}

// Hash is the identity of the key in buf[KeyRoom:]. It overwrites
// buf[:KeyRoom].
func (s Scope) Hash(buf []byte) Hash {
	putWord(buf, s.a)
	a := xxhash.Sum64(buf)
	putWord(buf, s.b)
	h := Hash{a, xxhash.Sum64(buf)}
	if h.a == 0 { // a tag of 0 is a free slot
		h.a = 1
	}
	return h
}

func putWord(b []byte, w uint64) {
	_ = b[7]
	*(*uint64)(unsafe.Pointer(&b[0])) = w
}

// home and other are the groups in which a key may live.
func (t *Table) home(h Hash) *group {
	i, _ := bits.Mul64(h.a, uint64(len(t.groups)))
	return &t.groups[i]
}

func (t *Table) other(h Hash) *group {
	i, _ := bits.Mul64(h.b, uint64(len(t.groups)))
	return &t.groups[i]
}

// find returns the entry of a key, nil when there is none. The entry may be
// taken out at any moment: see current.
func (t *Table) find(h Hash) *entry {
	if e := t.home(h).find(h); e != nil {
		return e
	}
	return t.other(h).find(h)
}

func (g *group) find(h Hash) *entry {
	for i := range g.tags {
		if g.tags[i].Load() != h.a {
			continue
		}
		if e := &g.entries[i]; e.hash.Load() == h.b && e.v[0].Load() != dead {
			return e
		}
	}
	return nil
}

// load is how many entries a group holds.
func (g *group) load() int {
	n := 0
	for i := range g.tags {
		if g.tags[i].Load() != 0 {
			n++
		}
	}
	return n
}

// current loads the first value word, and tells whether it is the key's: the
// word was read before the hash, so a word of the next owner is not taken for
// this one's. What follows is a swap of exactly this word.
func (e *entry) current(h Hash) (v uint64, ok bool) {
	v = e.v[0].Load()
	return v, v != dead && e.hash.Load() == h.b
}

// expired tells whether the entry's time is over. Load the value word first.
func (e *entry) expired(now int64) bool {
	return int64(e.expiry.Load()&expiryMask) <= now
}

// prolong makes the entry live until at least then. If it has to, it makes it
// live for slack longer, to be asked again less often.
func (e *entry) prolong(k kind, until, slack int64) {
	for {
		old := e.expiry.Load()
		if int64(old&expiryMask) >= until || e.expiry.CompareAndSwap(old, uint64(k)<<expiryBits|uint64(until+slack)&expiryMask) {
			return
		}
	}
}

// reclaim takes an entry out if it may go; the group is locked.
func (t *Table) reclaim(g *group, i int, now int64) bool {
	e := &g.entries[i]
	v := e.v[0].Load()
	if v != dead { // else somebody died while replacing it
		x := e.expiry.Load()
		if int64(x&expiryMask)+graceMillis > now {
			return false
		}
		if kind(x>>expiryBits) == kindConn && !t.idle(v) {
			return false
		}
		if !e.v[0].CompareAndSwap(v, dead) {
			return false // it is in use again
		}
	}
	g.tags[i].Store(0)
	return true
}

// insert returns the entry of a key, which it puts in with the first value word
// v if it is not there. nil: the table is full, or (hardly ever) its group is
// held by another for too long; both are counted.
func (t *Table) insert(h Hash, k kind, until int64, v uint64, now int64) *entry {
	g, o := t.home(h), t.other(h)
	stamp := t.epoch<<epochShift | uint64(now)&expiryMask
	if !t.acquire(g, stamp, now) {
		t.n.busy.Add(1)
		return nil
	}
	// The home group's spin word orders all who insert this key, wherever its
	// entry ends up. A key goes home while that has room to spare, so that
	// most lookups read one line of tags; beyond that into the emptier of the
	// two, so that a table is nearly full before a key finds no room.
	e := o.find(h)
	if n := g.load(); e == nil && (n <= easyLoad || n <= o.load()) {
		e = t.place(g, h, k, until, v, now)
	}
	g.unlock(stamp)
	if e != nil {
		return e
	}
	// Slow path: both groups are needed, in the order of their addresses, so
	// that two of us never wait for each other.
	first, second := g, o
	if uintptr(unsafe.Pointer(o)) < uintptr(unsafe.Pointer(g)) {
		first, second = o, g
	}
	if !t.acquire(first, stamp, now) {
		t.n.busy.Add(1)
		return nil
	}
	if first != second && !t.acquire(second, stamp, now) {
		first.unlock(stamp)
		t.n.busy.Add(1)
		return nil
	}
	if e = g.find(h); e == nil {
		if e = t.place(o, h, k, until, v, now); e == nil {
			e = t.place(g, h, k, until, v, now)
		}
	}
	if first != second {
		second.unlock(stamp)
	}
	first.unlock(stamp)
	if e == nil {
		t.n.full.Add(1)
	}
	return e
}

// easyLoad is up to how many entries of a group a key goes home.
const easyLoad = 2

// place puts a key into a locked group unless it is there; nil when the group
// is full.
func (t *Table) place(g *group, h Hash, k kind, until int64, v uint64, now int64) *entry {
	free := -1
	for i := range g.tags {
		switch tag := g.tags[i].Load(); {
		case tag == h.a && g.entries[i].hash.Load() == h.b && g.entries[i].v[0].Load() != dead:
			return &g.entries[i]
		case tag == 0:
			if free < 0 {
				free = i
			}
		}
	}
	if free < 0 {
		for i := range g.tags {
			if t.reclaim(g, i, now) {
				t.n.reclaimed.Add(1)
				free = i
				break
			}
		}
		if free < 0 {
			return nil
		}
	} else {
		t.n.used.Add(1)
	}
	t.n.inserted.Add(1)
	e := &g.entries[free]
	e.v[0].Store(dead)
	e.hash.Store(h.b)
	e.expiry.Store(uint64(k)<<expiryBits | uint64(until)&expiryMask)
	for i := 1; i < valueWords; i++ {
		e.v[i].Store(0)
	}
	e.v[0].Store(v)
	g.tags[free].Store(h.a)
	return e
}

// Sweep takes the expired entries out.
func (t *Table) Sweep(now int64) {
	used := uint64(0)
	for i := range t.groups {
		g := &t.groups[i]
		live := g.load()
		if live == 0 {
			continue
		}
		stamp := t.epoch<<epochShift | uint64(now)&expiryMask
		if t.acquire(g, stamp, now) {
			for j := range g.tags {
				if g.tags[j].Load() != 0 && t.reclaim(g, j, now) {
					t.n.reclaimed.Add(1)
					live--
				}
			}
			g.unlock(stamp)
		}
		used += uint64(live)
	}
	t.n.used.Store(used)
}

// How long a spin word is waited for: spinning, then giving up the processor,
// then in short sleeps, some milliseconds in all. Its holder needs some ten
// nanoseconds, unless the kernel took the processor from it.
const (
	spins     = 200
	yields    = 16
	naps      = 50
	napMicros = 100
	// A holder of this process that has not let go for so long, or one of
	// another process, is dead.
	ownHoldMillis     = 1000
	foreignHoldMillis = 50
)

// acquire takes a group's spin word; false: it is held for too long.
func (t *Table) acquire(g *group, stamp uint64, now int64) bool {
	for range spins {
		if g.lock.Load() == 0 && g.lock.CompareAndSwap(0, stamp) {
			return true
		}
	}
	for i := range yields + naps {
		held := g.lock.Load()
		if held == 0 || t.abandoned(held, now) {
			if g.lock.CompareAndSwap(held, stamp) {
				return true
			}
			continue
		}
		if i < yields {
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
			continue
		}
		nap := unix.Timespec{Nsec: napMicros * 1000}
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0)
	}
	return false
}

func (t *Table) abandoned(held uint64, now int64) bool {
	age := now - int64(held&expiryMask)
	if age < 0 { // the clock was set back, or another loop's runs ahead
		age = -age
	}
	if held>>epochShift == t.epoch {
		return age > ownHoldMillis
	}
	return age > foreignHoldMillis
}

// unlock gives the spin word back, unless another took it for abandoned.
func (g *group) unlock(stamp uint64) { g.lock.CompareAndSwap(stamp, 0) }

// Stats describe a table.
type Stats struct {
	// Name is "limits", "conns" or "breakers".
	Name string `json:"name"`
	// Entries is the capacity, Used how much of it is taken.
	Entries uint64 `json:"entries"`
	Used    uint64 `json:"used"`
	// Inserted and Reclaimed count entries since the memory was made.
	Inserted  uint64 `json:"inserted"`
	Reclaimed uint64 `json:"reclaimed"`
	// Full counts decisions that found no room for their key, Busy those that
	// gave up waiting for a group.
	Full uint64 `json:"full"`
	Busy uint64 `json:"busy"`
}

// Stats reads the counters.
func (t *Table) Stats() Stats {
	return Stats{
		Name: t.name, Entries: uint64(len(t.groups) * groupEntries), Used: t.n.used.Load(),
		Inserted: t.n.inserted.Load(), Reclaimed: t.n.reclaimed.Load(), Full: t.n.full.Load(), Busy: t.n.busy.Load(),
	}
}
