package vars

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
)

// request is a context as it is when the response has been sent. fields are
// "Name: value" lines.
func request(t testing.TB, line, fields, body string) *req.Ctx {
	t.Helper()
	ctx := new(req.Ctx)
	head := line + " HTTP/1.1\r\n"
	for l := range strings.Lines("Host: Foo.com:8080\n" + fields) {
		head += strings.TrimSpace(l) + "\r\n"
	}
	head += "\r\n"
	if n, err := ctx.Req.Scan([]byte(head), new(h1.Limits)); n != len(head) || err != nil {
		t.Fatalf("head not scanned: %d, %v", n, err)
	}
	_, target, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(target, "?")
	ctx.Path, ctx.Query, ctx.Host, ctx.Port = []byte(path), []byte(query), []byte("foo.com"), 8080
	ctx.Peer = netip.MustParseAddrPort("172.16.0.9:4711")
	ctx.Local = netip.MustParseAddrPort("[::ffff:10.0.0.1]:9080")
	ctx.Client = netip.MustParseAddr("203.0.113.7")
	if body != "" {
		ctx.Body, ctx.BodyState = []byte(body), req.BodyBuffered
	}
	ctx.Wall = 1_700_000_000_123_000_000
	ctx.BytesIn, ctx.BytesOut, ctx.Status = 120, 345, 200
	ctx.ConnID, ctx.ConnRequests = 77, 3
	return ctx
}

func check(t *testing.T, ctx *req.Ctx, name, want string) {
	t.Helper()
	v, known := Compile(name)
	if !known {
		t.Errorf("%s is unknown", name)
	}
	got, ok := v.Get(ctx)
	if want == "<unset>" {
		if ok {
			t.Errorf("%s: %q, want it unset", name, got)
		}
	} else if !ok || string(got) != want {
		t.Errorf("%s: %q %v, want %q", name, got, ok, want)
	}
	// Append must agree, whatever stands in front.
	out, ok2 := v.Append([]byte("> "), ctx)
	if ok2 != ok || ok && string(out) != "> "+want || !ok && string(out) != "> " {
		t.Errorf("%s: appended %q %v", name, out, ok2)
	}
}

func TestRequestVariables(t *testing.T) {
	ctx := request(t, "GET /a%20b/./c?x=1&y=%7Ba+b&x=2&e=&bare&%6B=v", `
		User-Agent: curl/8
		X-Foo_Bar: one
		x-foo-bar: two
		Cookie: a=1; B=2; a=3; sp=x y
		Cookie: late=z
		Authorization: Basic YWxpY2U6c2VjcmV0
		Content-Type: text/plain
		Content-Length: 0`[1:], "")
	ctx.Path = []byte("/a b/c")
	f := func(name, want string) { t.Helper(); check(t, ctx, name, want) }
	f("arg_x", "1")
	f("arg_y", "{a b")
	f("arg_e", "")
	f("arg_bare", "true")
	f("arg_k", "v")
	f("arg_none", "<unset>")
	f("http_user_agent", "curl/8")
	f("http_User-Agent", "curl/8")
	f("http_x_foo_bar", "one, two")
	f("http_host", "Foo.com:8080")
	f("http_none", "<unset>")
	f("http_cookie", "a=1; B=2; a=3; sp=x y; late=z")
	f("cookie_a", "3")
	f("cookie_B", "2")
	f("cookie_b", "<unset>")
	f("cookie_sp", "x")
	f("cookie_late", "z")
	f("request_method", "GET")
	f("method", "GET")
	f("uri", "/a b/c")
	f("request_uri", "/a b/c?x=1&y=%7Ba+b&x=2&e=&bare&%6B=v")
	f("real_request_uri", "/a%20b/./c?x=1&y=%7Ba+b&x=2&e=&bare&%6B=v")
	f("request", "GET /a%20b/./c?x=1&y=%7Ba+b&x=2&e=&bare&%6B=v HTTP/1.1")
	f("args", "x=1&y=%7Ba+b&x=2&e=&bare&%6B=v")
	f("query_string", "x=1&y=%7Ba+b&x=2&e=&bare&%6B=v")
	f("is_args", "?")
	f("host", "foo.com")
	f("scheme", "http")
	f("server_protocol", "HTTP/1.1")
	f("content_type", "text/plain")
	f("content_length", "0")
	f("remote_user", "alice")
	f("request_length", "120")
	f("request_body", "<unset>")
	f("remote_addr", "203.0.113.7")
	f("realip_remote_addr", "172.16.0.9")
	f("remote_port", "4711")
	f("server_addr", "10.0.0.1")
	f("server_port", "9080")
	f("server_name", "_")
	f("binary_remote_addr", "\xcb\x00\x71\x07")
	f("connection", "77")
	f("connection_requests", "3")
	f("pid", strconv.Itoa(os.Getpid()))
	name, _ := os.Hostname()
	f("hostname", name)
	f("status", "200")
	f("bytes_sent", "345")
	f("msec", "1700000000.123")
	f("request_time", "0.000")
	f("ssl_protocol", "<unset>")
	f("rate_limiting_info", "<unset>")
	f("llm_model", "<unset>")
	ctx.TLS, ctx.Query = true, nil
	f("scheme", "https")
	f("is_args", "")
	f("args", "<unset>")
	f("request_uri", "/a b/c")
}

