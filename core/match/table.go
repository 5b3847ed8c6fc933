package match

import (
	"hash/maphash"
	"iter"
)

// Mode is the router that apisix.router.http names.
type Mode uint8

const (
	// ModeHostURI (radixtree_host_uri, the default) decides by host first: the
	// exact host, then wildcards from the longest suffix to the shortest, then
	// routes without host.
	ModeHostURI Mode = iota
	// ModeURI (radixtree_uri) decides by path and priority over all hosts; a
	// host is only a condition.
	ModeURI
	// ModeURIWithParameter (radixtree_uri_with_parameter) is ModeURI with
	// ":name" segments in paths.
	ModeURIWithParameter
)

// Options are the settings of a table. They hold for all tables that are
// edited out of it.
type Options struct {
	Mode Mode
	// DeleteTailSlash matches a path that ends with '/' as if it did not
	// (apisix.delete_uri_tail_slash). The path "/" stays. Ctx.Path is left as
	// it is.
	DeleteTailSlash bool
}

// Table is a set of routes. It is immutable: any number of goroutines match on
// it, and Edit leads to a new one. Use New; the zero value is not a table.
type Table struct {
	opt  Options
	seed maphash.Seed
	// hosts holds the levels of ModeHostURI for routes with a host; any holds
	// all other routes.
	hosts hostIndex[paths]
	any   paths
	byID  hashMap[*Entry]
	n     int // routes
	body  int // routes whose conditions may need the request body
}

// New returns an empty table.
func New(opt Options) *Table { return &Table{opt: opt, seed: maphash.MakeSeed()} }

// Len is the number of routes.
func (t *Table) Len() int { return t.n }

// NeedsBody reports whether matching may have to wait for a request's body,
// because the vars of some route look into it. Such a request must be matched
// on a task; without one the variables are unset.
func (t *Table) NeedsBody() bool { return t.body > 0 }

// Get returns the entry of the route called id, nil when there is none.
func (t *Table) Get(id string) *Entry {
	if e := t.byID.get(hashString(t.seed, id), []byte(id)); e != nil {
		return *e
	}
	return nil
}

// All yields every entry once, in no order.
func (t *Table) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		t.byID.all(func(_ string, e **Entry) bool { return yield(*e) })
	}
}

// Tx collects changes that become a new table together. A transaction belongs
// to one goroutine.
type Tx struct {
	t   Table
	own *owner
}

// Edit begins a transaction. The table itself never changes.
func (t *Table) Edit() *Tx { return &Tx{t: *t, own: new(owner)} }

// Put adds an entry, in place of an earlier one for the same route id. When it
// fails, on a malformed pattern, nothing has changed.
func (tx *Tx) Put(e *Entry) error {
	at, err := e.locations(tx.t.opt.Mode)
	if err != nil {
		return err
	}
	tx.Delete(e.Route.ID)
	tx.t.n++
	if e.Vars.NeedsBody() {
		tx.t.body++
	}
	*tx.t.byID.edit(tx.own, hashString(tx.t.seed, e.Route.ID), e.Route.ID) = e
	var tail *pattern
	for i := range at {
		l := &at[i]
		if l.path.tail == nil {
			tail = nil
		} else if i == 0 || at[i-1].uri != l.uri {
			p := l.path
			tail = &p
		}
		c := candidate{
			methods: e.Methods,
			more:    len(e.RemoteAddrs) > 0 || e.Vars != nil || e.Cond != nil || tail != nil,
			route:   e.Route,
			e:       e,
			uri:     l.uri,
			host:    l.host.written,
			tail:    tail,
		}
		tx.insert(l, c)
	}
	return nil
}

// Delete removes the route called id and tells whether there was one.
func (tx *Tx) Delete(id string) bool {
	hash := hashString(tx.t.seed, id)
	found := tx.t.byID.get(hash, []byte(id))
	if found == nil {
		return false
	}
	e := *found
	tx.t.n--
	if e.Vars.NeedsBody() {
		tx.t.body--
	}
	tx.t.byID.remove(tx.own, hash, id)
	at, err := e.locations(tx.t.opt.Mode)
	if err != nil {
		panic("BUG: an entry that was accepted does not compile any more: " + err.Error())
	}
	for i := range at {
		tx.remove(&at[i], id)
	}
	return true
}

// Commit returns the table with all changes. The transaction can go on from
// there; it no longer touches what it has handed out.
func (tx *Tx) Commit() *Table {
	t := tx.t
	tx.own = new(owner)
	return &t
}

func (tx *Tx) insert(l *location, c candidate) {
	t, own := &tx.t, tx.own
	switch {
	case c.host == "":
		t.any.edit(own, t.seed, &l.path).insert(own, c)
	case t.opt.Mode == ModeHostURI:
		level := t.hosts.edit(own, t.seed, &l.host)
		level.edit(own, t.seed, &l.path).insert(own, c)
	default:
		x := t.any.edit(own, t.seed, &l.path).writableHosts(own)
		x.edit(own, t.seed, &l.host).insert(own, c)
	}
}

// remove undoes insert. A spot that an earlier duplicate of the same pair has
// emptied is gone already.
func (tx *Tx) remove(l *location, id string) {
	t, own := &tx.t, tx.own
	if l.host.written == "" || t.opt.Mode != ModeHostURI {
		t.any.removeRoute(own, t.seed, l, id)
		return
	}
	if t.hosts.find(t.seed, &l.host) == nil {
		return
	}
	level := t.hosts.edit(own, t.seed, &l.host)
	level.removeRoute(own, t.seed, l, id)
	if level.empty() {
		t.hosts.remove(own, t.seed, &l.host)
	}
}

func (p *paths) removeRoute(own *owner, seed maphash.Seed, l *location, id string) {
	if p.find(seed, &l.path) == nil {
		return
	}
	s := p.edit(own, seed, &l.path)
	if h := s.hosts(); h == nil || l.host.written == "" {
		s.candidates.remove(own, id)
	} else if h.find(seed, &l.host) != nil {
		x := s.writableHosts(own)
		list := x.edit(own, seed, &l.host)
		list.remove(own, id)
		if list.empty() {
			x.remove(own, seed, &l.host)
		}
		if x.hosts == 0 {
			s.writable(own).byHost = nil
			s.trim()
		}
	}
	if s.empty() {
		p.drop(own, seed, &l.path)
	}
}
