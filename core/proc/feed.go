package proc

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// Check decides whether a raw object may be served and returns its value with
// defaults filled in. It is called concurrently.
type Check func(o *conf.Object) (filled []byte, warnings []string, err error)

// FeedOptions are the options of NewFeed.
type FeedOptions struct {
	Check Check
	Table *Table
	Log   *slog.Logger
	// Accepted, if set, is told the objects of a batch that passed the check,
	// as they came from the store, after the table has them. Of a full batch
	// whose objects did not all pass it gets the former versions of those.
	Accepted func(conf.Batch)
	// Changed, if set, is told what a batch changed in what is served, by the
	// objects' texts in the store. At the first full batch the configuration
	// given to Seed is what was before; first says that there was none.
	Changed func(rev int64, changes []Change, first bool)
}

// Change is one object before and after a batch. Before or After is nil where
// it did not or does not exist.
type Change struct {
	Key
	Rev           int64
	Before, After []byte
}

// Feed takes what the store has, keeps out what may not be served, and puts
// the rest into the table. An object that was good and is broken now keeps its
// last good version. Safe for concurrent use.
type Feed struct {
	opts FeedOptions

	// turn is held for a whole batch, mu for looks at the fields. Order: turn,
	// mu.
	turn  sync.Mutex
	mu    sync.Mutex
	known map[Key]*fed
	// refused names the objects whose newest version was refused.
	refused map[Key]struct{}
	// seed holds last good versions of a former run, for objects that are
	// broken at the first read.
	seed map[Key]conf.Object
	// check is opts.Check until Recheck brings another.
	check Check
	rev   int64
	// counters
	batches   uint64
	changedAt time.Time
}

// fed is what the feed knows of one object.
type fed struct {
	raw conf.Object // as last seen
	// good is the raw version in the table; Value is nil when there is none.
	good     conf.Object
	refused  string
	warnings []string
}

// NewFeed makes a feed.
func NewFeed(opts FeedOptions) *Feed {
	return &Feed{opts: opts, check: opts.Check, known: make(map[Key]*fed), refused: make(map[Key]struct{})}
}

// Seed gives the last good configuration of a former run. Nothing of it is
// served by itself: an object that the store holds in a broken version gets
// its version here.
func (f *Feed) Seed(objects []conf.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seed = make(map[Key]conf.Object, len(objects))
	for _, o := range objects {
		f.seed[Key{o.Kind, o.ID}] = o
	}
}

// checked is one object's way through Sink.
type checked struct {
	raw      *conf.Object
	skip     bool // seen before, unchanged
	filled   []byte
	warnings []string
	err      error
}

// Sink takes a batch; it is a store.Provider's sink.
func (f *Feed) Sink(b conf.Batch) {
	f.turn.Lock()
	defer f.turn.Unlock()
	// An object that changed twice takes two turns, so that a broken second
	// version leaves the first one serving.
	for rest := b.Objects; ; {
		n := untilRepeat(rest)
		b.Objects = rest[:n]
		f.take(b, false)
		if rest = rest[n:]; len(rest) == 0 {
			return
		}
		b.Full = false
	}
}

// untilRepeat is how many objects from the start are of different names.
func untilRepeat(objects []conf.Object) int {
	if len(objects) < 2 {
		return len(objects)
	}
	seen := make(map[Key]bool, len(objects))
	for i := range objects {
		k := Key{objects[i].Kind, objects[i].ID}
		if seen[k] {
			return i
		}
		seen[k] = true
	}
	return len(objects)
}

// SinkFirst takes the full batch that a former run knew, if nothing was taken
// before: it never replaces what the store says. taken is called before the
// next batch can come. Accepted is not told: this is its own word.
func (f *Feed) SinkFirst(b conf.Batch, taken func()) bool {
	f.turn.Lock()
	defer f.turn.Unlock()
	if f.Status().Batches > 0 {
		return false
	}
	f.opts.Table.Load(f.judge(b, false).out)
	taken()
	return true
}

// Recheck looks at everything again with another check: the rules changed and
// not the objects.
func (f *Feed) Recheck(check Check) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.mu.Lock()
	f.check = check
	b := conf.Batch{Full: true, Rev: f.rev, Objects: make([]conf.Object, 0, len(f.known))}
	for _, k := range f.known {
		b.Objects = append(b.Objects, k.raw)
	}
	started := f.batches > 0
	f.mu.Unlock()
	if started {
		f.take(b, true)
	}
}

