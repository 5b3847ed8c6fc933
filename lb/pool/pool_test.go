package pool

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// conn stands for an upstream connection.
type conn struct {
	Item[*conn]
	name   string
	closed bool
	why    Reason
}

func dial(name string) *conn {
	c := &conn{name: name}
	c.Conn = c
	return c
}

func newPool(maxIdle int) *Pool[*conn] {
	return New(maxIdle, func(c *conn, why Reason) {
		if c.closed {
			panic("closed twice")
		}
		c.closed, c.why = true, why
	})
}

var wide = Limits{Size: 100, Idle: 1000, Requests: 1000}

func id(index, generation int64) ID { return ID(generation<<32 | index) }

func TestTheLastUsedIsTakenFirst(t *testing.T) {
	p := newPool(0)
	a, b, c := dial("a"), dial("b"), dial("c")
	for _, x := range []*conn{a, b, c} {
		if !p.Put(id(3, 1), &x.Item, 10, wide) {
			t.Fatalf("%s was not kept", x.name)
		}
	}
	if p.Idle(id(3, 1)) != 3 || p.Stats().Idle != 3 {
		t.Fatalf("%d idle, want 3", p.Idle(id(3, 1)))
	}
	if p.Take(id(2, 1), 11) != nil || p.Take(id(99, 1), 11) != nil {
		t.Fatal("a connection of another key was taken")
	}
	p.Remove(&b.Item)
	if b.closed || b.Pooled() || p.Remove(&b.Item) {
		t.Fatal("a removed connection is the caller's, once")
	}
	for _, want := range []*conn{c, a} {
		if got := p.Take(id(3, 1), 11); got == nil || got.Conn != want || got.Pooled() {
			t.Fatalf("took %v, want %s", got, want.name)
		}
	}
	if p.Take(id(3, 1), 11) != nil {
		t.Fatal("a connection from an empty pool")
	}
	s := p.Stats()
	if s.Reused != 2 || s.Missed != 3 || s.Kept != 3 || s.Removed != 1 || s.Idle != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestLimits(t *testing.T) {
	f := func(l Limits, uses uint32, kept bool) {
		t.Helper()
		p := newPool(0)
		c := dial("c")
		c.Uses = uses
		if got := p.Put(id(1, 1), &c.Item, 0, l); got != kept || c.closed == kept {
			t.Errorf("%+v after %d uses: kept %v, closed %v", l, uses, got, c.closed)
		}
		if !kept && c.why != Spent {
			t.Errorf("closed because %v", c.why)
		}
	}
	f(Limits{Size: 1, Idle: 1, Requests: 1000}, 0, true)
	f(Limits{Size: 1, Idle: 1, Requests: 3}, 1, true)
	f(Limits{Size: 1, Idle: 1, Requests: 3}, 2, false)
	f(Limits{Size: 1, Idle: 1, Requests: 1}, 0, false)
	f(Limits{Size: 1, Idle: 1}, 1<<30, true)
	f(Limits{Size: 0, Idle: 1}, 0, false)
	f(Limits{Size: 1, Idle: 0}, 0, false)
}

func TestAFullStackGivesUpItsOldest(t *testing.T) {
	p := newPool(0)
	l := wide
	l.Size = 2
	a, b, c := dial("a"), dial("b"), dial("c")
	for _, x := range []*conn{a, b, c} {
		p.Put(id(0, 1), &x.Item, 0, l)
	}
	if !a.closed || a.why != Evicted || b.closed || c.closed {
		t.Error("want the oldest evicted")
	}
	// A smaller size, as after a change of configuration.
	l.Size = 1
	d := dial("d")
	p.Put(id(0, 1), &d.Item, 0, l)
	if !b.closed || !c.closed || d.closed || p.Idle(id(0, 1)) != 1 {
		t.Error("want only the newest kept")
	}
}

func TestTheLoopsTotalIsBounded(t *testing.T) {
	p := newPool(2)
	a, b, c, d := dial("a"), dial("b"), dial("c"), dial("d")
	p.Put(id(0, 1), &a.Item, 0, wide)
	p.Put(id(1, 1), &b.Item, 0, wide)
	if p.Put(id(2, 1), &c.Item, 0, wide) || !c.closed || c.why != Evicted {
		t.Error("a third connection of a third key was kept")
	}
	if !p.Put(id(1, 1), &d.Item, 0, wide) || !b.closed {
		t.Error("a key that has connections trades its oldest in")
	}
	if p.Stats().Idle != 2 {
		t.Errorf("%d idle, want 2", p.Stats().Idle)
	}
}

func TestExpiredConnectionsAreNotTaken(t *testing.T) {
	p := newPool(0)
	short := wide
	short.Idle = 10
	a, b := dial("a"), dial("b")
	p.Put(id(0, 1), &a.Item, 0, wide)
	p.Put(id(0, 1), &b.Item, 0, short)
	if got := p.Take(id(0, 1), 10); got == nil || got.Conn != a || !b.closed || b.why != Expired {
		t.Errorf("took %v", got)
	}
}

func TestAnIndexThatIsUsedAgainDoesNotLeakConnections(t *testing.T) {
	p := newPool(0)
	old, late, fresh := dial("old"), dial("late"), dial("fresh")
	p.Put(id(5, 1), &old.Item, 0, wide)
	if p.Take(id(5, 2), 1) != nil {
		t.Fatal("a connection of the former key was taken")
	}
	p.Put(id(5, 2), &fresh.Item, 1, wide)
	if !old.closed || old.why != Outdated {
		t.Error("the former key's connection is still there")
	}
	if p.Put(id(5, 1), &late.Item, 1, wide) || late.why != Outdated {
		t.Error("a request that ended late pooled its connection under another key")
	}
	if got := p.Take(id(5, 2), 1); got == nil || got.Conn != fresh {
		t.Error("the present key lost its connection")
	}
}

func TestSweepWorksInPieces(t *testing.T) {
	p := newPool(0)
	var all []*conn
	for key := range 10 {
		for i := range 5 {
			c := dial("c")
			all = append(all, c)
			l := wide
			l.Idle = int64(10 + key*10 + i)
			p.Put(id(int64(key), 1), &c.Item, 0, l)
		}
	}
	open := func() (n int) {
		for _, c := range all {
			if !c.closed {
				n++
			}
		}
		return n
	}
	if n := p.Sweep(9, 1000); n != 0 {
		t.Fatalf("%d closed before their time", n)
	}
	closed := 0
	for range 40 {
		n := p.Sweep(59, 3)
		if n > 3 {
			t.Fatalf("%d closed with a budget of 3", n)
		}
		closed += n
	}
	if closed != 25 || open() != 25 {
		t.Fatalf("%d closed, want 25", closed)
	}
	if n := p.Sweep(1000, 1000); n != 25 || open() != 0 || p.Stats().Idle != 0 {
		t.Fatalf("%d closed, want the other 25", n)
	}
	if n := p.Sweep(1000, 1000); n != 0 {
		t.Fatalf("%d closed of an empty pool", n)
	}
}

func TestClear(t *testing.T) {
	p := newPool(0)
	var all []*conn
	for i := range int64(20) {
		c := dial("c")
		all = append(all, c)
		p.Put(id(i%7, 1), &c.Item, 0, wide)
	}
	p.Clear()
	for _, c := range all {
		if !c.closed || c.why != Cleared {
			t.Fatal("a connection was left over")
		}
	}
	if p.Stats().Idle != 0 || p.Stats().Closed[Cleared] != 20 {
		t.Errorf("stats %+v", p.Stats())
	}
}

// TestAnyOrderOfCalls compares the pool with a plain model of it.
func TestAnyOrderOfCalls(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := newPool(40)
	model := make(map[int64][]*conn) // newest last
	now := int64(0)
	var using []*conn
	for step := range 200_000 {
		now++
		key := rnd.Int64N(8)
		live := model[key][:0]
		for _, c := range model[key] {
			if !c.closed {
				live = append(live, c)
			}
		}
		model[key] = live
		switch rnd.IntN(6) {
		case 0, 1:
			c := dial("c")
			if n := len(using); n > 0 && rnd.IntN(2) == 0 {
				c, using = using[n-1], using[:n-1]
			}
			if p.Put(id(key, 1), &c.Item, now, Limits{Size: 6, Idle: 500, Requests: 50}) {
				model[key] = append(model[key], c)
			}
		case 2, 3:
			it := p.Take(id(key, 1), now)
			live = model[key]
			for len(live) > 0 && live[len(live)-1].closed {
				live = live[:len(live)-1]
			}
			model[key] = live
			if it == nil {
				if len(live) > 0 {
					t.Fatalf("step %d: took nothing of %d", step, len(live))
				}
				continue
			}
			if len(live) == 0 || it.Conn != live[len(live)-1] {
				t.Fatalf("step %d: did not take the newest", step)
			}
			model[key] = live[:len(live)-1]
			using = append(using, it.Conn)
		case 4:
			if n := len(model[key]); n > 0 {
				i := rnd.IntN(n)
				if c := model[key][i]; !c.closed && !p.Remove(&c.Item) {
					t.Fatalf("step %d: an idle connection was not in the pool", step)
				}
				model[key] = append(model[key][:i], model[key][i+1:]...)
			}
		case 5:
			p.Sweep(now, rnd.IntN(5))
		}
		idle := 0
		for _, list := range model {
			for _, c := range list {
				if !c.closed {
					idle++
				}
			}
		}
		if s := p.Stats(); s.Idle != idle || idle > 40 {
			t.Fatalf("step %d: the pool says %d idle, the model %d", step, s.Idle, idle)
		}
	}
}

func TestKeysAreNumberedAndReused(t *testing.T) {
	k := NewKeys()
	key := func(scheme, addr, name string) Key {
		return Key{Scheme: scheme, Addr: netip.MustParseAddrPort(addr), ServerName: name}
	}
	a := k.Acquire(key("http", "10.0.0.1:80", ""))
	if k.Acquire(key("http", "10.0.0.1:80", "")) != a {
		t.Error("equal keys have different numbers")
	}
	others := []Key{
		key("https", "10.0.0.1:80", ""), key("http", "10.0.0.1:81", ""), key("http", "10.0.0.1:80", "n"),
		{Scheme: "http", Addr: netip.MustParseAddrPort("10.0.0.1:80"), Certificate: "c"},
		{Scheme: "http", Addr: netip.MustParseAddrPort("10.0.0.1:80"), Verify: true},
	}
	seen := map[ID]bool{a: true}
	for _, o := range others {
		n := k.Acquire(o)
		if seen[n] || n == 0 {
			t.Errorf("%+v has the number %x", o, n)
		}
		seen[n] = true
	}
	k.Release(a)
	if got, ok := k.Key(a); !ok || got.Scheme != "http" {
		t.Error("a key with a user left was forgotten")
	}
	k.Release(a)
	if _, ok := k.Key(a); ok || k.Len() != len(others) {
		t.Error("a key without users is still there")
	}
	b := k.Acquire(key("http", "10.0.0.9:80", ""))
	if b.index() != a.index() || b.generation() <= a.generation() {
		t.Errorf("the new key got %x after %x, want the index again and a later generation", b, a)
	}
	defer func() {
		if recover() == nil {
			t.Error("a number that is gone was released")
		}
	}()
	k.Release(a)
}
