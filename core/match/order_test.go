package match

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// rule is a route in short: "id host[,host] uri[,uri] [key=value...]", with
// host "-" for none.
func rule(t *testing.T, s string) *Entry {
	t.Helper()
	f := strings.Fields(s)
	e := &Entry{Route: &req.Route{ID: f[0]}, URIs: strings.Split(f[2], ",")}
	if f[1] != "-" {
		e.Hosts = strings.Split(f[1], ",")
	}
	for _, opt := range f[3:] {
		key, value, _ := strings.Cut(opt, "=")
		var err error
		switch key {
		case "prio":
			_, err = fmt.Sscan(value, &e.Priority)
		case "methods":
			e.Methods, err = Methods(strings.Split(value, ","))
		case "addr":
			e.RemoteAddrs, err = RemoteAddrs(strings.Split(value, ","))
		case "arg":
			e.Vars, err = expr.Compile([]any{[]any{"arg_v", "==", value}})
		default:
			t.Fatalf("unknown option %s", opt)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func tableOf(t *testing.T, opt Options, rules ...string) *Table {
	t.Helper()
	tx := New(opt).Edit()
	for _, r := range rules {
		if err := tx.Put(rule(t, r)); err != nil {
			t.Fatal(err)
		}
	}
	return tx.Commit()
}

// get is a request in short: "[METHOD] host[:port]/path[?query]".
func get(t *testing.T, s string) *req.Ctx {
	t.Helper()
	ctx := new(req.Ctx)
	method, rest, ok := strings.Cut(s, " ")
	if !ok {
		method, rest = "GET", s
	}
	ctx.Req.MethodCode = h1.MethodOf([]byte(method))
	at := strings.IndexByte(rest, '/')
	host, path := rest[:at], rest[at:]
	path, query, _ := strings.Cut(path, "?")
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if _, err := fmt.Sscan(host[i+1:], &ctx.Port); err != nil {
			t.Fatal(err)
		}
		host = host[:i]
	}
	ctx.Host, ctx.Path, ctx.Query = []byte(host), []byte(path), []byte(query)
	ctx.Client = netip.MustParseAddr("10.1.2.3")
	return ctx
}

func checkRoute(t *testing.T, table *Table, request, want string) {
	t.Helper()
	ctx := get(t, request)
	got := "none"
	if table.Match(ctx) {
		got = ctx.Route.ID
	}
	if got != want {
		t.Errorf("%s: route %s, want %s", request, got, want)
	}
}

func TestHostLevels(t *testing.T) {
	table := tableOf(t, Options{},
		"exact www.foo.com /a",
		"one *.foo.com /a,/b",
		"two *.x.foo.com /a",
		"com *.com /a,/b,/c",
		"star * /a,/b,/c,/d",
		"none - /a,/b,/c,/d,/e",
		"upper WWW.BAR.ORG /a",
	)
	f := func(request, want string) { t.Helper(); checkRoute(t, table, request, want) }
	f("www.foo.com/a", "exact")
	f("www.foo.com/b", "one") // a level without a match falls through
	f("www.foo.com/c", "com")
	f("www.foo.com/d", "star")
	f("www.foo.com/e", "none")
	f("www.foo.com/f", "none")  // here: nothing serves /f
	f("a.b.c.foo.com/a", "one") // any depth of sub-domains
	f("b.x.foo.com/a", "two")   // the longest suffix first
	f("x.foo.com/a", "one")
	f("foo.com/a", "com") // "*.foo.com" does not cover foo.com itself
	f("www.bar.org/a", "upper")
	f("/a", "star")
}

func TestHostPorts(t *testing.T) {
	table := tableOf(t, Options{},
		"port foo.com:8080 /*",
		"plain foo.com /*",
		"wildport *.foo.com:8080 /*",
		"wild *.foo.com /*",
		"v6 [::1] /*",
		"v6port [::1]:8080 /*",
	)
	f := func(request, want string) { t.Helper(); checkRoute(t, table, request, want) }
	f("foo.com:8080/", "port")
	f("foo.com:80/", "plain")
	f("foo.com/", "plain")
	f("a.foo.com:8080/", "wildport")
	f("a.foo.com:81/", "wild")
	f("a.foo.com/", "wild")
	f("[::1]/", "v6")
	f("[::1]:8080/", "v6port")
	f("[::1]:80/", "v6")
}

func TestPathOrder(t *testing.T) {
	table := tableOf(t, Options{},
		"exact - /a/b",
		"long - /a/b/*",
		"short - /a/* prio=100",
		"tight - /a/b* prio=50",
		"all - /* prio=1000",
	)
	f := func(request, want string) { t.Helper(); checkRoute(t, table, request, want) }
	f("h/a/b", "exact") // priority never lifts a prefix over an exact path
	f("h/a/b/", "long") // nor a shorter prefix over a longer one
	f("h/a/b/c", "long")
	f("h/a/bc", "tight")
	f("h/a/", "short")
	f("h/a/x", "short")
	f("h/a", "all")
	f("h/", "all")
	f("h/A/b", "all") // paths are case-sensitive
}

func TestPrefixWithoutSlashMatchesItself(t *testing.T) {
	table := tableOf(t, Options{}, "p - /foo*", "q - /bar/*")
	checkRoute(t, table, "h/foo", "p")
	checkRoute(t, table, "h/foobar/x", "p")
	checkRoute(t, table, "h/bar", "none")
	checkRoute(t, table, "h/bar/", "q")
}

func TestOrderAtOnePosition(t *testing.T) {
	table := tableOf(t, Options{},
		"b - /x arg=1 prio=5",
		"a - /x arg=1 prio=5",
		"c - /x prio=1",
		"d - /x arg=2 prio=9",
	)
	checkRoute(t, table, "h/x?v=1", "a") // equal: by id, whatever the order of insertion
	checkRoute(t, table, "h/x?v=2", "d")
	checkRoute(t, table, "h/x", "c")

	// Equal priority at one position: the longer written pattern first.
	table = tableOf(t, Options{Mode: ModeURIWithParameter},
		"a - /u/:id", "z - /u/:id/orders/:oid", "m - /u/*")
	checkRoute(t, table, "h/u/1", "a")
	checkRoute(t, table, "h/u/1/orders/2", "z")
	checkRoute(t, table, "h/u/1/x", "m")
}

func TestConditionsFallThrough(t *testing.T) {
	table := tableOf(t, Options{},
		"post - /x methods=POST,PUT prio=9",
		"addr - /x addr=192.168.0.0/16,fd00::/8 prio=8",
		"vars - /x arg=1 prio=7",
		"get - /x methods=GET prio=6",
		"prefix - /x*",
	)
	f := func(request, want string) { t.Helper(); checkRoute(t, table, request, want) }
	f("POST h/x", "post")
	f("GET h/x", "get")
	f("GET h/x?v=1", "vars")
	f("HEAD h/x", "prefix") // HEAD is not implied by GET
	f("BREW h/x", "prefix")
	ctx := get(t, "h/x")
	ctx.Client = netip.MustParseAddr("::ffff:192.168.1.1")
	if !table.Match(ctx) || ctx.Route.ID != "addr" {
		t.Errorf("an IPv4 address in IPv6 form: %v", ctx.Route)
	}
	ctx.Client = netip.MustParseAddr("fd00::1%eth0")
	if !table.Match(ctx) || ctx.Route.ID != "addr" {
		t.Errorf("an address with a zone: %v", ctx.Route)
	}
}

func TestURIModeTakesHostsAsACondition(t *testing.T) {
	rules := []string{
		"host foo.com /x",
		"any - /x prio=5",
		"wild *.com /x prio=9 arg=1",
		"prefix foo.com /* prio=100",
	}
	table := tableOf(t, Options{Mode: ModeURI}, rules...)
	checkRoute(t, table, "foo.com/x", "any") // priority decides across hosts
	checkRoute(t, table, "foo.com/x?v=1", "wild")
	checkRoute(t, table, "bar.org/x?v=1", "any")
	checkRoute(t, table, "foo.com/y", "prefix")
	checkRoute(t, table, "bar.org/y", "none")
	table = tableOf(t, Options{}, rules...)
	checkRoute(t, table, "foo.com/x", "host") // and here the host does
}

func TestPatternCaptures(t *testing.T) {
	f := func(mode Mode, pattern, path, want string) {
		t.Helper()
		table := tableOf(t, Options{Mode: mode}, "r - "+pattern)
		ctx := get(t, "h"+path)
		got := "no match"
		if table.Match(ctx) {
			got = ""
			m := ctx.Matched()
			for i := range m.Len() {
				name, value := m.At(i)
				got += name + "=" + string(value) + ";"
				if again, ok := m.Get(name); !ok || name != unnamed && string(again) != string(value) {
					t.Errorf("Get(%s) is %q, At says %q", name, again, value)
				}
			}
		}
		if got != want {
			t.Errorf("%s on %s: %q, want %q", pattern, path, got, want)
		}
	}
	with := ModeURIWithParameter
	f(with, "/u/:id", "/u/7", "id=7;")
	f(with, "/u/:id", "/u/", "no match")
	f(with, "/u/:id", "/u/7/", "no match")
	f(with, "/u/:id/o/:oid", "/u/7/o/8", "id=7;oid=8;")
	f(with, "/:a/:b", "/x/y", "a=x;b=y;")
	f(with, "/f/*path", "/f/a/b", "path=a/b;")
	f(with, "/f/*path", "/f/", "path=;")
	f(with, "/u/:id/f/*rest", "/u/1/f/a/b", "id=1;rest=a/b;")
	f(with, "/v1/users:batch", "/v1/users:batch", "")
	f(ModeHostURI, "/u/:id", "/u/7", "no match")
	f(ModeHostURI, "/u/:id", "/u/:id", "")
	f(ModeHostURI, "/a/*/c", "/a/x/y/c", ":ext=x/y;")
	f(ModeHostURI, "/a/*/c", "/a/c", "no match")
	f(ModeHostURI, "/a/*/c", "/a/b/c/d", "no match")
	f(ModeHostURI, "/a/*/c/*", "/a/1/c/2/c/3", ":ext=1/c/2;:ext=3;")
	f(ModeHostURI, "/a*b", "/axxb", "")
	f(ModeHostURI, "/a*b", "/ab", "")
	f(ModeHostURI, "/a*b", "/axxbc", "no match")
	f(ModeHostURI, "/a/*", "/a/x", "")
}

func TestMatchedPatterns(t *testing.T) {
	table := tableOf(t, Options{}, "r *.Foo.com,bar.com /a/*,/b")
	f := func(request, host, uri string) {
		t.Helper()
		ctx := get(t, request)
		if !table.Match(ctx) || ctx.Matched().MatchedHost != host || ctx.Matched().MatchedURI != uri {
			t.Errorf("%s: %+v", request, ctx.Matched())
		}
	}
	f("x.foo.com/a/1", "*.foo.com", "/a/*")
	f("bar.com/b", "bar.com", "/b")
	ctx := get(t, "bar.com/b")
	table.Match(ctx)
	ctx.Path = []byte("/nothing")
	if table.Match(ctx) || ctx.Route != nil || ctx.Matched().MatchedURI != "" {
		t.Error("a miss leaves what an earlier match has set")
	}
}

func TestDeleteTailSlash(t *testing.T) {
	table := tableOf(t, Options{DeleteTailSlash: true}, "a - /a", "root - /", "p - /p/*")
	checkRoute(t, table, "h/a/", "a")
	checkRoute(t, table, "h/a", "a")
	checkRoute(t, table, "h/", "root")
	checkRoute(t, table, "h/p/", "none")
	ctx := get(t, "h/a/")
	table.Match(ctx)
	if string(ctx.Path) != "/a/" {
		t.Error("the request's path was changed")
	}
}

func TestBadEntries(t *testing.T) {
	f := func(e *Entry, want string) {
		t.Helper()
		err := New(Options{Mode: ModeURIWithParameter}).Edit().Put(e)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	r := &req.Route{ID: "7"}
	f(&Entry{Route: r}, "route 7 has no path pattern")
	f(&Entry{Route: r, URIs: []string{""}}, "empty")
	f(&Entry{Route: r, URIs: []string{"/a/:"}}, "no name")
	f(&Entry{Route: r, URIs: []string{"/" + strings.Repeat("*/", 20)}}, "more than 16 wildcards")
	f(&Entry{Route: r, URIs: []string{"/"}, Hosts: []string{""}}, "empty")
	f(&Entry{Route: r, URIs: []string{"/"}, Hosts: []string{"a.*"}}, "beginning")
	f(&Entry{URIs: []string{"/"}}, "needs a route")
	if _, err := Methods([]string{"GET", "BREW"}); err == nil || !strings.Contains(err.Error(), "BREW") {
		t.Errorf("Methods: %v", err)
	}
	if _, err := RemoteAddrs([]string{"10.0.0.0/33"}); err == nil {
		t.Error("a bad network was accepted")
	}
}

func TestRejectedPutChangesNothing(t *testing.T) {
	table := tableOf(t, Options{}, "a - /a")
	tx := table.Edit()
	if tx.Put(&Entry{Route: &req.Route{ID: "a"}, URIs: []string{""}}) == nil {
		t.Fatal("accepted")
	}
	checkRoute(t, tx.Commit(), "h/a", "a")
}

func TestExplain(t *testing.T) {
	table := tableOf(t, Options{},
		"m - /x methods=POST prio=9",
		"v - /x arg=1 prio=8",
		"ok - /x prio=7",
		"late - /x prio=6",
		"pre - /*",
		"other foo.com /x",
	)
	got := ""
	for _, c := range table.Explain(get(t, "h/x?v=2")) {
		got += c.Entry.Route.ID + ":" + c.Failed.String()
		if c.Chosen {
			got += "!"
		}
		got += " "
	}
	if want := "m:methods v:vars ok:fits! late:fits pre:fits "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	list := table.Explain(get(t, "h/x?v=2"))
	if want := `arg_v ("2") == "1"`; list[1].Detail != want {
		t.Errorf("detail %q, want %q", list[1].Detail, want)
	}
	f := func(id, request, want string) {
		t.Helper()
		list := table.ExplainRoute(get(t, request), id)
		if len(list) != 1 || list[0].Failed.String() != want {
			t.Errorf("%s on %s: %+v, want %s", id, request, list, want)
		}
	}
	f("other", "h/x", "hosts")
	f("other", "foo.com/y", "uri")
	f("other", "foo.com/x", "fits")
	f("m", "h/x", "methods")
	if table.ExplainRoute(get(t, "h/x"), "nobody") != nil {
		t.Error("an unknown route is explained")
	}
}

func TestPlaces(t *testing.T) {
	for _, mode := range []Mode{ModeHostURI, ModeURI} {
		table := tableOf(t, Options{Mode: mode},
			"a - /x", "b - /x prio=1", "c *.com /x", "d *z /p/*", "e h:1 /pq*", "f *.z:1 /")
		got := map[string]string{}
		for p := range table.Places() {
			ids := ""
			for _, c := range p.Candidates {
				ids += c.Entry.Route.ID
			}
			got[fmt.Sprint(p.Host, " ", p.Path, " ", p.Exact)] = ids
		}
		want := map[string]string{
			" /x true": "ba", "*.com /x true": "c", "*z /p/ false": "d", "h:1 /pq false": "e", "*.z:1 / true": "f",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("mode %d: %v, want %v", mode, got, want)
		}
	}
}

func TestNeedsBody(t *testing.T) {
	table := tableOf(t, Options{}, "a - /a")
	if table.NeedsBody() {
		t.Error("a table without such routes needs the body")
	}
	x, err := expr.Compile([]any{[]any{"post_arg_a", "==", "1"}})
	if err != nil {
		t.Fatal(err)
	}
	tx := table.Edit()
	if err := tx.Put(&Entry{Route: &req.Route{ID: "b"}, URIs: []string{"/"}, Vars: x}); err != nil {
		t.Fatal(err)
	}
	if table = tx.Commit(); !table.NeedsBody() {
		t.Error("the table does not need the body")
	}
	tx = table.Edit()
	tx.Delete("b")
	if tx.Commit().NeedsBody() {
		t.Error("the table still needs the body")
	}
}
