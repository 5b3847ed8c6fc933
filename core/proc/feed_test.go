package proc

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// upper accepts lower-case values and fills them in by making them upper case.
func upper(o *conf.Object) ([]byte, []string, error) {
	switch {
	case bytes.Contains(o.Value, []byte("bad")):
		return nil, nil, errors.New("it is bad")
	case bytes.Contains(o.Value, []byte("panic")):
		panic("no way")
	case bytes.Contains(o.Value, []byte("odd")):
		return bytes.ToUpper(o.Value), []string{"it is odd"}, nil
	}
	return bytes.ToUpper(o.Value), nil, nil
}

type feedWorld struct {
	*Feed
	t        *testing.T
	table    *Table
	log      bytes.Buffer
	accepted []conf.Batch
}

func newFeedWorld(t *testing.T) *feedWorld {
	w := &feedWorld{t: t, table: NewTable()}
	w.Feed = NewFeed(FeedOptions{
		Check: upper, Table: w.table, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Accepted: func(b conf.Batch) { w.accepted = append(w.accepted, b) },
	})
	return w
}

func (w *feedWorld) has(id, want string) {
	w.t.Helper()
	o, ok := w.table.Get(conf.KindRoute, id)
	if ok != (want != "") || string(o.Value) != want {
		w.t.Errorf("%s is %q (%v), want %q", id, o.Value, ok, want)
	}
}

func (w *feedWorld) logged(text string, times int) {
	w.t.Helper()
	if n := strings.Count(w.log.String(), text); n != times {
		w.t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, w.log.String())
	}
}

func TestBrokenObjectKeepsItsLastGoodVersion(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1, route("a", 1, "one"), route("b", 1, "bad")))
	w.has("a", "ONE")
	w.has("b", "")
	w.Sink(change(2, route("a", 2, "bad")))
	w.has("a", "ONE")
	w.logged("route a", 1)
	w.logged("its last good version stays", 1)
	// Read again, unchanged: nothing new to say, nothing lost.
	w.Sink(full(3, route("a", 2, "bad"), route("b", 1, "bad")))
	w.has("a", "ONE")
	w.logged("route a", 1)
	w.logged("route b", 1)
	if st := w.Status(); len(st.Refused) != 2 || st.Refused[0].Rev != 2 {
		t.Errorf("status %+v", st)
	}
	if got := w.Refused(conf.KindRoute); len(got) != 2 {
		t.Errorf("refused are %q", got)
	}
	w.Sink(change(4, route("a", 4, "two")))
	w.has("a", "TWO")
	if got := w.Refused(conf.KindRoute); len(got) != 1 || got[0] != "b" {
		t.Errorf("refused are %q", got)
	}
	if st := w.Status(); len(st.Refused) != 1 {
		t.Errorf("status %+v", st)
	}
	// A broken object that goes away takes its good version along.
	w.Sink(change(5, route("a", 5, "bad")))
	w.Sink(change(6, conf.Object{Kind: conf.KindRoute, ID: "a", Rev: 6}))
	w.has("a", "")
	w.Sink(full(7))
	if st := w.Status(); len(st.Refused) != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestTwoVersionsInOneBatch(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1))
	w.Sink(change(3, route("a", 2, "one"), route("a", 3, "bad")))
	w.has("a", "ONE")
	w.Sink(change(5, route("a", 4, "bad"), route("a", 5, "two")))
	w.has("a", "TWO")
}

func TestSeedStandsInForWhatIsBrokenAtTheStart(t *testing.T) {
	w := newFeedWorld(t)
	w.Seed([]conf.Object{route("a", 1, "old"), route("b", 1, "old"), route("c", 1, "bad")})
	w.Sink(full(5, route("a", 5, "bad"), route("c", 5, "bad")))
	w.has("a", "OLD")
	w.has("b", "") // deleted meanwhile
	w.has("c", "")
	if o, _ := w.table.Get(conf.KindRoute, "a"); o.Rev != 1 {
		t.Errorf("the old version has revision %d", o.Rev)
	}
	w.Sink(full(6, route("a", 5, "bad")))
	w.has("a", "OLD")
	if n := len(w.accepted[1].Objects); n != 1 || string(w.accepted[1].Objects[0].Value) != "old" {
		t.Errorf("accepted %+v", w.accepted[1])
	}
}