func (f *Feed) take(b conf.Batch, again bool) {
	v := f.judge(b, again)
	f.opts.Table.Load(v.out)
	if f.opts.Accepted != nil {
		f.opts.Accepted(v.accepted)
	}
	if f.opts.Changed != nil && (len(v.changes) > 0 || v.first) {
		f.opts.Changed(b.Rev, v.changes, v.first)
	}
}

// verdict is what becomes of a batch: for the table, for Accepted and for
// Changed.
type verdict struct {
	out, accepted conf.Batch
	changes       []Change
	first         bool
}

func (f *Feed) judge(b conf.Batch, again bool) verdict {
	f.mu.Lock()
	list := make([]checked, len(b.Objects))
	for i := range b.Objects {
		o := &b.Objects[i]
		list[i].raw = o
		k := f.known[Key{o.Kind, o.ID}]
		list[i].skip = !again && !o.Deleted() && k != nil && k.raw.Rev == o.Rev && bytes.Equal(k.raw.Value, o.Value)
	}
	seed, check := f.seed, f.check
	f.mu.Unlock()

	checkAll(list, check)
	for i := range list {
		c := &list[i]
		if c.err != nil {
			f.fallBack(c, seed, check)
		}
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	v := verdict{first: f.batches == 0 && len(seed) == 0}
	if f.opts.Changed != nil && !v.first {
		v.changes = f.changes(&b, list, seed)
	}
	v.out, v.accepted = f.merge(&b, list)
	f.batches++
	f.rev = b.Rev
	if len(v.out.Objects) > 0 {
		f.changedAt = time.Now()
	}
	if b.Full {
		f.seed = nil
	}
	return v
}

// changes tells what merge is about to change, for Changed.
func (f *Feed) changes(b *conf.Batch, list []checked, seed map[Key]conf.Object) []Change {
	before := func(k Key) []byte {
		if f.batches == 0 {
			return seed[k].Value
		}
		if known := f.known[k]; known != nil {
			return known.good.Value
		}
		return nil
	}
	var changes []Change
	named := make(map[Key]bool, len(list))
	for i := range list {
		c := &list[i]
		k := Key{c.raw.Kind, c.raw.ID}
		named[k] = true
		if c.skip || c.err != nil {
			continue
		}
		if old := before(k); !bytes.Equal(old, c.raw.Value) || old == nil && c.raw.Value != nil {
			changes = append(changes, Change{Key: k, Rev: c.raw.Rev, Before: old, After: c.raw.Value})
		}
	}
	if !b.Full {
		return changes
	}
	gone := func(k Key, old []byte) {
		if !named[k] && old != nil {
			changes = append(changes, Change{Key: k, Rev: b.Rev, Before: old})
		}
	}
	if f.batches == 0 {
		for k, o := range seed {
			gone(k, o.Value)
		}
		return changes
	}
	for k, known := range f.known {
		gone(k, known.good.Value)
	}
	return changes
}

// minParallel is how many objects make more than one checking goroutine worth
// it.
const minParallel = 32

func checkAll(list []checked, check Check) {
	one := func(c *checked) {
		if c.skip || c.raw.Deleted() {
			return
		}
		if !fits(c.raw) {
			c.err = errTooLarge
			return
		}
		c.filled, c.warnings, c.err = guarded(check, c.raw)
		if c.err == nil && len(c.filled) > maxValue {
			c.err = errTooLarge
		}
	}
	workers := min(runtime.GOMAXPROCS(0), len(list)/minParallel+1)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(list); i += workers {
				one(&list[i])
			}
		})
	}
	group.Wait()
}

