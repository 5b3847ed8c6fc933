package pool

// Pool is the idle connections of one loop. Only that loop may use it: there
// are no locks and no atomics. T is the connection, usually a pointer to a
// struct in which the Item is embedded.
//
// Connections of a key form a stack: the one used last is the one whose memory
// is warm and whose peer is the least likely to have closed it, and those that
// a falling load leaves over sink to the bottom and time out.
//
// A loop that wants a neighbour's connection has to ask the neighbour: Take
// there, hand the connection over, and Put (or use) it here. Nothing in an Item
// ties it to the pool it was in once Take returned it.
type Pool[T any] struct {
	// close ends a connection that leaves the pool for any reason but Take.
	close   func(T, Reason)
	maxIdle int
	buckets []*bucket[T] // by ID.index, nil until used
	// sweep is one of the buckets that hold something, which form a circle; the
	// next Sweep begins there.
	sweep *bucket[T]
	stats Stats
}

// bucket is the stack of one key.
type bucket[T any] struct {
	newest, oldest *Item[T]
	n              int
	generation     uint32
	before, after  *bucket[T] // of the circle; nil when empty
}

// Item is the pool's part of a connection. It is embedded in the connection, so
// that pooling one allocates nothing.
type Item[T any] struct {
	// Conn is the connection that the item belongs to; its owner sets it once.
	Conn T
	// Uses counts the requests that the connection served; Put adds one. The
	// owner sets it to 0 for a new connection.
	Uses uint32

	expires      int64
	newer, older *Item[T]
	home         *bucket[T] // nil unless pooled
}

// Limits are an upstream's settings for its idle connections.
type Limits struct {
	// Size is how many connections of the key a loop keeps; <= 0: none.
	Size int
	// Idle is how long one may wait, in nanoseconds. The caller lowers it to
	// what the peer announced in Keep-Alive. <= 0: it is not kept.
	Idle int64
	// Requests is how many requests one may serve; 0: any number.
	Requests uint32
}

// Reason says why a connection left the pool.
type Reason uint8

// The reasons, which are also the metric's labels.
const (
	Expired  Reason = iota // its idle time was over
	Evicted                // a newer one needed its place
	Spent                  // it served as many requests as it may, or may not be kept at all
	Outdated               // its key is no longer configured
	Cleared                // the pool was emptied
	NumReasons
)

// String returns the reason's name for metrics.
func (r Reason) String() string {
	return [...]string{"expired", "evicted", "spent", "outdated", "cleared"}[r]
}

// Stats counts what happened in one pool.
type Stats struct {
	Idle   int    // connections that wait now
	Reused uint64 // Takes that found one
	Missed uint64 // Takes that found none
	Kept   uint64 // Puts that kept theirs
	// Removed counts those that their owner took out because the peer closed
	// them.
	Removed uint64
	Closed  [NumReasons]uint64
}

// DefaultMaxIdle bounds the idle connections of a loop over all keys.
const DefaultMaxIdle = 16384

// New returns an empty pool that holds at most maxIdle connections, 0 meaning
// DefaultMaxIdle. close is called for each connection that the pool gives up;
// it must not use the pool.
func New[T any](maxIdle int, close func(T, Reason)) *Pool[T] {
	if maxIdle <= 0 {
		maxIdle = DefaultMaxIdle
	}
	return &Pool[T]{close: close, maxIdle: maxIdle}
}

// Take returns the connection of the key that was used last, or nil. The caller
// owns it and checks whether the peer has closed it; if so it closes it and
// takes the next. now is in nanoseconds on the clock given to Put.
func (p *Pool[T]) Take(id ID, now int64) *Item[T] {
	b := p.at(id)
	if b == nil || b.generation != id.generation() {
		p.stats.Missed++
		return nil
	}
	for it := b.newest; it != nil; it = b.newest {
		p.unlink(it)
		if it.expires <= now {
			p.end(it, Expired)
			continue
		}
		p.stats.Reused++
		return it
	}
	p.stats.Missed++
	return nil
}

// Put keeps an idle connection after a request, or closes it when the limits
// say so, and reports which. A full stack gives up its oldest.
func (p *Pool[T]) Put(id ID, it *Item[T], now int64, l Limits) bool {
	if it.home != nil {
		panic("BUG: a connection was put into a pool twice")
	}
	it.Uses++
	if l.Size <= 0 || l.Idle <= 0 || l.Requests > 0 && it.Uses >= l.Requests {
		p.end(it, Spent)
		return false
	}
	b := p.grow(id)
	if b.generation != id.generation() {
		if b.generation > id.generation() {
			// The key went out of use while the request ran.
			p.end(it, Outdated)
			return false
		}
		p.empty(b, Outdated)
		b.generation = id.generation()
	}
	for b.n >= l.Size {
		p.giveUp(b.oldest, Evicted)
	}
	if p.stats.Idle >= p.maxIdle {
		if b.oldest == nil {
			p.end(it, Evicted)
			return false
		}
		p.giveUp(b.oldest, Evicted)
	}
	it.expires = now + l.Idle
	p.push(b, it)
	p.stats.Kept++
	return true
}

