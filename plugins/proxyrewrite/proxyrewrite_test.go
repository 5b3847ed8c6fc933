package proxyrewrite_test

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestWhatTheUpstreamSees(t *testing.T) {
	up := gateway.Upstream(t)
	g := gateway.Start(t, gateway.Options{})
	f := func(name, conf, request, want string, headers ...string) {
		t.Run(name, func(t *testing.T) {
			g.Route(up, `{"proxy-rewrite":`+conf+`}`)
			_, body := g.Get(request, headers...)
			s := gateway.Saw(t, body)
			if got := s.Method + " " + s.URI; got != want {
				t.Errorf("the upstream saw %q, want %q", got, want)
			}
		})
	}
	f("uri", `{"uri":"/new"}`, "/old?a=1", "GET /new?a=1")
	f("uri without query", `{"uri":"/new"}`, "/old", "GET /new")
	f("uri with query", `{"uri":"/new?x=2"}`, "/old?a=1", "GET /new?x=2&a=1")
	f("uri with query only of its own", `{"uri":"/new?x=2"}`, "/old", "GET /new?x=2")
	f("uri with variable", `{"uri":"/u/$arg_id"}`, "/old?id=7", "GET /u/7?id=7")
	f("uri with a blank in a variable", `{"uri":"/u/$http_x"}`, "/old", "GET /u/a%20b", "X: a b")
	f("regex_uri", `{"regex_uri":["^/a/(.*)/(.*)","/$2/$1"]}`, "/a/one/two?q=1", "GET /two/one?q=1")
	f("regex_uri that does not match", `{"regex_uri":["^/zzz/(.*)","/$1"]}`, "/a/b", "GET /a/b")
	f("regex_uri first match wins", `{"regex_uri":["^/b(.*)","/no","^/a(.*)","/yes$1","^/a(.*)","/late$1"]}`, "/a/b", "GET /yes/b")
	f("regex_uri with query", `{"regex_uri":["^/a/(.*)","/p?id=$1"]}`, "/a/7", "GET /p?id=7")
	f("uri wins over regex_uri", `{"uri":"/new","regex_uri":["^/a(.*)","/regex"]}`, "/a", "GET /new")
	f("escaped question mark stays data", `{"regex_uri":["^/a/(.*)","/p/$1"]}`, "/a/x%3Fy", "GET /p/x%3Fy")
	f("method", `{"method":"POST"}`, "/a", "POST /a")
}

func TestHost(t *testing.T) {
	up := gateway.Upstream(t)
	g := gateway.Start(t, gateway.Options{})
	g.Route(up, `{"proxy-rewrite":{"host":"new.example.com"}}`)
	_, body := g.Get("/")
	if s := gateway.Saw(t, body); s.Host != "new.example.com" {
		t.Errorf("the upstream saw host %q", s.Host)
	}
}

func TestHeaders(t *testing.T) {
	up := gateway.Upstream(t)
	g := gateway.Start(t, gateway.Options{})
	f := func(name, conf, field, want string, headers ...string) {
		t.Run(name, func(t *testing.T) {
			g.Route(up, `{"proxy-rewrite":`+conf+`}`)
			_, body := g.Get("/h/v", headers...)
			s := gateway.Saw(t, body)
			if got := strings.Join(s.Header[field], ","); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		})
	}
	f("bare object sets", `{"headers":{"X-A":"new"}}`, "X-A", "new", "X-A: old")
	f("number", `{"headers":{"X-A":7}}`, "X-A", "7")
	f("set", `{"headers":{"set":{"X-A":"new"}}}`, "X-A", "new", "X-A: old")
	f("add", `{"headers":{"add":{"X-A":"new"}}}`, "X-A", "old,new", "X-A: old")
	f("add list", `{"headers":{"add":{"X-A":["1","2"]}}}`, "X-A", "1,2")
	f("remove", `{"headers":{"remove":["X-A"]}}`, "X-A", "", "X-A: old")
	f("add, set, remove in this order", `{"headers":{"add":{"X-A":"1"},"set":{"X-A":"2"},"remove":["X-A"]}}`, "X-A", "")
	f("variable", `{"headers":{"set":{"X-A":"$remote_addr and ${uri}"}}}`, "X-A", "127.0.0.1 and /h/v")
	f("groups of regex_uri", `{"regex_uri":["^/(h)/(v)","/x"],"headers":{"set":{"X-A":"$2-$1"}}}`, "X-A", "v-h")
	f("groups without a match", `{"regex_uri":["^/(z)","/x"],"headers":{"set":{"X-A":"<$1>"}}}`, "X-A", "<>")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin, want string) {
		t.Run(name, func(t *testing.T) {
			err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"proxy-rewrite":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	f("nothing", `{}`, "failed to check the configuration of plugin proxy-rewrite err:")
	f("odd regex_uri", `{"regex_uri":["^/a","/b","^/c"]}`, "The length of regex_uri should be an even number")
	f("bad pattern", `{"regex_uri":["^/(","/b"]}`, "invalid regex_uri(^/(, /b)")
	f("relative uri", `{"uri":"new"}`, "uri")
	f("line break in a value", `{"headers":{"set":{"X":"a\r\nb"}}}`, "invalid value character in header")
	f("blank in a name", `{"headers":{"set":{"X Y":"a"}}}`, "invalid field character in header")
}
