package match

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sort"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// reference is the contract's matching order written down naively: every pair
// of host and path of every route, sorted, tried one after the other.
type reference struct {
	mode  Mode
	pairs []refPair
}

type refPair struct {
	e         *Entry
	host, uri string
}

func newReference(mode Mode, entries []*Entry) *reference {
	r := &reference{mode: mode}
	for _, e := range entries {
		hosts := e.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, h := range hosts {
			for _, u := range e.URIs {
				r.pairs = append(r.pairs, refPair{e, strings.ToLower(h), u})
			}
		}
	}
	sort.SliceStable(r.pairs, func(i, j int) bool { return r.less(&r.pairs[i], &r.pairs[j]) })
	return r
}

func (r *reference) less(a, b *refPair) bool {
	if r.mode == ModeHostURI {
		// Exact hosts, wildcards by the length of the suffix, no host.
		rank := func(p *refPair) (int, int) {
			switch {
			case p.host == "":
				return 2, 0
			case p.host[0] == '*':
				return 1, -len(p.host)
			case namesPort(p.host):
				return 0, -1
			}
			return 0, 0
		}
		a1, a2 := rank(a)
		b1, b2 := rank(b)
		if a1 != b1 {
			return a1 < b1
		}
		if a2 != b2 {
			return a2 < b2
		}
		if a.host != b.host {
			return a.host < b.host
		}
	}
	as, aexact := r.static(a.uri)
	bs, bexact := r.static(b.uri)
	if aexact != bexact {
		return aexact
	}
	if len(as) != len(bs) {
		return len(as) > len(bs)
	}
	if as != bs {
		return as < bs
	}
	if a.e.Priority != b.e.Priority {
		return a.e.Priority > b.e.Priority
	}
	if len(a.uri) != len(b.uri) {
		return len(a.uri) > len(b.uri)
	}
	if a.e.Route.ID != b.e.Route.ID {
		return a.e.Route.ID < b.e.Route.ID
	}
	if a.uri != b.uri {
		return a.uri < b.uri
	}
	return a.host < b.host
}

// static is the part before the first wildcard.
func (r *reference) static(uri string) (string, bool) {
	for i := range uri {
		if uri[i] == '*' || r.mode == ModeURIWithParameter && uri[i] == ':' && (i == 0 || uri[i-1] == '/') {
			return uri[:i], false
		}
	}
	return uri, true
}

func (r *reference) match(ctx *req.Ctx) (id, uri, host string) {
	for i := range r.pairs {
		p := &r.pairs[i]
		if refHost(p.host, ctx) && refMethod(p.e, ctx) && refAddr(p.e, ctx) && p.e.Vars.Eval(ctx) && r.path(p.uri, string(ctx.Path)) {
			return p.e.Route.ID, p.uri, p.host
		}
	}
	return "", "", ""
}

func refHost(pattern string, ctx *req.Ctx) bool {
	if pattern == "" {
		return true
	}
	host := string(ctx.Host)
	if namesPort(strings.TrimPrefix(pattern, "*")) {
		if ctx.Port == 0 {
			return false
		}
		host = fmt.Sprintf("%s:%d", host, ctx.Port)
	}
	if pattern[0] == '*' {
		return strings.HasSuffix(host, pattern[1:])
	}
	return host == pattern
}

func refMethod(e *Entry, ctx *req.Ctx) bool {
	return e.Methods == 0 || e.Methods.Has(ctx.Req.MethodCode)
}

func refAddr(e *Entry, ctx *req.Ctx) bool {
	if len(e.RemoteAddrs) == 0 {
		return true
	}
	for _, p := range e.RemoteAddrs {
		if p.Contains(ctx.Client) {
			return true
		}
	}
	return false
}