func TestAcceptedGetsRawValues(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1, route("a", 1, "one"), route("b", 1, "bad")))
	w.Sink(full(2, route("a", 1, "one"), route("b", 2, "two")))
	for i, want := range []string{"full a@1=one", "full a@1=one b@2=two"} {
		if got := due(&w.accepted[i]); got != want {
			t.Errorf("accepted %q, want %q", got, want)
		}
	}
}

func TestChangesAreTold(t *testing.T) {
	w := newFeedWorld(t)
	var told []string
	w.opts.Changed = func(rev int64, changes []Change, first bool) {
		text := fmt.Sprint(rev)
		if first {
			text += " first"
		}
		var parts []string
		for _, c := range changes {
			parts = append(parts, fmt.Sprintf(" %s@%d:%s>%s", c.ID, c.Rev, c.Before, c.After))
		}
		slices.Sort(parts)
		told = append(told, text+strings.Join(parts, ""))
	}
	f := func(want string, b conf.Batch) {
		t.Helper()
		told = nil
		w.Sink(b)
		if got := strings.Join(told, "; "); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	f("1 first", full(1, route("a", 1, "one")))
	f("2 a@2:one>two b@2:>new", change(2, route("a", 2, "two"), route("b", 2, "new")))
	f("", change(3, route("a", 3, "bad")))
	f("", full(4, route("a", 3, "bad"), route("b", 2, "new")))
	f("5 a@5:two>three", change(5, route("a", 5, "three")))
	f("6 b@6:new>", full(6, route("a", 5, "three")))
	f("7 a@7:three>", change(7, conf.Object{Kind: conf.KindRoute, ID: "a", Rev: 7}))
	f("", change(8, conf.Object{Kind: conf.KindRoute, ID: "a", Rev: 8}))

	// After a restart the former run's configuration is what was before.
	w2 := newFeedWorld(t)
	w2.opts.Changed = w.opts.Changed
	w = w2
	w.Seed([]conf.Object{route("a", 1, "one"), route("b", 1, "one"), route("c", 1, "one")})
	f("9 a@9:one>two b@9:one>", full(9, route("a", 9, "two"), route("c", 1, "one")))
}

func TestPanickingCheckRefusesTheObject(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1, route("a", 1, "panic"), route("b", 1, "fine")))
	w.has("a", "")
	w.has("b", "FINE")
	w.logged("no way", 1)
}

func TestTooLargeIsRefusedByName(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1, route(strings.Repeat("x", maxID+1), 1, "one"), route("b", 1, "fine")))
	w.has("b", "FINE")
	if st := w.Status(); len(st.Refused) != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestWarningsAreSaidOnce(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1, route("a", 1, "odd")))
	w.Sink(change(2, route("a", 2, "odd too")))
	w.logged("it is odd", 1)
	if st := w.Status(); st.Warned != 1 {
		t.Errorf("status %+v", st)
	}
}

func TestRecheckWithOtherRules(t *testing.T) {
	w := newFeedWorld(t)
	w.Sink(full(1, route("a", 1, "bad"), route("b", 1, "one")))
	w.Recheck(func(o *conf.Object) ([]byte, []string, error) {
		if o.ID == "b" {
			return nil, nil, errors.New("b is out")
		}
		return o.Value, nil, nil
	})
	w.has("a", "bad")
	w.has("b", "ONE") // it was good once
	if st := w.Status(); len(st.Refused) != 1 || st.Refused[0].ID != "b" {
		t.Errorf("status %+v", st)
	}
}