func TestConfigurationVariables(t *testing.T) {
	ctx := request(t, "GET /", "", "")
	f := func(name, want string) { t.Helper(); check(t, ctx, name, want) }
	f("route_id", "<unset>")
	f("consumer_name", "<unset>")
	f("matched_uri", "<unset>")
	ctx.Route = &req.Route{ID: "r1", Name: "route", ServiceID: "s1"}
	ctx.Consumer = &req.Consumer{Username: "jack", GroupID: "g"}
	ctx.Matched().MatchedURI = "/a/*"
	f("route_id", "r1")
	f("route_name", "route")
	f("service_id", "s1")
	f("service_name", "<unset>")
	f("consumer_name", "jack")
	f("consumer_group_id", "g")
	f("matched_uri", "/a/*")
	f("matched_host", "<unset>")
	ctx.Matched().SetCaptures([]byte("/u/77"), []string{"id"}, &[req.MaxParams]req.Span{{Start: 3, End: 5}})
	f("uri_param_id", "77")
	f("uri_param_no", "<unset>")
}

func TestUpstreamVariables(t *testing.T) {
	ctx := request(t, "GET /", "", "")
	f := func(name, want string) { t.Helper(); check(t, ctx, name, want) }
	f("upstream_addr", "<unset>")
	f("balancer_ip", "<unset>")
	f("upstream_host", "Foo.com:8080")
	a := &node.Node{Host: "a.internal", Addr: netip.MustParseAddrPort("10.0.0.1:80"), Key: "10.0.0.1:80"}
	b := &node.Node{Host: "b.internal", Addr: netip.MustParseAddrPort("10.0.0.2:81"), Key: "10.0.0.2:81"}
	ctx.Tries = []req.Try{
		{Node: a, Status: 502, Connect: -1, Header: -1, Total: 3_400_000},
		{Node: b, Status: 200, Connect: 0, Header: 12_000_000, Total: 1_234_567_890, Bytes: 512},
	}
	ctx.Upstream = &req.Upstream{Scheme: "http"}
	ctx.UpstreamHost, ctx.UpstreamURI = []byte("up.com"), []byte("/new")
	f("upstream_addr", "10.0.0.1:80, 10.0.0.2:81")
	f("upstream_status", "502, 200")
	f("upstream_response_time", "0.003, 1.234")
	f("upstream_connect_time", "-, 0.000")
	f("upstream_header_time", "-, 0.012")
	f("upstream_bytes_received", "0, 512")
	f("upstream_scheme", "http")
	f("upstream_host", "up.com")
	f("upstream_uri", "/new")
	f("upstream_unresolved_host", "b.internal")
	f("balancer_ip", "10.0.0.2")
	f("balancer_port", "81")
	f("upstream_cache_status", "<unset>")
	ctx.Resp.SetString("X-Up", "v")
	f("sent_http_x_up", "v")
	f("upstream_http_x_up", "<unset>")
	ctx.Source = req.FromUpstream
	f("upstream_http_x_up", "v")
}

