package expr

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// request is a context of a request with a query, fields ("Name: value" lines)
// and a body.
func request(t testing.TB, query, fields, body string) *req.Ctx {
	t.Helper()
	ctx := new(req.Ctx)
	head := "POST /x?" + query + " HTTP/1.1\r\nHost: foo.com\r\n"
	for line := range strings.Lines(fields) {
		head += strings.TrimSpace(line) + "\r\n"
	}
	head += "\r\n"
	if n, err := ctx.Req.Scan([]byte(head), new(h1.Limits)); n != len(head) || err != nil {
		t.Fatalf("head not scanned: %d, %v", n, err)
	}
	ctx.Path, ctx.Query, ctx.Host = []byte("/x"), []byte(query), []byte("foo.com")
	ctx.Client = netip.MustParseAddr("10.1.2.3")
	if body != "" {
		ctx.Body, ctx.BodyState = []byte(body), req.BodyBuffered
	}
	ctx.Scratch = make([]byte, 0, 256)
	return ctx
}

func compile(t testing.TB, rule string) *Expr {
	t.Helper()
	e, err := CompileJSON([]byte(rule))
	if err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	return e
}

func TestOperators(t *testing.T) {
	ctx := request(t, "s=abc&n=10&f=1.5&neg=-3&hex=0x10&sp=%20%207+&e=&bare&big=1e3&ip=192.168.1.7&ip6=fd00::1&zero=0",
		"X-List: a, b\nX-Forwarded-For: 1.2.3.4\nCookie: lang=de; Lang=en", "")
	f := func(rule string, want bool) {
		t.Helper()
		if got := compile(t, "["+rule+"]").Eval(ctx); got != want {
			t.Errorf("%s: %v, want %v", rule, got, want)
		}
		// Negation.
		var parts []any
		if err := json.Unmarshal([]byte(rule), &parts); err != nil {
			t.Fatal(err)
		}
		if len(parts) != 3 {
			return
		}
		e, err := Compile([]any{[]any{parts[0], "!", parts[1], parts[2]}})
		if err != nil {
			t.Fatal(err)
		}
		if e.Eval(ctx) == want {
			t.Errorf("%s negated: %v, want %v", rule, want, !want)
		}
	}
	// ==, ~=
	f(`["arg_s", "==", "abc"]`, true)
	f(`["arg_s", "==", "ABC"]`, false)
	f(`["arg_s", "abc"]`, true) // two elements mean ==
	f(`["arg_s", "ABC"]`, false)
	f(`["arg_n", 10]`, true)
	f(`["arg_s", "~=", "abc"]`, false)
	f(`["arg_n", "==", 10]`, true)
	f(`["arg_n", "==", "10"]`, true)
	f(`["arg_n", "==", "10.0"]`, false) // a string on the right compares as text
	f(`["arg_n", "==", 10.0]`, true)
	f(`["arg_f", "==", 1.5]`, true)
	f(`["arg_hex", "==", 16]`, true)
	f(`["arg_sp", "==", 7]`, true) // blanks around a number
	f(`["arg_big", "==", 1000]`, true)
	f(`["arg_s", "==", 10]`, false) // no number on the left
	f(`["arg_s", "~=", 10]`, true)
	f(`["arg_e", "==", ""]`, true)
	f(`["arg_e", "==", 0]`, false)
	f(`["arg_bare", "==", true]`, true)
	f(`["arg_bare", "==", "true"]`, false)
	f(`["arg_s", "==", true]`, false)
	f(`["arg_s", "==", ["abc"]]`, false)
	f(`["arg_s", "~=", ["abc"]]`, true)
	// A missing variable, and null on the right.
	f(`["arg_none", "==", "x"]`, false)
	f(`["arg_none", "~=", "x"]`, true)
	f(`["arg_none", "==", 0]`, false)
	f(`["arg_none", "~=", 0]`, true)
	f(`["arg_none", "==", null]`, true)
	f(`["arg_none", "~=", null]`, false)
	f(`["arg_s", "==", null]`, false)
	f(`["arg_s", "~=", null]`, true)
	f(`["arg_e", "==", null]`, false)
	f(`["arg_none", "=="]`, true) // no right side is null, too
	f(`["arg_none", ">", 1]`, false)
	f(`["arg_none", "~~", ".*"]`, false)
	f(`["arg_none", "in", ["x"]]`, false)
	f(`["arg_none", "has", "x"]`, false)
	f(`["no_such_variable", "==", null]`, true)
	// Order: both sides to numbers.
	f(`["arg_n", ">", 9]`, true)
	f(`["arg_n", ">", "9"]`, true)
	f(`["arg_n", ">=", 10]`, true)
	f(`["arg_n", "<", 10]`, false)
	f(`["arg_n", "<=", 10]`, true)
	f(`["arg_neg", "<", 0]`, true)
	f(`["arg_s", ">", 1]`, false)
	f(`["arg_s", "<", 1]`, false)
	f(`["arg_n", ">", "abc"]`, false)
	f(`["arg_n", "<", "abc"]`, false)
	f(`["arg_n", ">", null]`, false)
	f(`["arg_n", ">"]`, false)
	// Regular expressions.
	f(`["arg_s", "~~", "^a.c$"]`, true)
	f(`["arg_s", "~~", "B"]`, false)
	f(`["arg_s", "~*", "B"]`, true)
	f(`["arg_s", "~~", "^(?!x)"]`, true) // needs the other engine
	f(`["arg_n", "~~", "^\\d+$"]`, true)
	f(`["arg_n", "~~", 1]`, true)
	f(`["arg_bare", "~~", "true"]`, false)
	// in
	f(`["arg_s", "in", ["x", "abc"]]`, true)
	f(`["arg_s", "IN", ["x"]]`, false)
	f(`["arg_n", "in", ["10"]]`, true)
	f(`["arg_n", "in", [10]]`, false) // a string never equals a number here
	f(`["arg_s", "in", "abc"]`, false)
	f(`["arg_s", "in", []]`, false)
	f(`["arg_s", "in", ["1","2","3","4","5","6","7","8","9","abc"]]`, true)
	f(`["arg_n", "in", ["1","2","3","4","5","6","7","8","9","abc"]]`, false)
	// has: strings are no lists.
	f(`["http_x_list", "has", "a"]`, false)
	// ipmatch
	f(`["remote_addr", "ipmatch", "10.0.0.0/8"]`, true)
	f(`["remote_addr", "ipmatch", ["192.168.0.0/16", "10.1.2.3"]]`, true)
	f(`["remote_addr", "ipmatch", ["192.168.0.0/16", "fd00::/8"]]`, false)
	f(`["arg_ip", "ipmatch", "192.168.1.0/24"]`, true)
	f(`["arg_ip6", "ipmatch", ["fd00::/8"]]`, true)
	f(`["arg_ip6", "ipmatch", ["0.0.0.0/0"]]`, false)
	f(`["arg_s", "ipmatch", "0.0.0.0/0"]`, false)
	f(`["arg_none", "ipmatch", "0.0.0.0/0"]`, false)
	f(`["http_x_forwarded_for", "IPMATCH", "1.2.3.4"]`, true)
	// Families.
	f(`["cookie_lang", "==", "de"]`, true)
	f(`["cookie_Lang", "==", "en"]`, true)
	f(`["host", "==", "foo.com"]`, true)
	f(`["uri", "==", "/x"]`, true)
	f(`["request_method", "==", "POST"]`, true)
}

