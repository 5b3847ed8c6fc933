package proc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// due describes a batch for comparison: "full r@1=one -s".
func due(b *conf.Batch) string {
	var parts []string
	if b.Full {
		parts = append(parts, "full")
	}
	for i := range b.Objects {
		o := &b.Objects[i]
		if o.Deleted() {
			parts = append(parts, "-"+o.ID)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s@%d=%s", o.ID, o.Rev, o.Value))
	}
	return strings.Join(parts, " ")
}

func expectDue(t *testing.T, s *subscription, want string) {
	t.Helper()
	b, ok := s.take()
	if !ok {
		t.Errorf("nothing to take, want %q", want)
		return
	}
	if got := due(b); got != want {
		t.Errorf("due %q, want %q", got, want)
	}
}

func TestSubscriptionIsToldWhatItLacks(t *testing.T) {
	table := NewTable()
	s := table.subscribe(nil)
	defer s.cancel()
	if _, ok := s.take(); ok {
		t.Fatal("a batch before the table was loaded")
	}
	table.Load(full(1, route("a", 1, "x"), route("b", 1, "y")))
	<-s.wake
	expectDue(t, s, "full a@1=x b@1=y")
	table.Load(change(2, route("a", 2, "z")))
	<-s.wake
	expectDue(t, s, "a@2=z")
	table.Load(change(3, conf.Object{Kind: conf.KindRoute, ID: "a", Rev: 3}))
	expectDue(t, s, "-a")
	table.Load(change(4, conf.Object{Kind: conf.KindRoute, ID: "nobody", Rev: 4}))
	expectDue(t, s, "")
	table.Load(full(5, route("b", 1, "y"), route("c", 5, "w")))
	expectDue(t, s, "c@5=w")
	table.Load(full(6))
	expectDue(t, s, "-b -c")
}

func TestBacklogHoldsOnlyTheNewestVersion(t *testing.T) {
	table := NewTable()
	table.Load(full(1))
	s := table.subscribe(nil)
	defer s.cancel()
	expectDue(t, s, "full")
	for rev := int64(2); rev < 1000; rev++ {
		table.Load(change(rev, route("a", rev, fmt.Sprint(rev))))
	}
	table.Load(change(1000, route("b", 1000, "x")))
	table.Load(change(1001, conf.Object{Kind: conf.KindRoute, ID: "b", Rev: 1001}))
	if n := len(s.pending); n != 2 {
		t.Errorf("%d names wait, want 2", n)
	}
	expectDue(t, s, "a@999=999 -b")
}

func TestUnchangedValueAtTheSameRevisionIsNoChange(t *testing.T) {
	table := NewTable()
	table.Load(full(1, route("a", 1, "x")))
	s := table.subscribe(nil)
	defer s.cancel()
	expectDue(t, s, "full a@1=x")
	table.Load(change(2, route("a", 1, "x")))
	expectDue(t, s, "")
	table.Load(change(3, route("a", 1, "other"))) // a file's own numbers
	expectDue(t, s, "a@1=other")
	table.Load(change(4, route("a", 4, "other")))
	expectDue(t, s, "a@4=other")
}

func TestBaseTurnsTheFirstBatchIntoADifference(t *testing.T) {
	table := NewTable()
	table.Load(full(9, route("same", 1, "x"), route("changed", 9, "new"), route("new", 9, "n")))
	sums := func(values map[string]string) map[Key]uint64 {
		d := &dataProcess{applied: map[Key]uint64{}}
		b := conf.Batch{}
		for id, v := range values {
			b.Objects = append(b.Objects, route(id, 1, v))
		}
		d.note(&b, nil)
		have, err := parseInventory(d.inventory())
		if err != nil {
			t.Fatal(err)
		}
		return have
	}
	s := table.subscribe(sums(map[string]string{"same": "x", "changed": "old", "gone": "g"}))
	defer s.cancel()
	expectDue(t, s, "changed@9=new new@9=n -gone")
	expectDue(t, s, "")
}

func TestOrderOfABatch(t *testing.T) {
	object := func(kind conf.Kind, id string, rev int64, value string) conf.Object {
		o := conf.Object{Kind: kind, ID: id, Rev: rev}
		if value != "" {
			o.Value = []byte(value)
		}
		return o
	}
	list := []conf.Object{
		object(conf.KindUpstream, "gone-u", 9, ""),
		object(conf.KindRoute, "gone-r", 8, ""),
		object(conf.KindRoute, "r2", 7, "x"),
		object(conf.KindRoute, "r1", 6, "x"),
		object(conf.KindService, "s", 5, "x"),
		object(conf.KindUpstream, "u", 10, "x"),
	}
	sortForApply(list)
	var ids []string
	for i := range list {
		ids = append(ids, list[i].ID)
	}
	if want := []string{"u", "s", "r1", "r2", "gone-r", "gone-u"}; !slices.Equal(ids, want) {
		t.Errorf("order %v, want %v", ids, want)
	}
}

func TestRefusalsOfTheDataProcess(t *testing.T) {
	table := NewTable()
	refuse := func(b *conf.Batch, ids ...string) {
		var list []Refusal
		for _, id := range ids {
			list = append(list, Refusal{Kind: conf.KindRoute, ID: id, Reason: "no"})
		}
		table.acked(b, list)
	}
	served := func(id, want string) {
		t.Helper()
		o, ok := table.Get(conf.KindRoute, id)
		if !ok || string(o.Value) != want {
			t.Errorf("%s serves %q, want %q", id, o.Value, want)
		}
	}
	first := full(1, route("a", 1, "good"), route("b", 1, "bad from the start"))
	table.Load(first)
	refuse(&first, "b")
	second := change(2, route("a", 2, "bad"))
	table.Load(second)
	refuse(&second, "a")
	served("a", "good")
	served("b", "bad from the start") // there is no better one
	if n := len(table.Refused()); n != 2 {
		t.Errorf("%d refusals, want 2", n)
	}
	// Two bad versions in a row do not lose the good one.
	third := change(3, route("a", 3, "worse"))
	table.Load(third)
	refuse(&third, "a")
	served("a", "good")
	s := table.subscribe(nil)
	expectDue(t, s, "full a@1=good b@1=bad from the start")
	s.cancel()
	// The answer to an old version says nothing about a newer one.
	fourth := change(4, route("a", 4, "fine"))
	table.Load(fourth)
	refuse(&second, "a")
	served("a", "fine")
	refuse(&fourth)
	if list := table.Refused(); len(list) != 1 || list[0].ID != "b" {
		t.Errorf("refused: %+v", list)
	}
}

func TestCountsAndLists(t *testing.T) {
	table := NewTable()
	table.Load(full(3, route("b", 3, "x"), route("a", 2, "x"), conf.Object{Kind: conf.KindUpstream, ID: "u", Rev: 1, Value: []byte("x")}))
	if c := table.Counts(); c["routes"] != 2 || c["upstreams"] != 1 || len(c) != 2 {
		t.Errorf("counts %v", c)
	}
	table.Load(change(4, conf.Object{Kind: conf.KindUpstream, ID: "u", Rev: 4}))
	if c := table.Counts(); c["upstreams"] != 0 {
		t.Errorf("counts %v", c)
	}
	list := table.List(conf.KindRoute)
	if len(list) != 2 || list[0].ID != "a" {
		t.Errorf("list %v", list)
	}
	if rev, ok := table.Newest(conf.KindRoute); !ok || rev != 3 {
		t.Errorf("newest %d, %v", rev, ok)
	}
	if _, ok := table.Newest(conf.KindUpstream); ok {
		t.Error("a revision of nothing")
	}
}
