package vars

import (
	"testing"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func TestTemplates(t *testing.T) {
	ctx := request(t, "GET /p?a=1&e=", "X-H: h", "")
	f := func(text, want string, resolved int) {
		t.Helper()
		out, n := CompileTemplate(text).AppendTo([]byte("> "), ctx)
		if string(out) != "> "+want || n != resolved {
			t.Errorf("%q: %q with %d resolved, want %q with %d", text, out[2:], n, want, resolved)
		}
	}
	f("", "", 0)
	f("plain", "plain", 0)
	f("$arg_a", "1", 1)
	f("x$arg_a-$uri", "x1-/p", 2)
	f("${arg_a}0", "10", 1)
	f("${ arg_a }", "1", 1)
	f("$arg_none", "", 0)
	f("[$arg_none]", "[]", 0)
	f("$arg_e", "", 1) // set, and empty
	f("${arg_none ?? x}", "x", 1)
	f("${arg_none??x y}", "x y", 1)
	f("${arg_a ?? x}", "1", 1)
	f("${arg_none ?? }", "", 0)
	f("${arg_none ?? a ?? b}", "a", 1)
	f("${http_x-h}", "h", 1)
	f(`\$arg_a`, "$arg_a", 0)
	f(`\\n`, `\\n`, 0)
	f("$", "$", 0)
	f("$$arg_a", "$1", 1)
	f("$-", "$-", 0)
	f("${}", "${}", 0)
	f("${arg_a", "${arg_a", 0)
	f("a$arg_a.b", "a", 0) // dots belong to names: post_arg.x.y
	f("é$arg_aé", "é1é", 1)
	f("$no_such", "", 0)
}

func TestTemplateKeyFallsBackToTheClient(t *testing.T) {
	ctx := request(t, "GET /p?a=1", "", "")
	f := func(text, want string) {
		t.Helper()
		if got := string(CompileTemplate(text).AppendKey([]byte(">"), ctx)); got != ">"+want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("$arg_a $arg_b", "1 ")
	f("$arg_b $arg_c", "203.0.113.7")
	f("constant", "203.0.113.7")
}

func TestTemplateAnswersForLint(t *testing.T) {
	tmpl := CompileTemplate("$arg_a $no_such ${post_arg_x}")
	if u := tmpl.Unknown(); len(u) != 1 || u[0] != "no_such" || tmpl.Vars() != 3 || !tmpl.NeedsBody() {
		t.Errorf("unknown %v, %d variables, body %v", u, tmpl.Vars(), tmpl.NeedsBody())
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("not under the race detector")
	}
	ctx := request(t, "POST /p?a=1%20&b=2", "X-H: 1\nX-H: 2\nCookie: c=d\nContent-Type: application/json", `{"a":["\n",{"b":"c"}],"query":"{ a { b } }"}`)
	tmpl := CompileTemplate("$remote_addr [$time_local] \"$request\" $status $body_bytes_sent ${arg_a} $http_x_h $cookie_c " +
		"${post_arg.a[*].b} $graphql_root_fields $graphql_name $request_time $msec $time_iso8601 $hostname $remote_user")
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { dst, _ = tmpl.AppendTo(dst[:0], ctx) }); n != 0 {
		t.Errorf("%v allocations for %q", n, dst)
	}
	for name := range names {
		v, _ := Compile(name)
		if n := testing.AllocsPerRun(20, func() { v.Get(ctx) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"$a ${b ?? c} \\$d", "${", "$", "${ ?? }", "${post_arg.a[*]..b}"} {
		f.Add(s)
	}
	ctx := new(req.Ctx)
	f.Fuzz(func(t *testing.T, s string) {
		tmpl := CompileTemplate(s)
		if out, n := tmpl.AppendTo(nil, ctx); n > tmpl.Vars() || len(out) > 100*len(s)+100 {
			t.Fatalf("%q: %d of %d resolved, %d bytes", s, n, tmpl.Vars(), len(out))
		}
	})
}

// FuzzBody feeds the body readers what a client may send.
func FuzzBody(f *testing.F) {
	f.Add("application/json", "a.b[*]", []byte(`{"a":{"b":[1,"\ud800"]}}`))
	f.Add("application/x-www-form-urlencoded", "a", []byte("a=%4&a=%zz&&=&a"))
	f.Add("multipart/form-data; boundary=X", "a", []byte("--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--X--"))
	f.Add("application/graphql", "x", []byte("query Q($a: A = {b: \"\"\"c\"\"\"}) { ...on D { e } }"))
	f.Fuzz(func(t *testing.T, contentType, path string, body []byte) {
		ctx := new(req.Ctx)
		ctx.Req.SetString("Content-Type", contentType)
		ctx.Req.MethodCode = h1.MethodPost
		ctx.Body, ctx.BodyState = body, req.BodyBuffered
		for _, name := range []string{"post_arg." + path, "post_arg_" + path, "graphql_name", "graphql_root_fields", "graphql_operation"} {
			v, _ := Compile(name)
			val := v.Value(ctx)
			if val.Kind == List {
				val.HasString("x")
				val.HasNumber(1)
			}
			if out, ok := v.Append([]byte("> "), ctx); ok && string(out[:2]) != "> " {
				t.Fatalf("%s: appended %q", name, out)
			}
		}
	})
}