// path matches by plain recursion over the pattern.
func (r *reference) path(pattern, path string) bool {
	if pattern == "" {
		return path == ""
	}
	switch {
	case pattern[0] == '*':
		return r.anything(pattern[1:], path, true)
	case r.mode == ModeURIWithParameter && strings.HasPrefix(pattern, "/:"):
		if path == "" || path[0] != '/' {
			return false
		}
		_, rest, more := strings.Cut(pattern[1:], "/")
		if more {
			rest = "/" + rest
		}
		segment, behind, slash := strings.Cut(path[1:], "/")
		if slash {
			behind = "/" + behind
		}
		return segment != "" && r.path(rest, behind)
	case strings.HasPrefix(pattern, "/*"):
		if path == "" || path[0] != '/' {
			return false
		}
		_, rest, more := strings.Cut(pattern[1:], "/")
		if more {
			rest = "/" + rest
		}
		return r.anything(rest, path[1:], false)
	}
	return path != "" && path[0] == pattern[0] && r.path(pattern[1:], path[1:])
}

func (r *reference) anything(rest, path string, _ bool) bool {
	for i := 0; i <= len(path); i++ {
		if r.path(rest, path[i:]) {
			return true
		}
	}
	return false
}

// routeMaker makes routes and requests out of so few pieces that they collide
// all the time.
type routeMaker struct {
	rnd  *rand.Rand
	mode Mode
}

func (m *routeMaker) pick(s ...string) string { return s[m.rnd.IntN(len(s))] }

func (m *routeMaker) uri() string {
	switch m.rnd.IntN(12) {
	case 0:
		return "/*"
	case 1:
		return "*"
	case 2:
		return "/"
	}
	var b strings.Builder
	for range 1 + m.rnd.IntN(3) {
		b.WriteByte('/')
		switch m.rnd.IntN(8) {
		case 0:
			b.WriteString(m.pick("*", "*x", "*y"))
		case 1:
			b.WriteString(m.pick(":id", ":n", "a:b"))
		case 2:
			b.WriteString(m.pick("a*", "ab*", "a*b", "*"))
		default:
			b.WriteString(m.pick("a", "b", "ab", "abc", "c"))
		}
	}
	if m.rnd.IntN(4) == 0 {
		b.WriteString(m.pick("*", "/*", "/"))
	}
	return b.String()
}

func (m *routeMaker) host() string {
	return m.pick("a.com", "A.com", "b.a.com", "*.a.com", "*.com", "*", "*a.com", "c.b.a.com",
		"a.com:8080", "*.a.com:8080", "*:8080", "[::1]", "[::1]:8080", "*0")
}

var addrPool = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"),
	netip.MustParsePrefix("192.168.1.1/32"), netip.MustParsePrefix("fd00::/8"),
}

func (m *routeMaker) entry(id string) *Entry {
	e := &Entry{Route: &req.Route{ID: id}, Priority: m.rnd.IntN(3) - 1}
	for range 1 + m.rnd.IntN(2) {
		e.URIs = append(e.URIs, m.uri())
	}
	for range m.rnd.IntN(3) {
		e.Hosts = append(e.Hosts, m.host())
	}
	if m.rnd.IntN(3) == 0 {
		e.Methods = h1.MethodGet.Bit() | h1.Method(m.rnd.IntN(4)).Bit()
	}
	if m.rnd.IntN(5) == 0 {
		e.RemoteAddrs = append(e.RemoteAddrs, addrPool[m.rnd.IntN(len(addrPool))])
	}
	if m.rnd.IntN(4) == 0 {
		x, err := expr.Compile([]any{[]any{"arg_v", "==", m.pick("1", "2")}})
		if err != nil {
			panic(err)
		}
		e.Vars = x
	}
	return e
}

func (m *routeMaker) request(ctx *req.Ctx) {
	var b strings.Builder
	for range m.rnd.IntN(4) {
		b.WriteByte('/')
		b.WriteString(m.pick("a", "b", "ab", "abc", "c", "aXb", "a:b", "xy"))
	}
	if b.Len() == 0 || m.rnd.IntN(4) == 0 {
		b.WriteByte('/')
	}
	ctx.Path = []byte(b.String())
	ctx.Query = []byte(m.pick("", "v=1", "v=2"))
	ctx.Host = []byte(m.pick("a.com", "b.a.com", "c.b.a.com", "xa.com", "x.com", "other.org", "[::1]", ""))
	ctx.Port = []uint16{0, 80, 8080}[m.rnd.IntN(3)]
	ctx.Req.MethodCode = h1.Method(m.rnd.IntN(5))
	ctx.Client = netip.MustParseAddr(m.pick("10.1.2.3", "10.9.9.9", "192.168.1.1", "fd00::1", "8.8.8.8"))
}

