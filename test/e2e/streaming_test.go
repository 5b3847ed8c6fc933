package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// Sixteen transfers at once, up and down, leave the data process's memory
// where it was: bodies flow through, they are not collected.
func TestStreamingMemory(t *testing.T) {
	each := int64(16 << 20)
	if acceptance {
		each = 1 << 30 / 16
	}
	const parallel = 16
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			fmt.Fprint(w, n, err)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(each))
		chunk := make([]byte, 64<<10)
		for sent := int64(0); sent < each; sent += int64(len(chunk)) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(up.Close)
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", strings.TrimPrefix(up.URL, "http://"))})
	pid := g.DataPID()
	transfer := func(method string) {
		var wg sync.WaitGroup
		for range parallel {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var body io.Reader
				if method == http.MethodPost {
					body = io.LimitReader(zeros{}, each)
				}
				req, err := http.NewRequest(method, "http://"+g.Proxy+"/", body)
				if err != nil {
					t.Error(err)
					return
				}
				if body != nil {
					req.ContentLength = each
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Errorf("%s: %v", method, err)
					return
				}
				defer resp.Body.Close()
				n, err := io.Copy(io.Discard, resp.Body)
				if method == http.MethodGet && (n != each || err != nil) {
					t.Errorf("GET: %d bytes of %d, %v", n, each, err)
				}
				if resp.StatusCode != 200 {
					t.Errorf("%s: status %d", method, resp.StatusCode)
				}
			}()
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		base, err := gateway.RSS(pid)
		if err != nil {
			t.Fatal(err)
		}
		highest := base
		gateway.Poll(5*time.Minute, func() bool {
			if now, err := gateway.RSS(pid); err == nil {
				highest = max(highest, now)
			}
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
		t.Logf("%s: %d transfers of %d MiB: %d KiB before, %d KiB at the highest", method, parallel, each>>20, base>>10, highest>>10)
		if grown := highest - base; grown > 32<<20 {
			t.Errorf("%s: the data process grew by %d MiB", method, grown>>20)
		}
	}
	transfer(http.MethodGet)
	transfer(http.MethodPost)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Every flush of the back end reaches the client at once.
func TestEventStreamPerFlush(t *testing.T) {
	t.Parallel()
	const events = 50
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range events {
			<-tick.C
			fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(up.Close)
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", strings.TrimPrefix(up.URL, "http://"))})
	resp, err := http.Get("http://" + g.Proxy + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var delays []time.Duration
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		var at int64
		if n, _ := fmt.Sscanf(sc.Text(), "data: %d", &at); n == 1 {
			delays = append(delays, time.Duration(time.Now().UnixNano()-at))
		}
	}
	if len(delays) != events {
		t.Fatalf("%d events of %d arrived, %v", len(delays), events, sc.Err())
	}
	slices.Sort(delays)
	t.Logf("event delay: median %v, longest %v", delays[events/2], delays[events-1])
	limit := 100 * time.Millisecond // ten events: a buffer would show
	if acceptance {
		limit = 5 * time.Millisecond
	}
	if delays[events/2] > limit {
		t.Errorf("the median event took %v", delays[events/2])
	}
}

// Expect: 100-continue is answered before the body is sent, and an answer that
// comes before the body's end reaches the client.
func TestExpectContinueAndEarlyAnswers(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Echo())
	// Reads the head only: the server answers while the body is under way.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
					io.Copy(io.Discard, c)
				}
			}()
		}
	}()
	g := gateway.Start(t, gateway.Options{YAML: fmt.Sprintf(`
routes:
  - {id: echo, uri: /echo, upstream: {nodes: {"%s": 1}}}
  - {id: early, uri: /early, upstream: {nodes: {"%s": 1}}}
`, b.Addr, ln.Addr())})

	c := rawhttp.Dial(t, g.Proxy)
	c.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if r, err := c.Read("POST"); err != nil || r.Status != 100 {
		t.Fatalf("before the body: status %d, error %v, want 100", r.Status, err)
	}
	c.Send("hello")
	if r := c.MustRead("POST"); r.Status != 200 || string(r.Body) != "hello" {
		t.Errorf("after the body: %d %q", r.Status, r.Body)
	}

	c = rawhttp.Dial(t, g.Proxy)
	c.Send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1000))
	if r, err := c.Read("POST"); err != nil || r.Status != 413 || string(r.Body) != "much" {
		t.Errorf("early answer: %d %q, error %v", r.Status, r.Body, err)
	}
}

