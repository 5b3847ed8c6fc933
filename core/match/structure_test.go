package match

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/req"
)

// The map must survive hashes that agree in all their bits, which no test with
// real hashes will see.
func TestHashMapWithEqualHashes(t *testing.T) {
	f := func(hash func(i int) uint64) {
		t.Helper()
		var m hashMap[int]
		own := new(owner)
		const n = 70
		for i := range n {
			*m.edit(own, hash(i), fmt.Sprint(i)) = i
		}
		before := m
		own = new(owner)
		for i := range n {
			if i%2 == 0 {
				m.remove(own, hash(i), fmt.Sprint(i))
			} else {
				*m.edit(own, hash(i), fmt.Sprint(i)) = -i
			}
		}
		for i := range n {
			key := []byte(fmt.Sprint(i))
			if v := before.get(hash(i), key); v == nil || *v != i {
				t.Fatalf("the old map has changed at %d", i)
			}
			v := m.get(hash(i), key)
			if i%2 == 0 && v != nil || i%2 == 1 && (v == nil || *v != -i) {
				t.Fatalf("the new map is wrong at %d", i)
			}
		}
		count := 0
		m.all(func(string, *int) bool { count++; return true })
		if count != n/2 {
			t.Fatalf("%d entries, want %d", count, n/2)
		}
		for i := range n {
			m.remove(own, hash(i), fmt.Sprint(i))
		}
		if !m.empty() {
			t.Fatal("an emptied map is not empty")
		}
	}
	f(func(int) uint64 { return 42 })
	f(func(i int) uint64 { return uint64(i % 3) })
	f(func(i int) uint64 { return uint64(i) << 60 })
	seed := maphash.MakeSeed()
	f(func(i int) uint64 { return hashString(seed, fmt.Sprint(i)) })
}

func TestCommittedTablesNeverChange(t *testing.T) {
	tx := New(Options{}).Edit()
	put := func(id, uri string) {
		t.Helper()
		if err := tx.Put(&Entry{Route: &req.Route{ID: id}, URIs: []string{uri}, Hosts: []string{"h"}}); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "/x")
	first := tx.Commit()
	put("b", "/x") // the same transaction goes on
	tx.Delete("a")
	second := tx.Commit()
	third := first.Edit() // and another starts from the old table
	third.Delete("a")
	empty := third.Commit()
	checkRoute(t, first, "h/x", "a")
	checkRoute(t, second, "h/x", "b")
	checkRoute(t, empty, "h/x", "none")
	if first.Len() != 1 || second.Len() != 1 || empty.Len() != 0 {
		t.Errorf("lengths %d %d %d", first.Len(), second.Len(), empty.Len())
	}
}

// A path of very many segments must not cost a probe for each.
func TestManySegmentsAreCheap(t *testing.T) {
	table := tableOf(t, Options{}, "a - /a/b/*", "deep - /"+strings.Repeat("d/", 30)+"*", "c *.b.c /")
	ctx := get(t, "h/a/b"+strings.Repeat("/x", 2000))
	ctx.Host = []byte(strings.Repeat("a.", 100) + "b.c")
	if !table.Match(ctx) || ctx.Route.ID != "a" {
		t.Errorf("got %v", ctx.Route)
	}
	checkRoute(t, table, "h/"+strings.Repeat("d/", 30)+"x", "deep")
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{
		{"/a/*/c", "/a/b/c"}, {"/u/:id/*rest", "/u/1/a"}, {"*", ""}, {"/a*b*c", "/abbc"}, {"/:a/*b/:c", "/1/2/3"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, uri, path string) {
		if len(uri) > 40 || len(path) > 40 {
			return
		}
		p, err := parsePattern(uri, true)
		if err != nil {
			return
		}
		if !strings.HasPrefix(uri, p.static) || p.exact && p.static != uri {
			t.Fatalf("%q: static part %q", uri, p.static)
		}
		if !strings.HasPrefix(path, p.static) || p.tail == nil {
			return
		}
		var spans [req.MaxParams]req.Span
		ref := reference{mode: ModeURIWithParameter}
		got := p.match([]byte(path), &spans)
		// A wildcard at the very beginning begins a segment, too.
		if want := ref.path("/"+uri, "/"+path); uri[0] != '/' && got != want {
			t.Fatalf("%q on %q: %v, the reference says %v", uri, path, got, want)
		}
		if want := ref.path(uri, path); uri[0] == '/' && got != want {
			t.Fatalf("%q on %q: %v, the reference says %v", uri, path, got, want)
		}
		for i := range p.names {
			if s := spans[i]; got && (s.Start > s.End || int(s.End) > len(path)) {
				t.Fatalf("%q on %q: capture %d is %v", uri, path, i, s)
			}
		}
	})
}