func TestAgainstReference(t *testing.T) {
	for seed := range uint64(12) {
		for _, mode := range []Mode{ModeHostURI, ModeURI, ModeURIWithParameter} {
			differential(t, mode, seed, 40, 120)
		}
	}
}

func FuzzAgainstReference(f *testing.F) {
	f.Add(uint64(1), uint8(0))
	f.Add(uint64(2), uint8(1))
	f.Add(uint64(3), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, mode uint8) {
		differential(t, Mode(mode%3), seed, 20, 40)
	})
}

// differential grows and shrinks a table at random and compares it with the
// reference after every transaction; older tables must go on answering as they
// did.
func differential(t *testing.T, mode Mode, seed uint64, steps, requests int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, uint64(mode)))
	m := &routeMaker{rnd: rnd, mode: mode}
	live := map[string]*Entry{}
	table := New(Options{Mode: mode})
	type snapshot struct {
		table *Table
		ref   *reference
	}
	var old []snapshot
	for range steps {
		tx := table.Edit()
		for range 1 + rnd.IntN(4) {
			id := fmt.Sprintf("r%d", rnd.IntN(25))
			if rnd.IntN(3) == 0 {
				_, known := live[id]
				if tx.Delete(id) != known {
					t.Fatalf("Delete(%s) did not tell whether it was there", id)
				}
				delete(live, id)
				continue
			}
			e := m.entry(id)
			if err := tx.Put(e); err != nil {
				t.Fatal(err)
			}
			live[id] = e
		}
		table = tx.Commit()
		if table.Len() != len(live) {
			t.Fatalf("%d routes, want %d", table.Len(), len(live))
		}
		entries := make([]*Entry, 0, len(live))
		for _, e := range live {
			entries = append(entries, e)
		}
		old = append(old, snapshot{table, newReference(mode, entries)})
		if len(old) > 4 {
			old = old[1:]
		}
		ctx := new(req.Ctx)
		for range requests / steps * 4 {
			m.request(ctx)
			for _, s := range old {
				compare(t, s.table, s.ref, ctx)
			}
		}
	}
	// Removing everything must leave nothing behind.
	tx := table.Edit()
	for id := range live {
		tx.Delete(id)
	}
	table = tx.Commit()
	h := &table.hosts
	if table.Len() != 0 || h.hosts != 0 || h.withPort != 0 || !h.exact.empty() || !h.plain.empty() || !h.port.empty() ||
		h.plain.depths != (depths{}) || h.port.depths != (depths{}) || !table.any.empty() || table.any.depths != (depths{}) {
		t.Fatalf("an emptied table is not empty: %+v", table)
	}
}

func compare(t *testing.T, table *Table, ref *reference, ctx *req.Ctx) {
	t.Helper()
	id, uri, host := ref.match(ctx)
	ok := table.Match(ctx)
	got := ""
	if ok {
		got = ctx.Route.ID
	} else if ctx.Route != nil {
		t.Fatal("a route is set without a match")
	}
	if got != id || ctx.Matched().MatchedURI != uri || ctx.Matched().MatchedHost != host {
		t.Fatalf("mode %d, %s %s:%d%s?%s from %s: route %q (%s%s), want %q (%s%s)", table.opt.Mode,
			ctx.Req.MethodCode, ctx.Host, ctx.Port, ctx.Path, ctx.Query, ctx.Client,
			got, ctx.Matched().MatchedHost, ctx.Matched().MatchedURI, id, host, uri)
	}
	list := table.Explain(ctx)
	for i := range list {
		if list[i].Chosen {
			if list[i].Entry.Route.ID != id {
				t.Fatalf("Explain chose %s, Match %s", list[i].Entry.Route.ID, id)
			}
			return
		}
	}
	if id != "" {
		t.Fatal("Explain chose nothing")
	}
}