// guarded turns a panic in a check into a refusal of the object.
func guarded(check Check, o *conf.Object) (filled []byte, warnings []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			filled, err = nil, fmt.Errorf("BUG: the check panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return check(o)
}

// fallBack logs a refusal and, where the object was never good in this run,
// brings in the version of the former one.
func (f *Feed) fallBack(c *checked, seed map[Key]conf.Object, check Check) {
	k := Key{c.raw.Kind, c.raw.ID}
	f.mu.Lock()
	known := f.known[k]
	f.mu.Unlock()
	had := known != nil && known.good.Value != nil
	if !had {
		if o, ok := seed[k]; ok {
			if filled, warnings, err := guarded(check, &o); err == nil {
				had = true
				c.filled, c.warnings = filled, warnings
				good := o
				f.mu.Lock()
				f.known[k] = &fed{good: good}
				f.mu.Unlock()
			}
		}
	}
	what := "not served"
	if had {
		what = "its last good version stays"
	}
	f.opts.Log.Error("object refused: "+what, "object", k.Kind.String()+" "+k.ID, "revision", c.raw.Rev, "error", c.err)
}

// merge updates what is known and makes the batch for the table and the one
// for Accepted.
func (f *Feed) merge(b *conf.Batch, list []checked) (out, accepted conf.Batch) {
	out = conf.Batch{Full: b.Full, Rev: b.Rev}
	accepted = out
	next := f.known
	if b.Full {
		next = make(map[Key]*fed, len(list))
		clear(f.refused)
	}
	for i := range list {
		c := &list[i]
		k := Key{c.raw.Kind, c.raw.ID}
		was := f.known[k]
		if c.err != nil || c.skip && was.refused != "" {
			f.refused[k] = struct{}{}
		} else {
			delete(f.refused, k)
		}
		switch {
		case c.raw.Deleted():
			delete(next, k)
			out.Objects = append(out.Objects, *c.raw)
			accepted.Objects = append(accepted.Objects, *c.raw)
			continue
		case c.skip:
			next[k] = was
		case c.err != nil:
			now := &fed{raw: *c.raw, refused: c.err.Error()}
			if was != nil {
				now.good = was.good
			}
			next[k] = now
			if c.filled != nil { // from the seed
				out.Objects = append(out.Objects, withValue(&now.good, c.filled))
				accepted.Objects = append(accepted.Objects, now.good)
				continue
			}
		default:
			next[k] = &fed{raw: *c.raw, good: *c.raw, warnings: c.warnings}
			f.warn(k, was, c)
			out.Objects = append(out.Objects, withValue(c.raw, c.filled))
			accepted.Objects = append(accepted.Objects, *c.raw)
			continue
		}
		// Unchanged or refused: what is in the table stays, and a full batch
		// has to name it.
		if b.Full && next[k].good.Value != nil {
			if o, ok := f.opts.Table.latest(k); ok {
				out.Objects = append(out.Objects, o)
				accepted.Objects = append(accepted.Objects, next[k].good)
			}
		}
	}
	f.known = next
	return out, accepted
}

// warn logs an object's warnings when they are new.
func (f *Feed) warn(k Key, was *fed, c *checked) {
	if was != nil && slices.Equal(was.warnings, c.warnings) {
		return
	}
	for _, w := range c.warnings {
		f.opts.Log.Warn("object accepted with a reservation", "object", k.Kind.String()+" "+k.ID, "revision", c.raw.Rev, "warning", w)
	}
}

func withValue(o *conf.Object, value []byte) conf.Object {
	n := *o
	n.Value = value
	return n
}

// latest is the newest version in the table, served or not.
func (t *Table) latest(k Key) (conf.Object, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.objects[k]; e != nil {
		return e.obj, true
	}
	return conf.Object{}, false
}

// FeedStatus is the state of a feed.
type FeedStatus struct {
	// Batches counts batches from the store; ChangedAt is when one last
	// changed something.
	Batches   uint64    `json:"batches"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	// Refused lists the objects whose newest version is not served.
	Refused []Refusal `json:"refused,omitempty"`
	// Warned counts objects that were accepted with reservations.
	Warned int `json:"warned"`
}

// Status tells what was refused.
func (f *Feed) Status() FeedStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := FeedStatus{Batches: f.batches, ChangedAt: f.changedAt}
	for k, v := range f.known {
		if v.refused != "" {
			st.Refused = append(st.Refused, Refusal{Kind: k.Kind, ID: k.ID, Rev: v.raw.Rev, Reason: v.refused})
		}
		if len(v.warnings) > 0 {
			st.Warned++
		}
	}
	slices.SortFunc(st.Refused, func(a, b Refusal) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return st
}

// Warnings are the reservations with which an object was accepted.
func (f *Feed) Warnings(k Key) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.known[k]; v != nil {
		return v.warnings
	}
	return nil
}

// Refused lists the ids of objects of a kind whose newest version was refused.
func (f *Feed) Refused(kind conf.Kind) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for k := range f.refused {
		if k.Kind == kind {
			ids = append(ids, k.ID)
		}
	}
	return ids
}
