package forwardauth_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/forwardauth"
)

// asked is what the service saw.
type asked struct {
	method, uri, host, body string
	header                  http.Header
}

// start runs a gateway whose route asks a service that answers with handle.
// settings are more fields of the plugin, beginning with a comma.
func start(t testing.TB, settings string, handle http.HandlerFunc) (*gateway.Gateway, *atomic.Pointer[asked]) {
	t.Helper()
	last := &atomic.Pointer[asked]{}
	service := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last.Store(&asked{r.Method, r.RequestURI, r.Host, string(body), r.Header})
		handle(w, r)
	})
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), fmt.Sprintf(`{"forward-auth":{"uri":"http://%s/auth?x=y"%s}}`, service, settings))
	return g, last
}

func pass(w http.ResponseWriter, _ *http.Request) {
	w.Header().Add("X-User-Id", "7")
	w.Header().Add("X-Role", "a")
	w.Header().Add("X-Role", "b")
	io.WriteString(w, "ignored")
}

func TestQuestion(t *testing.T) {
	g, last := start(t, `,"request_headers":["Authorization","X-Forwarded-Host","Content-Length","X-Many"],
		"extra_headers":{"X-Route":"r-$route_id","X-Arg":"$arg_a","X-None":"$arg_none"}`, pass)
	resp, body := g.Do("PUT", "/a%20b/../c?a=b%0Ac", "some body", "Host: example.com", "Authorization: Bearer t", "X-Other: secret",
		"X-Many: 1", "X-Many: 2", "User-Agent: test")
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	q := last.Load()
	if q.method != "GET" || q.uri != "/auth?x=y" || q.body != "" || q.host == "example.com" {
		t.Errorf("the service saw %+v", q)
	}
	want := map[string]string{
		"X-Forwarded-Proto": "http", "X-Forwarded-Method": "PUT", "X-Forwarded-Host": "example.com",
		"X-Forwarded-Uri": "/c?a=b%0Ac", "X-Forwarded-For": "127.0.0.1", "Authorization": "Bearer t",
		"X-Many": "1|2", "X-Route": "r-1", "X-Arg": "b c", "X-None": "", "X-Other": "", "User-Agent": "", "Content-Length": "",
	}
	for name, value := range want {
		if got := strings.Join(q.header[name], "|"); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if gateway.Saw(t, body).Body != "some body" {
		t.Errorf("the upstream saw %s", body)
	}
}

func TestHostForTheService(t *testing.T) {
	g, last := start(t, `,"request_headers":["Host"]`, pass)
	g.Get("/", "Host: example.com")
	if q := last.Load(); q.host != "example.com" {
		t.Errorf("the service saw %+v", q)
	}
}

func TestPost(t *testing.T) {
	g, last := start(t, `,"request_method":"POST","max_req_body_size":100000`, pass)
	long := strings.Repeat("x", 90_000)
	for _, text := range []string{"hello", "", long} {
		resp, body := g.Do("POST", "/", text, "Content-Encoding: br")
		if resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		q := last.Load()
		if q.method != "POST" || q.body != text || q.header.Get("Content-Encoding") != "br" {
			t.Errorf("the service saw a body of %d bytes, want %d", len(q.body), len(text))
		}
		if got := gateway.Saw(t, body).Body; got != text {
			t.Errorf("the upstream saw a body of %d bytes, want %d", len(got), len(text))
		}
	}
	if resp, _ := g.Do("POST", "/", long+long); resp.StatusCode != 413 {
		t.Errorf("%d, want 413", resp.StatusCode)
	}
}

// A service that answers before it has read the body leaves the library
// reading it.
func TestPostWithAnEarlyAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head [200]byte
				if _, err := io.ReadFull(c, head[:]); err == nil {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), fmt.Sprintf(`{"forward-auth":{"uri":"http://%s/","request_method":"POST","allow_degradation":true}}`, l.Addr()))
	text := strings.Repeat("x", 500_000)
	for range 20 {
		resp, body := g.Do("POST", "/", text)
		if resp.StatusCode != 200 || gateway.Saw(t, body).Body != text {
			t.Fatalf("%d", resp.StatusCode)
		}
	}
}

