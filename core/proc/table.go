package proc

import (
	"cmp"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/sluicegw/sluice/core/conf"
)

// Key names an object.
type Key struct {
	Kind conf.Kind
	ID   string
}

// Table is the validated configuration in the control process's memory: what
// every data process is fed from. Safe for concurrent use.
type Table struct {
	mu      sync.Mutex
	objects map[Key]*tableEntry
	counts  [conf.NumKinds]int
	rev     int64
	loaded  chan struct{} // closed with the first full batch
	subs    map[*subscription]struct{}
}

type tableEntry struct {
	obj conf.Object
	sum uint64 // of obj.Value
	// good is the last version that a data process took, kept only while obj
	// is one that was refused; a new data process gets it instead.
	good *conf.Object
	// refused is the data process's reason against obj.
	refused string
}

// serve is what a data process is to be given of the entry.
func (e *tableEntry) serve() *conf.Object {
	if e.refused != "" && e.good != nil {
		return e.good
	}
	return &e.obj
}

// NewTable makes an empty table.
func NewTable() *Table {
	return &Table{objects: make(map[Key]*tableEntry), loaded: make(chan struct{}), subs: make(map[*subscription]struct{})}
}

// Load takes a batch of validated objects. Of a full batch only what differs
// counts as changed. The table keeps the values. An object that is too large
// to be sent is left out (Feed refuses it before).
func (t *Table) Load(b conf.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rev = b.Rev
	if b.Full {
		t.removeMissing(b.Objects, b.Rev)
		if !t.Loaded() {
			close(t.loaded)
		}
	}
	for _, o := range b.Objects {
		if fits(&o) {
			t.set(o)
		}
	}
	for sub := range t.subs {
		sub.notify()
	}
}

func (t *Table) removeMissing(objects []conf.Object, rev int64) {
	if len(t.objects) == 0 {
		return
	}
	named := make(map[Key]bool, len(objects))
	for i := range objects {
		named[Key{objects[i].Kind, objects[i].ID}] = true
	}
	for k := range t.objects {
		if !named[k] {
			t.set(conf.Object{Kind: k.Kind, ID: k.ID, Rev: rev})
		}
	}
}

func (t *Table) set(o conf.Object) {
	k := Key{o.Kind, o.ID}
	e := t.objects[k]
	switch {
	case o.Deleted():
		if e == nil {
			return
		}
		delete(t.objects, k)
		t.counts[k.Kind]--
		t.changed(k, o.Rev)
	case e == nil:
		t.objects[k] = &tableEntry{obj: o, sum: xxhash.Sum64(o.Value)}
		t.counts[k.Kind]++
		t.changed(k, o.Rev)
	default:
		sum := xxhash.Sum64(o.Value)
		same := sum == e.sum && o.Rev == e.obj.Rev
		if !same && e.refused == "" {
			good := e.obj
			e.good = &good
		}
		e.obj, e.sum = o, sum
		if !same {
			e.refused = ""
			t.changed(k, o.Rev)
		}
	}
}

func (t *Table) changed(k Key, rev int64) {
	for sub := range t.subs {
		if !sub.full {
			sub.pending[k] = rev
		}
	}
}

// acked notes the data process's answer to a batch.
func (t *Table) acked(b *conf.Batch, refused []Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	why := make(map[Key]string, len(refused))
	for _, r := range refused {
		why[Key{r.Kind, r.ID}] = r.Reason
	}
	for i := range b.Objects {
		o := &b.Objects[i]
		k := Key{o.Kind, o.ID}
		e := t.objects[k]
		if e == nil || e.obj.Rev != o.Rev || o.Deleted() {
			continue // changed again meanwhile, or the good version was sent
		}
		if reason, no := why[k]; no {
			e.refused = cmp.Or(reason, "refused by the data process")
			continue
		}
		e.refused, e.good = "", nil
	}
}

// Get returns an object as it is to be served, and whether it is there.
func (t *Table) Get(kind conf.Kind, id string) (conf.Object, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.objects[Key{kind, id}]; e != nil {
		return *e.serve(), true
	}
	return conf.Object{}, false
}

