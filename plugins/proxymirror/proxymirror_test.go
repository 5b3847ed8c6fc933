package proxymirror_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/plugins/proxymirror"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"
)

// mirror is a host that tells what it gets.
func mirror(t testing.TB) (addr string, got chan gateway.Seen) {
	got = make(chan gateway.Seen, 1000)
	return gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- gateway.Seen{Method: r.Method, URI: r.RequestURI, Host: r.Host, Body: string(body), Header: r.Header}
		w.WriteHeader(500) // nobody is interested
	}), got
}

func next(t *testing.T, got chan gateway.Seen) gateway.Seen {
	t.Helper()
	select {
	case s := <-got:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("no copy came")
		return gateway.Seen{}
	}
}

func TestCopies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	addr, got := mirror(t)
	f := func(more, path, want string) {
		t.Helper()
		g.Route(up, fmt.Sprintf(`{"proxy-mirror":{"host":"http://%s"%s}}`, addr, more))
		resp, body := g.Get(path, "X-A: 1", "Host: h.example")
		if resp.StatusCode != 200 || gateway.Saw(t, body).URI != path {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		s := next(t, got)
		if s.Method != "GET" || s.URI != want || s.Host != "h.example" || s.Header.Get("X-A") != "1" || s.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%s: the copy is %+v", path, s)
		}
	}
	f("", "/a%20b?c=d", "/a%20b?c=d")
	f(`,"path":"/m"`, "/a?c=d", "/m?c=d")
	f(`,"path":"/m"`, "/a", "/m")
	f(`,"path":"/m","path_concat_mode":"prefix"`, "/a?c=d", "/m/a?c=d")
	f(`,"path":"/m","path_concat_mode":"prefix"`, "/a", "/m/a")
}

func TestBodies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	addr, got := mirror(t)
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"http://`+addr+`"}}`)
	for _, size := range []int{0, 1, 1000, 100_000, 3_000_000} {
		body := strings.Repeat("x", size)
		for _, chunked := range []bool{false, true} {
			var r io.Reader = strings.NewReader(body)
			if chunked {
				r = struct{ io.Reader }{r}
			}
			resp, err := http.Post(g.URL+"/", "text/plain", r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if s := next(t, got); s.Method != "POST" || s.Body != body || s.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("size %d, chunked %v: %d bytes came: %v", size, chunked, len(s.Body), s.Header)
			}
		}
	}
	before := proxymirror.Count()
	resp, _ := g.Do("POST", "/", strings.Repeat("x", 9<<20))
	if resp.StatusCode != 200 || proxymirror.Count().Dropped != before.Dropped+1 {
		t.Errorf("%d, %+v: a body of 9 MiB is too large for a copy", resp.StatusCode, proxymirror.Count())
	}
}

// What proxy-rewrite makes of the fields is copied; its path is not.
func TestWithRewrite(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	addr, got := mirror(t)
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"http://`+addr+`"},"proxy-rewrite":{"uri":"/new","host":"new.example","headers":{"set":{"X-B":"2"}}}}`)
	g.Get("/old")
	if s := next(t, got); s.URI != "/old" || s.Host != "new.example" || s.Header.Get("X-B") != "2" {
		t.Errorf("%+v", s)
	}
}

func TestOnlyWhatIsProxied(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	addr, got := mirror(t)
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"k"}}}`)
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"http://`+addr+`"},"key-auth":{}}`)
	if resp, _ := g.Get("/refused"); resp.StatusCode != 401 {
		t.Fatal(resp.StatusCode)
	}
	g.Get("/passed", "apikey: k")
	if s := next(t, got); s.URI != "/passed" {
		t.Errorf("%+v", s)
	}
}