// A client that leaves in the middle frees the upstream connection.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Slow("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000), 2*time.Millisecond))
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr)})
	for range 10 {
		c := rawhttp.Dial(t, g.Proxy)
		c.Send(rawhttp.Get("/", "x"))
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if !gateway.Poll(5*time.Second, func() bool { return b.Open() == 0 }) {
		t.Errorf("%d upstream connections are open though all clients have left", b.Open())
	}
}

// Trailers pass, and so do responses of HTTP/1.0 back ends that end with the
// connection.
func TestTrailersAndCloseDelimited(t *testing.T) {
	t.Parallel()
	trail := backend.Start(t, backend.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n", true))
	old := backend.Start(t, backend.Raw("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end", false))
	g := gateway.Start(t, gateway.Options{YAML: fmt.Sprintf(`
routes:
  - {id: a, uri: /trailer, upstream: {nodes: {"%s": 1}}}
  - {id: b, uri: /old, upstream: {nodes: {"%s": 1}}}
`, trail.Addr, old.Addr)})
	c := rawhttp.Dial(t, g.Proxy)
	c.Send(rawhttp.Get("/trailer", "x", "TE: trailers"))
	if r := c.MustRead("GET"); string(r.Body) != "hello" || r.Trailer.Get("X-Sum") != "42" {
		t.Errorf("body %q, trailer %v", r.Body, r.Trailer)
	}
	c.Send(rawhttp.Get("/old", "x"))
	if r := c.MustRead("GET"); string(r.Body) != "until the end" {
		t.Errorf("HTTP/1.0: body %q", r.Body)
	}
	c.Send(rawhttp.Get("/old", "x")) // the client's connection outlives it
	if r := c.MustRead("GET"); r.Status != 200 {
		t.Errorf("HTTP/1.0 again: status %d", r.Status)
	}
	c = rawhttp.Dial(t, g.Proxy)
	c.Send("GET /old HTTP/1.0\r\nHost: x\r\n\r\n")
	rest, closed := c.ClosedByPeer(5 * time.Second)
	if !closed || !strings.HasSuffix(string(rest), "\r\n\r\nuntil the end") || strings.Contains(string(rest), "chunked") {
		t.Errorf("an HTTP/1.0 client got %q, closed %v", rest, closed)
	}
}

// Slow senders are cut: 408 where a request has begun, silence otherwise.
func TestSlowClientsAreCut(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Echo())
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr), Set: map[string]any{
		"nginx_config.http.client_header_timeout": "500ms",
		"nginx_config.http.client_body_timeout":   "500ms",
		"nginx_config.http.keepalive_timeout":     "500ms",
	}})
	f := func(name, text, want string) {
		t.Helper()
		c := rawhttp.Dial(t, g.Proxy)
		begin := time.Now()
		c.Send(text)
		rest, closed := c.ClosedByPeer(5 * time.Second)
		took := time.Since(begin)
		if !closed || took < 300*time.Millisecond {
			t.Errorf("%s: closed %v after %v", name, closed, took)
		}
		if !strings.HasPrefix(string(rest), want) || want == "" && len(rest) > 0 {
			t.Errorf("%s: got %.60q, want %q", name, rest, want)
		}
	}
	f("nothing sent", "", "")
	f("half a head", "GET / HTTP/1.1\r\nHost: x\r\n", "HTTP/1.1 408 ")
	f("half a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", "HTTP/1.1 408 ")
	f("idle after a request", rawhttp.Get("/", "x"), "HTTP/1.1 200 ")
}

// Sizes beyond the limits have their own answers.
func TestSizeLimits(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Echo())
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr), Set: map[string]any{
		"nginx_config.http.client_max_body_size": "1k",
		"sluice.limits":                          map[string]any{"max_head": "4k", "max_uri": "1k", "max_headers": 20},
	}})
	f := func(name, text string, status int) {
		t.Helper()
		if got := rawhttp.StatusOf(rawhttp.Exchange(t, g.Proxy, text, time.Second)); got != status {
			t.Errorf("%s: status %d, want %d", name, got, status)
		}
	}
	f("URI", rawhttp.Get("/"+strings.Repeat("a", 2000), "x"), 414)
	f("head", rawhttp.Get("/", "x", "A: "+strings.Repeat("b", 5000)), 431)
	f("fields", rawhttp.Get("/", "x", strings.Split(strings.TrimSuffix(strings.Repeat("A: b,", 30), ","), ",")...), 431)
	f("announced body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n", 413)
	f("chunked body", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n"+strings.Repeat("x", 2048)+"\r\n0\r\n\r\n", 413)
	f("within all limits", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n"+strings.Repeat("x", 1024), 200)
}