// List returns the objects of a kind in the order of their creation.
func (t *Table) List(kind conf.Kind) []conf.Object {
	t.mu.Lock()
	list := make([]conf.Object, 0, t.counts[kind])
	for k, e := range t.objects {
		if k.Kind == kind {
			list = append(list, *e.serve())
		}
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b conf.Object) int {
		return cmp.Or(cmp.Compare(a.CreateRev, b.CreateRev), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Rev is the revision up to which the table is true.
func (t *Table) Rev() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rev
}

// Loaded tells whether a full batch has been taken.
func (t *Table) Loaded() bool {
	select {
	case <-t.loaded:
		return true
	default:
		return false
	}
}

// Counts is the number of objects of each kind that has any, by collection
// name.
func (t *Table) Counts() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := make(map[string]int)
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if t.counts[k] > 0 {
			counts[k.Dir()] = t.counts[k]
		}
	}
	return counts
}

// Refused lists the objects that the data process would not take.
func (t *Table) Refused() []Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Refusal
	for k, e := range t.objects {
		if e.refused != "" {
			list = append(list, Refusal{Kind: k.Kind, ID: k.ID, Rev: e.obj.Rev, Reason: e.refused})
		}
	}
	slices.SortFunc(list, func(a, b Refusal) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return list
}

// subscription is what one data process still has to be told. A change of an
// object that waits already replaces it, so a slow process costs no more than
// the names of what changed.
type subscription struct {
	table   *Table
	full    bool          // nothing was sent yet: the whole table is due
	pending map[Key]int64 // revision of the newest change
	wake    chan struct{}
	// base, if set, is what an adopted process has; it turns the first
	// batch into a difference.
	base map[Key]uint64
}

// subscribe starts with the whole table. base (may be nil) holds the
// checksums of the values that the data process serves already.
func (t *Table) subscribe(base map[Key]uint64) *subscription {
	s := &subscription{table: t, full: true, base: base, pending: make(map[Key]int64), wake: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs[s] = struct{}{}
	if t.Loaded() {
		s.notify()
	}
	return s
}

func (s *subscription) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// cancel ends the subscription.
func (s *subscription) cancel() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	delete(s.table.subs, s)
}

// take returns what is due as one batch and marks it as told. It reports
// false before the table has been loaded.
func (s *subscription) take() (*conf.Batch, bool) {
	t := s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.Loaded() {
		return nil, false
	}
	b := &conf.Batch{Rev: t.rev}
	switch {
	case s.full && s.base == nil:
		b.Full = true
		b.Objects = make([]conf.Object, 0, len(t.objects))
		for _, e := range t.objects {
			b.Objects = append(b.Objects, *e.serve())
		}
	case s.full:
		s.difference(b)
	default:
		b.Objects = make([]conf.Object, 0, len(s.pending))
		for k, rev := range s.pending {
			if e := t.objects[k]; e != nil {
				b.Objects = append(b.Objects, e.obj)
			} else {
				b.Objects = append(b.Objects, conf.Object{Kind: k.Kind, ID: k.ID, Rev: rev})
			}
		}
		clear(s.pending)
	}
	s.full, s.base = false, nil
	sortForApply(b.Objects)
	return b, true
}

func (s *subscription) difference(b *conf.Batch) {
	t := s.table
	for k, e := range t.objects {
		o := e.serve()
		if sum, has := s.base[k]; !has || sum != xxhash.Sum64(o.Value) {
			b.Objects = append(b.Objects, *o)
		}
	}
	for k := range s.base {
		if t.objects[k] == nil {
			b.Objects = append(b.Objects, conf.Object{Kind: k.Kind, ID: k.ID, Rev: t.rev})
		}
	}
}

// sortForApply puts what others refer to before what refers to it, and
// removes in the reverse order.
func sortForApply(objects []conf.Object) {
	slices.SortFunc(objects, func(a, b conf.Object) int {
		switch {
		case a.Deleted() != b.Deleted():
			if a.Deleted() {
				return 1
			}
			return -1
		case a.Deleted():
			return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.ID, b.ID))
	})
}

// Newest is the highest revision of the objects of a kind; false when there
// are none.
func (t *Table) Newest(kind conf.Kind) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[kind] == 0 {
		return 0, false
	}
	newest := int64(0)
	for k, e := range t.objects {
		if k.Kind == kind {
			newest = max(newest, e.obj.Rev)
		}
	}
	return newest, true
}