func TestOnceInSpiteOfRetries(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	addr, got := mirror(t)
	g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"proxy-mirror":{"host":"http://%s"}},"upstream":{"nodes":{%q:1,"127.0.0.1:1":1}}}`, addr, gateway.Upstream(t)))
	for i := range 4 {
		if resp, _ := g.Get(fmt.Sprintf("/%d", i)); resp.StatusCode != 200 {
			t.Fatal(resp.StatusCode)
		}
	}
	seen := map[string]int{}
	for range 4 {
		seen[next(t, got).URI]++
	}
	for i := range 4 {
		if n := seen[fmt.Sprintf("/%d", i)]; n != 1 {
			t.Errorf("/%d was mirrored %d times", i, n)
		}
	}
}

func TestSamples(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	addr, got := mirror(t)
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"http://`+addr+`","sample_ratio":0.3}}`)
	before := proxymirror.Count()
	const n = 600
	for range n {
		g.Get("/")
	}
	// One more for sure: what it finds has come before it or is counted.
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"http://`+addr+`"}}`)
	g.Get("/last")
	copies := 0
	for next(t, got).URI != "/last" {
		copies++
	}
	after := proxymirror.Count()
	if after.Dropped != before.Dropped || copies < n*2/10 || copies > n*4/10 {
		t.Errorf("%d of %d requests were mirrored at a ratio of 0.3: %+v", copies, n, after)
	}
}

func TestHTTPS(t *testing.T) {
	got := make(chan string, 10)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- r.Proto + " " + r.RequestURI }))
	t.Cleanup(s.Close)
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"`+s.URL+`"}}`)
	for range 3 {
		g.Get("/a")
		if s := <-got; s != "HTTP/1.1 /a" {
			t.Error(s)
		}
	}
}

// A mirror that is dead or hangs costs requests nothing.
func TestMirrorsThatDoNotAnswer(t *testing.T) {
	hang, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hang.Close()
	g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) {
		o.Attr = map[string]json.RawMessage{"proxy-mirror": json.RawMessage(`{"timeout":{"connect":"2000ms","read":2,"send":"2s"}}`)}
	}})
	up := gateway.Upstream(t)
	for _, host := range []string{"127.0.0.1:1", hang.Addr().String()} {
		g.Route(up, `{"proxy-mirror":{"host":"http://`+host+`"}}`)
		before := proxymirror.Count()
		start := time.Now()
		const n = 1200 // more than the queue holds
		for range n {
			if resp, _ := g.Do("POST", "/", "body"); resp.StatusCode != 200 {
				t.Fatal(resp.StatusCode)
			}
		}
		// Serial requests that wait for the mirror would take 40 minutes.
		if d := time.Since(start); d > 60*time.Second {
			t.Errorf("%s: %d requests took %v", host, n, d)
		}
		after := proxymirror.Count()
		if after.Sent != before.Sent || after.Failed+after.Dropped == before.Failed+before.Dropped {
			t.Errorf("%s: %+v, before %+v", host, after, before)
		}
	}
	if !strings.Contains(g.Log(), "proxy-mirror: ") {
		t.Error("the log says nothing")
	}
}

func TestGRPCMirrorsNothing(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"proxy-mirror":{"host":"grpc://127.0.0.1:1"}}`)
	if resp, _ := g.Get("/"); resp.StatusCode != 200 || !strings.Contains(g.Log(), "mirrors nothing") {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) {
		o.Attr = map[string]json.RawMessage{"proxy-mirror": json.RawMessage(`{"timeout":{"read":"soon"}}`)}
	}})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"proxy-mirror":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, `property "host" is required`)
	f(`{"host":"127.0.0.1:1999"}`, `property "host" validation failed`)
	f(`{"host":"http://127.0.0.1:1999/path"}`, `property "host" validation failed`)
	f(`{"host":"http://127.0.0.1","path":"a"}`, `property "path" validation failed`)
	f(`{"host":"http://127.0.0.1","path":"/a?b"}`, `property "path" validation failed`)
	f(`{"host":"http://127.0.0.1","sample_ratio":10}`, `property "sample_ratio" validation failed`)
	f(`{"host":"http://127.0.0.1","path_concat_mode":"x"}`, `property "path_concat_mode" validation failed`)
	f(`{"host":"http://127.0.0.1"}`, `plugin_attr.proxy-mirror.timeout.read is "soon": write a time such as 60s or 2000ms`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/proxy-mirror.md") }