func TestTypedValues(t *testing.T) {
	ctx := request(t, "", "Content-Type: application/json",
		`{"s":"a\u00e9\n","n":5,"yes":true,"nil":null,"list":["x",2,true,"a\"b"],"deep":{"k":[{"t":"i"},{"t":"j"}]}}`)
	f := func(rule string, want bool) {
		t.Helper()
		if got := compile(t, "["+rule+"]").Eval(ctx); got != want {
			t.Errorf("%s: %v, want %v", rule, got, want)
		}
	}
	f(`["post_arg.n", "==", 5]`, true)
	f(`["post_arg.n", "==", "5"]`, false) // a number is no string
	f(`["post_arg.n", ">", "4"]`, true)
	f(`["post_arg.n", "in", [4, 5]]`, true)
	f(`["post_arg.n", "in", ["5"]]`, false)
	f(`["post_arg.n", "~~", "^5$"]`, true)
	f(`["post_arg.yes", "==", true]`, true)
	f(`["post_arg.yes", "==", false]`, false)
	f(`["post_arg.yes", "in", [true]]`, true)
	f(`["post_arg.s", "==", "aé\n"]`, true)
	f(`["post_arg.nil", "==", null]`, true)
	f(`["post_arg.list", "has", "x"]`, true)
	f(`["post_arg.list", "has", 2]`, true)
	f(`["post_arg.list", "has", "2"]`, false)
	f(`["post_arg.list", "has", true]`, true)
	f(`["post_arg.list", "has", false]`, false)
	f(`["post_arg.list", "has", "a\"b"]`, true)
	f(`["post_arg.list", "==", "x"]`, false)
	f(`["post_arg.deep.k[*].t", "has", "j"]`, true)
	f(`["post_arg.deep..t", "has", "i"]`, true)
	f(`["post_arg.deep.k[1].t", "has", "i"]`, false)
}