// Remove takes out a connection that is of no more use, such as one whose peer
// closed it; the caller closes it. It reports whether the connection was in the
// pool.
func (p *Pool[T]) Remove(it *Item[T]) bool {
	if it.home == nil {
		return false
	}
	p.unlink(it)
	p.stats.Removed++
	return true
}

// Pooled reports whether the connection is idle in a pool.
func (it *Item[T]) Pooled() bool { return it.home != nil }

// Sweep closes connections whose time is over, looking at no more than budget
// of them, and returns how many it closed. Calls go on where the last one
// ended. Each stack is looked at from its oldest end: one whose upstream
// announced a shorter time than those below it waits until Take comes to it.
func (p *Pool[T]) Sweep(now int64, budget int) int {
	closed := 0
	first := p.sweep
	for b := first; b != nil && budget > 0; {
		budget--
		if it := b.oldest; it.expires <= now {
			p.giveUp(it, Expired)
			closed++
			if b.n > 0 {
				continue
			}
			// b left the circle, and p.sweep stands at the one behind it.
			b, first = p.sweep, p.sweep
			continue
		}
		b = b.after
		p.sweep = b
		if b == first {
			break
		}
	}
	return closed
}

// Clear closes all connections.
func (p *Pool[T]) Clear() {
	for p.sweep != nil {
		p.empty(p.sweep, Cleared)
	}
}

// Idle returns how many connections of a key wait.
func (p *Pool[T]) Idle(id ID) int {
	if b := p.at(id); b != nil && b.generation == id.generation() {
		return b.n
	}
	return 0
}

// Stats returns the counters so far.
func (p *Pool[T]) Stats() Stats { return p.stats }

// at returns the bucket of a number, or nil.
func (p *Pool[T]) at(id ID) *bucket[T] {
	if i := int(id.index()); i < len(p.buckets) {
		return p.buckets[i]
	}
	return nil
}

// grow returns the bucket of a number, made if need be.
func (p *Pool[T]) grow(id ID) *bucket[T] {
	if b := p.at(id); b != nil { // Fast path
		return b
	}
	i := int(id.index())
	if i >= len(p.buckets) {
		p.buckets = append(p.buckets, make([]*bucket[T], max(i+1-len(p.buckets), len(p.buckets), 16))...)
	}
	p.buckets[i] = new(bucket[T])
	return p.buckets[i]
}

func (p *Pool[T]) push(b *bucket[T], it *Item[T]) {
	it.home, it.older, it.newer = b, b.newest, nil
	if b.newest != nil {
		b.newest.newer = it
	} else {
		b.oldest = it
	}
	b.newest = it
	if b.n++; b.n == 1 {
		p.enter(b)
	}
	p.stats.Idle++
}

func (p *Pool[T]) unlink(it *Item[T]) {
	b := it.home
	if it.newer != nil {
		it.newer.older = it.older
	} else {
		b.newest = it.older
	}
	if it.older != nil {
		it.older.newer = it.newer
	} else {
		b.oldest = it.newer
	}
	it.home, it.older, it.newer = nil, nil, nil
	if b.n--; b.n == 0 {
		p.leave(b)
	}
	p.stats.Idle--
}

// enter puts a bucket into the circle of those that hold something, where the
// sweep comes last.
func (p *Pool[T]) enter(b *bucket[T]) {
	if p.sweep == nil {
		b.before, b.after = b, b
		p.sweep = b
		return
	}
	b.after, b.before = p.sweep, p.sweep.before
	b.before.after, b.after.before = b, b
}

func (p *Pool[T]) leave(b *bucket[T]) {
	if b.after == b {
		p.sweep = nil
	} else {
		b.before.after, b.after.before = b.after, b.before
		if p.sweep == b {
			p.sweep = b.after
		}
	}
	b.before, b.after = nil, nil
}

func (p *Pool[T]) empty(b *bucket[T], why Reason) {
	for b.oldest != nil {
		p.giveUp(b.oldest, why)
	}
}

func (p *Pool[T]) giveUp(it *Item[T], why Reason) {
	p.unlink(it)
	p.end(it, why)
}

func (p *Pool[T]) end(it *Item[T], why Reason) {
	p.stats.Closed[why]++
	p.close(it.Conn, why)
}