func TestFormBody(t *testing.T) {
	ctx := request(t, "POST /", "Content-Type: application/x-www-form-urlencoded; charset=utf-8", "a=1&b=x+y%21&a=2")
	f := func(name, want string) { t.Helper(); check(t, ctx, name, want) }
	f("post_arg_a", "1")
	f("post_arg_b", "x y!")
	f("post_arg_c", "<unset>")
	f("post_arg.b", "x y!")
	f("post_arg.b.c", "<unset>")
	f("request_body", "a=1&b=x+y%21&a=2")
	ctx = request(t, "POST /", "Content-Type: application/json", `{"a":"1"}`)
	f("post_arg_a", "<unset>")
	ctx = request(t, "POST /", "", `a=1`)
	f("post_arg_a", "<unset>")
	f("post_arg.a", "<unset>")
}

func TestJSONBody(t *testing.T) {
	ctx := request(t, "POST /", "Content-Type: application/json",
		` {"model":"gpt","n":1.5,"t":true,"z":null,"o":{"k":[1,"two",{"x":"\u0041\ud83d\ude00"}]},"model":"last","k.d":1,"esc\u0061":"y"} `)
	f := func(name, want string) { t.Helper(); check(t, ctx, name, want) }
	f("post_arg.model", "last")
	f("post_arg.n", "1.5")
	f("post_arg.t", "true")
	f("post_arg.z", "<unset>")
	f("post_arg.o", `{"k":[1,"two",{"x":"\u0041\ud83d\ude00"}]}`)
	f("post_arg.o.k", `[1,"two",{"x":"\u0041\ud83d\ude00"}]`)
	f("post_arg.o.k[0]", `[1]`)
	f("post_arg.o.k[*].x", `["\u0041\ud83d\ude00"]`)
	f("post_arg.o.k[9]", "<unset>")
	f("post_arg.o.none", "<unset>")
	f("post_arg.o..x", `["\u0041\ud83d\ude00"]`)
	f("post_arg.o.*", `[[1,"two",{"x":"\u0041\ud83d\ude00"}]]`)
	f("post_arg.['k.d']", "[1]")
	f("post_arg.esca", "y")
	ctx = request(t, "POST /", "Content-Type: application/json", `{"a":1`)
	f("post_arg.a", "<unset>")
	ctx = request(t, "POST /", "Content-Type: application/json", `"a"`)
	f("post_arg.a", "<unset>")
	for _, bad := range []string{"post_arg.", "post_arg.a[", "post_arg.a[x]", "post_arg.a[?(@.b)]", "post_arg.a.", "post_arg.."} {
		if _, known := Compile(bad); known {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestMultipartBody(t *testing.T) {
	body := strings.ReplaceAll(`--XX
Content-Disposition: form-data; name="file"; filename="a.txt"
Content-Type: text/plain

content
of a file
--XX
content-disposition: form-data; name=title

hello
--XX--
`, "\n", "\r\n")
	ctx := request(t, "POST /", `Content-Type: multipart/form-data; boundary="XX"`, body)
	f := func(name, want string) { t.Helper(); check(t, ctx, name, want) }
	f("post_arg.title", "hello")
	f("post_arg.file", "content\r\nof a file")
	f("post_arg.none", "<unset>")
	ctx = request(t, "POST /", `Content-Type: multipart/form-data`, body)
	f("post_arg.title", "<unset>")
	ctx = request(t, "POST /", `Content-Type: multipart/form-data; boundary=XX`, body[:60])
	f("post_arg.file", "<unset>")
}

func TestGraphQL(t *testing.T) {
	f := func(line, fields, body, name, operation, roots string) {
		t.Helper()
		ctx := request(t, line, fields, body)
		check(t, ctx, "graphql_name", name)
		check(t, ctx, "graphql_operation", operation)
		check(t, ctx, "graphql_root_fields", roots)
	}
	const post = "POST /graphql"
	f(post, "", `query getUser($id: ID = {a: "}"}, $n: [Int!]) @live { owner(id: $id) { name friends(first: 2) { n } } repo: repository }`,
		"getUser", "query", `["owner","repository"]`)
	f(post, "", "{ a, b # comment }\n c }", "", "query", `["a","b","c"]`)
	f(post, "", `mutation { x(s: """block " { text""") @include(if: true) }`, "", "mutation", `["x"]`)
	f(post, "", `query Q { ...F ... on User { id } a } fragment F on User { b }`, "Q", "query", `["F","a"]`)
	f(post, "", `fragment F on User { b }`, "F", "<unset>", `["b"]`)
	f(post, "Content-Type: application/json", `{"query":"query Q {\n a { b } }","variables":null}`, "Q", "query", `["a"]`)
	f("GET /?query=query+Q%20%7B+a+%7D", "", "", "Q", "query", `["a"]`)
	const none = "<unset>"
	f(post, "", `query {`, none, none, none)
	f(post, "", `{}`, none, none, none)
	f(post, "", `hello world`, none, none, none)
	f(post, "", `{ a(b: "unterminated) }`, none, none, none)
	f(post, "", `{ a } }`, none, none, none)
	f(post, "", `{ a(b: [1) }`, none, none, none)
	f(post, "Content-Type: application/json", `{"q":"{ a }"}`, none, none, none)
	f("GET /", "", "", none, none, none)
	f("PUT /", "", "{ a }", none, none, none)
	if _, known := Compile("graphql_depth"); known {
		t.Error("graphql_depth is known")
	}
}

func TestUnknownNames(t *testing.T) {
	ctx := request(t, "GET /", "", "")
	for _, name := range []string{"no_such", "", "arg_", "http_", "cookie_", "a.b", "ARG_x"} {
		v, known := Compile(name)
		if known || v.IsSet(ctx) {
			t.Errorf("%q is known or set", name)
		}
	}
	var zero Var
	if zero.IsSet(ctx) {
		t.Error("the zero variable is set")
	}
}

func TestToNumber(t *testing.T) {
	f := func(text string, want float64, ok bool) {
		t.Helper()
		if got, k := ToNumber([]byte(text)); k != ok || got != want {
			t.Errorf("%q: %v %v, want %v %v", text, got, k, want, ok)
		}
	}
	f("0", 0, true)
	f("123456789012345", 123456789012345, true)
	f("12345678901234567890", 12345678901234567890, true)
	f(" -1.5e2\n", -150, true)
	f("+3", 3, true)
	f(".5", .5, true)
	f("5.", 5, true)
	f("0x1F", 31, true)
	f("-0x10", -16, true)
	f("", 0, false)
	f(" ", 0, false)
	f(".", 0, false)
	f("-", 0, false)
	f("1e", 0, false)
	f("1e+", 0, false)
	f("0x", 0, false)
	f("0xg", 0, false)
	f("1_000", 0, false)
	f("1 2", 0, false)
	f("abc", 0, false)
	f("1,5", 0, false)
}

func TestRegister(t *testing.T) {
	Register("test_registered", func(dst []byte, ctx *req.Ctx) ([]byte, bool) {
		return append(dst, ctx.Host...), true
	})
	check(t, request(t, "GET /", "", ""), "test_registered", "foo.com")
	defer func() {
		if recover() == nil {
			t.Error("a taken name was registered")
		}
	}()
	Register("remote_addr", nil)
}