func TestLogicalOperators(t *testing.T) {
	ctx := request(t, "a=1&b=2", "", "")
	f := func(rule string, want bool) {
		t.Helper()
		if got := compile(t, rule).Eval(ctx); got != want {
			t.Errorf("%s: %v, want %v", rule, got, want)
		}
	}
	const yes, no = `["arg_a","==","1"]`, `["arg_a","==","9"]`
	f(`[]`, true)
	f(`[`+yes+`]`, true)
	f(`[`+yes+`,`+no+`]`, false)
	f(`["OR",`+yes+`,`+no+`]`, true)
	f(`["or",`+no+`,`+no+`]`, false)
	f(`["AND",`+yes+`,`+yes+`]`, true)
	f(`["!AND",`+yes+`,`+no+`]`, true)
	f(`["!and",`+yes+`,`+yes+`]`, false)
	f(`["!OR",`+no+`,`+no+`]`, true)
	f(`["!OR",`+no+`,`+yes+`]`, false)
	f(`[`+yes+`,["OR",`+no+`,`+yes+`]]`, true)
	f(`["AND",["OR",`+no+`,`+yes+`],["!OR",`+no+`,["AND",`+yes+`,`+no+`]]]`, true)
	f(`[[`+yes+`,`+no+`]]`, false)
	f(`["OR",[`+yes+`,`+no+`],[`+yes+`,`+yes+`]]`, true)
	if !(*Expr)(nil).Eval(ctx) {
		t.Error("a nil expression is not true")
	}
}

func TestBadRules(t *testing.T) {
	f := func(rule, want string) {
		t.Helper()
		_, err := CompileJSON([]byte(rule))
		if err == nil {
			t.Fatalf("%s: accepted", rule)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q does not say %q", rule, err, want)
		}
	}
	f(`{}`, "is a list")
	f(`null`, "is a list")
	f(`"x"`, "is a list")
	f(`[`, "not JSON")
	f(`[] []`, "behind its end")
	f(`["arg_a","==","1"]`, "wrap it in brackets")
	f(`[1]`, "begins with")
	f(`[[]]`, "empty list")
	f(`[["arg_a"]]`, "needs an operator")
	f(`[["arg_a","~","1"]]`, `unknown operator "~"`)
	f(`[["arg_a","not","==","1"]]`, `second must be "!"`)
	f(`[["arg_a","!","=","1"]]`, "unknown operator")
	f(`[["arg_a","==","1","2","3"]]`, "two to four")
	f(`[["arg_a",1,"2"]]`, "operator is a string")
	f(`[[1,"==","2"]]`, "name of a variable")
	f(`["OR",["arg_a","==","1"]]`, "at least two")
	f(`["OR","arg_a","=="]`, "is a list, not a string")
	f(`[["arg_a","==","1"],"x"]`, "[1]: an expression is a list")
	f(`[["arg_a","==","1"],["OR",["arg_a","x","y"],["arg_a","z","y"]]]`, "[1][1] (arg_a)")
	f(`[["arg_a","~~","("]]`, "without ')'")
	f(`[["arg_a","~~"]]`, "must be a string")
	f(`[["arg_a","~~",null]]`, "must be a string")
	f(`[["arg_a","~~",["a"]]]`, "must be a string")
	f(`[["arg_a","ipmatch","10.0.0.0/40"]]`, "not a network")
	f(`[["arg_a","ipmatch","foo"]]`, "not an IP address")
	f(`[["arg_a","ipmatch",""]]`, "needs addresses")
	f(`[["arg_a","ipmatch",[]]]`, "at least one")
	f(`[["arg_a","ipmatch",5]]`, "needs addresses")
	f(strings.Repeat("[", 100)+strings.Repeat("]", 100), "levels of nesting")
}

func TestWhatLintAsks(t *testing.T) {
	e := compile(t, `[["no_such","==","1"],["arg_a","~~","(?=a)"],["post_arg_x","==","1"]]`)
	if u := e.Unknown(); len(u) != 1 || u[0] != "no_such" {
		t.Errorf("unknown: %v", u)
	}
	if b := e.Backtracking(); len(b) != 1 || b[0] != "(?=a)" {
		t.Errorf("backtracking: %v", b)
	}
	if !e.NeedsBody() || compile(t, `[["arg_a","1"]]`).NeedsBody() || (*Expr)(nil).NeedsBody() {
		t.Error("NeedsBody is wrong")
	}
}