func TestFieldsForTheUpstream(t *testing.T) {
	g, _ := start(t, `,"upstream_headers":["X-User-ID","X-Role","X-Absent"]`, pass)
	_, body := g.Get("/", "X-User-ID: forged", "X-Role: forged", "X-Absent: forged", "X-Kept: yes")
	h := gateway.Saw(t, body).Header
	if h.Get("X-User-Id") != "7" || strings.Join(h["X-Role"], "|") != "a|b" || h["X-Absent"] != nil || h.Get("X-Kept") != "yes" || len(h["X-User-Id"]) != 1 {
		t.Errorf("the upstream saw %v", h)
	}
}

func TestRefusals(t *testing.T) {
	for _, status := range []int{302, 401, 403, 500} {
		g, _ := start(t, `,"client_headers":["Location","X-Why","Set-Cookie","X-Absent"],"upstream_headers":["X-Why"]`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://login.example.com/")
			w.Header().Set("X-Why", "because")
			w.Header().Set("X-Hidden", "secret")
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.WriteHeader(status)
			io.WriteString(w, "sorry")
		})
		resp, body := g.Get("/")
		if resp.StatusCode != status || body != "sorry" {
			t.Errorf("%d %s, want %d", resp.StatusCode, body, status)
		}
		h := resp.Header
		if h.Get("Location") != "https://login.example.com/" || h.Get("X-Why") != "because" || h["X-Hidden"] != nil || h["X-Absent"] != nil || strings.Join(h["Set-Cookie"], "|") != "a=1|b=2" {
			t.Errorf("%d: fields %v", status, h)
		}
	}
}

func TestServiceThatFails(t *testing.T) {
	unused := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}()
	release := make(chan struct{})
	slow := gateway.Backend(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	endless := gateway.Backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(403)
		w.Write(make([]byte, 2<<20))
	})
	g := gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	f := func(name, settings string, status int) {
		t.Helper()
		g.Route(node, `{"forward-auth":{`+settings+`}}`)
		if resp, body := g.Get("/"); resp.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, status)
		}
	}
	uri := func(addr string) string { return fmt.Sprintf(`"uri":"http://%s/"`, addr) }
	f("nobody listens", uri(unused), 403)
	f("nobody listens, other status", uri(unused)+`,"status_on_error":503`, 503)
	f("nobody listens, degraded", uri(unused)+`,"allow_degradation":true`, 200)
	f("too slow", uri(slow)+`,"timeout":50`, 403)
	f("too slow, degraded", uri(slow)+`,"timeout":50,"allow_degradation":true`, 200)
	f("an answer without end", uri(endless)+`,"status_on_error":502`, 502)
	f("no TLS", fmt.Sprintf(`"uri":"https://%s/"`, slow)+`,"timeout":200`, 403)
}

// Connections to the service are kept unless that is turned off.
func TestKeepalive(t *testing.T) {
	f := func(settings string, want int) {
		t.Helper()
		seen := map[string]bool{}
		g, _ := start(t, settings, func(_ http.ResponseWriter, r *http.Request) { seen[r.RemoteAddr] = true })
		for range 5 {
			g.Get("/")
		}
		if len(seen) != want {
			t.Errorf("%s: %d connections, want %d", settings, len(seen), want)
		}
	}
	f(``, 1)
	f(`,"keepalive":false`, 5)
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin string) {
		t.Helper()
		if g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"forward-auth":`+plugin+`}}`) == nil {
			t.Errorf("%s was accepted", plugin)
		}
	}
	f(`{}`)
	f(`{"uri":"/auth"}`)
	f(`{"uri":"ftp://a/"}`)
	f(`{"uri":"http://a/","request_method":"PUT"}`)
	f(`{"uri":"http://a/","timeout":0}`)
	f(`{"uri":"http://a/","status_on_error":600}`)
	f(`{"uri":"http://a/","request_headers":["a b"]}`)
	f(`{"uri":"http://a/","extra_headers":{"a b":"c"}}`)
	f(`{"uri":"http://a/","extra_headers":{}}`)
	if err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"forward-auth":{"uri":"http://a/","request_headers":[]}}}`); err != nil {
		t.Errorf("an empty list was refused: %v", err)
	}
}
