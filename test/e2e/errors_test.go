package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// Every way in which an upstream can let a request down has its status, and
// none takes longer than the timeouts allow.
func TestUpstreamFailures(t *testing.T) {
	t.Parallel()
	type route struct {
		path, node string
		status     int
		atLeast    time.Duration
	}
	const timeout = 600 * time.Millisecond
	routes := []route{
		{"refused", backend.Refused(t), 502, 0},
		{"black-hole", backend.BlackHole(t), 504, timeout},
		{"silent", backend.Start(t, backend.Silent()).Addr, 504, timeout},
		{"reset-at-once", backend.Start(t, backend.Reset("")).Addr, 502, 0},
		{"half-a-head", backend.Start(t, backend.Raw("HTTP/1.1 200 OK\r\nContent-Le", false)).Addr, 502, 0},
		{"no-http", backend.Start(t, backend.Raw("220 mail.example ESMTP ready\r\n\r\n", false)).Addr, 502, 0},
		{"answers-500", backend.Start(t, backend.Status(500)).Addr, 500, 0},
	}
	good := backend.Start(t, backend.OK("fine"))
	var conf strings.Builder
	conf.WriteString("routes:\n")
	for _, r := range routes {
		fmt.Fprintf(&conf, "  - {id: %s, uri: /%s, upstream: {nodes: {\"%s\": 1}, timeout: {connect: 0.6, send: 0.6, read: 0.6}}}\n", r.path, r.path, r.node)
	}
	fmt.Fprintf(&conf, "  - {id: good, uri: /good, upstream: {nodes: {\"%s\": 1}}}\n", good.Addr)
	conf.WriteString("  - {id: empty, uri: /empty, upstream: {nodes: []}}\n")
	g := gateway.Start(t, gateway.Options{YAML: conf.String()})
	routes = append(routes, route{"empty", "", 503, 0}, route{"nowhere", "", 404, 0})

	c := rawhttp.Dial(t, g.Proxy)
	for _, r := range routes {
		begin := time.Now()
		c.Send(rawhttp.Get("/"+r.path, "example.com"))
		resp := c.MustRead("GET")
		took := time.Since(begin)
		if resp.Status != r.status {
			t.Errorf("%s: status %d, want %d", r.path, resp.Status, r.status)
		}
		if took < r.atLeast || took > r.atLeast+2*time.Second {
			t.Errorf("%s: took %v, the timeout is %v", r.path, took, r.atLeast)
		}
		c.Send(rawhttp.Get("/good", "example.com"))
		if next := c.MustRead("GET"); next.Status != 200 || string(next.Body) != "fine" {
			t.Fatalf("%s: the next request on the connection got %d %q", r.path, next.Status, next.Body)
		}
	}
}

// A response that breaks off must look broken to the client.
func TestCutResponsesLookBroken(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]backend.Handler{
		"length":  backend.CutBody(1 << 20),
		"chunked": backend.CutChunk(),
		"reset":   backend.Reset("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
	} {
		b := backend.Start(t, h)
		g := gateway.Start(t, gateway.Options{Loops: 1, YAML: yamlRoute("/*", b.Addr)})
		c := rawhttp.Dial(t, g.Proxy)
		c.Send(rawhttp.Get("/", "x"))
		r, err := c.Read("GET")
		if err == nil {
			t.Errorf("%s: the client saw a clean end: status %d, %d bytes", name, r.Status, len(r.Body))
		}
	}
}

// What is no HTTP is refused, never forwarded, and the connection ends.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	g, b := startHello(t, gateway.Options{})
	f := func(name, text string, status ...int) {
		t.Helper()
		want := append(status, 400)[0]
		seen := b.Count()
		c := rawhttp.Dial(t, g.Proxy)
		_ = c.TrySend(text)
		raw, closed := c.ClosedByPeer(5 * time.Second)
		if !closed {
			t.Errorf("%s: the connection stays open", name)
		}
		if got := rawhttp.StatusOf(raw); got != want {
			t.Errorf("%s: got %.80q, want a %d", name, raw, want)
		}
		if b.Count() != seen {
			t.Errorf("%s: the back end was asked %q", name, b.Last(t).Raw)
		}
	}
	f("no request line", "\x00\x01\x02\x03\r\n\r\n")
	f("one word", "HELLO\r\n\r\n")
	f("no version", "GET /\r\nHost: x\r\n\r\n")
	f("wrong version", "GET / HTTP/3.7\r\nHost: x\r\n\r\n", 505)
	f("no Host", "GET / HTTP/1.1\r\n\r\n")
	f("two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
	f("blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n")
	f("folded field", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n")
	f("control byte", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01c\r\n\r\n")
	f("length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f("two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
	f("negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")
	f("signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc")
	f("unknown coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501)
	f("TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("\x5a", 300))

	if a := g.Get("/"); a.Status != 200 {
		t.Errorf("a good request afterwards: status %d", a.Status)
	}
}

// Two requests in one packet are two requests, answered in order.
func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Echo())
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr)})
	post := func(body string) string {
		return fmt.Sprintf("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	c := rawhttp.Dial(t, g.Proxy)
	var text strings.Builder
	for i := range 20 {
		text.WriteString(post(strings.Repeat("z", i) + fmt.Sprint(i)))
	}
	c.Send(text.String())
	for i := range 20 {
		r := c.MustRead("POST")
		if want := strings.Repeat("z", i) + fmt.Sprint(i); !bytes.Equal(r.Body, []byte(want)) {
			t.Fatalf("answer %d is %q, want %q", i, r.Body, want)
		}
	}
}