func TestFailedShowsThePartThatFails(t *testing.T) {
	ctx := request(t, "a=1", "", "")
	f := func(rule, want string) {
		t.Helper()
		if got := compile(t, rule).Failed(ctx); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
	f(`[["arg_a","==","1"]]`, "")
	f(`[["arg_a","==","1"],["arg_b","==",2]]`, `arg_b (unset) == 2`)
	f(`[["arg_a","!","in",["1","2"]]]`, `arg_a ("1") not in ["1", "2"]`)
	f(`[["OR",["arg_a","==","2"],["remote_addr","ipmatch","8.8.8.8"]]]`,
		`(arg_a ("1") == "2" OR remote_addr ("10.1.2.3") ipmatch [8.8.8.8])`)
	f(`[["arg_a","~~","^x"]]`, `arg_a ("1") ~~ "^x"`)
	if s := compile(t, `["!AND",["arg_a","1"],["arg_b",">",5]]`).String(); s != `!(arg_a == "1" AND arg_b > 5)` {
		t.Error(s)
	}
}

func TestIPSet(t *testing.T) {
	s, err := ParseIPs([]string{"10.0.0.0/8", "10.1.0.0/16", "192.168.1.1", "192.168.1.2", "fd00::/8", "::ffff:1.2.3.0/120", "10.9.9.9/8"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(addr string, want bool) {
		t.Helper()
		if got := s.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	f("10.0.0.0", true)
	f("10.255.255.255", true)
	f("9.255.255.255", false)
	f("11.0.0.0", false)
	f("192.168.1.1", true)
	f("192.168.1.3", false)
	f("fdff:ffff::1", true)
	f("fe00::", false)
	f("::ffff:10.0.0.1", true)
	f("1.2.3.255", true)
	f("1.2.4.0", false)
	if s.Contains(netip.Addr{}) {
		t.Error("the invalid address is in the set")
	}
}

func TestEvalAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("not under the race detector")
	}
	ctx := request(t, "a=1%202&n=10&ip=192.168.1.7", "X-A: 1\nX-A: 2\nCookie: a=b; c=d\nContent-Type: application/json",
		`{"a":{"b":["x","y\n"]},"s":"q\u00e9"}`)
	for _, rule := range []string{
		`[["arg_a","==","1 2"]]`, `[["arg_n",">",5]]`, `[["arg_n","==",10]]`, `[["http_x_a","~~","1, 2"]]`,
		`[["cookie_c","in",["a","d"]]]`, `[["arg_ip","ipmatch",["192.168.0.0/16"]]]`,
		`[["remote_addr","ipmatch",["10.0.0.0/8"]]]`, `[["remote_addr","==","10.1.2.3"]]`,
		`[["post_arg.a.b","has","y\n"]]`, `[["post_arg.s","==","qé"]]`, `[["post_arg.a[*][*]","has","x"]]`,
		`["OR",["arg_zz","1"],["!AND",["host","==","x"],["uri","==","/x"]]]`,
		`[["arg_n","in",["1","2","3","4","5","6","7","8","9","10"]]]`,
		`[["request_uri","~*","^/X"]]`,
	} {
		e := compile(t, rule)
		if !e.Eval(ctx) {
			t.Errorf("%s is false: %s", rule, e.Failed(ctx))
		}
		if n := testing.AllocsPerRun(100, func() { e.Eval(ctx) }); n != 0 {
			t.Errorf("%s: %v allocations", rule, n)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`[["arg_a","==","1"]]`, "a=1")
	f.Add(`["OR",["arg_a","~~","^a"],["arg_a","!","in",["x"]]]`, "a=x")
	f.Add(`[["post_arg.a[*].b","has",1]]`, "")
	f.Fuzz(func(t *testing.T, rule, query string) {
		e, err := CompileJSON([]byte(rule))
		if err != nil {
			return
		}
		ctx := new(req.Ctx)
		ctx.Query = []byte(query)
		if ok := e.Eval(ctx); ok != (e.Failed(ctx) == "") {
			t.Fatalf("%s on %q: Eval is %v, Failed %q", rule, query, ok, e.Failed(ctx))
		}
		_ = e.String()
	})
}
