// Package gateway runs the data path inside a test: from resource objects as
// an administrator writes them to sockets, in one process.
package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/conf/schema"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/listen"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/health"
)

// Gateway is a running data path.
type Gateway struct {
	// Addr is host:port, URL the same with http:// before it.
	Addr, URL string
	Server    *listen.Server
	Builder   *build.Builder

	t         testing.TB
	snap      atomic.Pointer[req.Snapshot]
	validator *conf.Validator
	rev       int64
	logs      logs
}

// Options change how a gateway is made. The zero value is one loop with the
// defaults of config.yaml.
type Options struct {
	Loops  int
	Guard  guard.Settings
	Listen func(*listen.Config)
	Build  func(*build.Options)
}

// Start runs a gateway until the test ends. On failure its log is printed.
func Start(t testing.TB, o Options) *Gateway {
	t.Helper()
	g := &Gateway{t: t}
	log := slog.New(slog.NewTextHandler(&g.logs, nil))
	policy, err := guard.New(o.Guard)
	if err != nil {
		t.Fatal(err)
	}
	cfg := listen.Config{
		CPUs: slices.Repeat([]int{-1}, max(o.Loops, 1)), Policy: policy, ServerHeader: "Sluice",
		HeaderTimeout: 60 * time.Second, BodyTimeout: 60 * time.Second, SendTimeout: 10 * time.Second,
		KeepaliveTimeout: 60 * time.Second, KeepaliveRequests: 1 << 30, Log: log,
	}
	if o.Listen != nil {
		o.Listen(&cfg)
	}
	if g.Server, err = listen.New(cfg); err != nil {
		t.Fatal(err)
	}
	checks := health.NewManager(health.Options{Clock: loop.Clock})
	opts := build.Options{Publish: g.publish, Clock: loop.Clock, Health: checks, Log: log}
	if o.Build != nil {
		o.Build(&opts)
	}
	g.Builder = build.New(opts)
	g.validator = &conf.Validator{
		Plugins: builtin{}, Mode: conf.ModeAdmin,
		PluginCheck: func(name string, raw []byte) error {
			if p := chain.Lookup(name); p != nil && p.Check != nil {
				return p.Check(raw)
			}
			return nil
		},
		ConsumerCheck: func(name string, raw []byte) error {
			if p := chain.Lookup(name); p != nil && p.CheckConsumer != nil {
				return p.CheckConsumer(raw)
			}
			return nil
		},
		ExprCheck: func(raw []byte) error {
			_, err := expr.CompileJSON(raw)
			return err
		},
	}
	g.Server.Start()
	g.listen(len(cfg.CPUs))
	t.Cleanup(func() {
		g.Server.Close()
		checks.Stop()
		if t.Failed() {
			fmt.Fprintln(os.Stderr, g.Log())
		}
	})
	return g
}

func (g *Gateway) publish(s *req.Snapshot) {
	g.snap.Store(s)
	g.Server.SetSnapshot(s)
}

// listen opens one socket per loop on a free port.
func (g *Gateway) listen(loops int) {
	g.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		g.t.Fatal(err)
	}
	ln.Close()
	g.t.Cleanup(func() { f.Close() })
	g.Addr = ln.Addr().String()
	g.URL = "http://" + g.Addr
	var socks []listen.Socket
	for i := range loops {
		// The loops share the socket: whoever wakes first takes a connection.
		socks = append(socks, listen.Socket{FD: int(f.Fd()), Loop: i, Addr: g.Addr})
	}
	if err := g.Server.Accept(socks); err != nil {
		g.t.Fatal(err)
	}
}

// Put makes an object live. value is JSON; "UPSTREAM" in it stands for nothing,
// use fmt for addresses. The test ends when the object is refused.
func (g *Gateway) Put(kind conf.Kind, id, value string) {
	g.t.Helper()
	if err := g.TryPut(kind, id, value); err != nil {
		g.t.Fatalf("%s %s: %v", kind, id, err)
	}
}

// TryPut is Put that returns why an object was refused.
func (g *Gateway) TryPut(kind conf.Kind, id, value string) error {
	filled, _, err := g.validator.Check(kind, id, []byte(value))
	if err != nil {
		return err
	}
	g.rev++
	for _, r := range g.Builder.Apply(&conf.Batch{Rev: g.rev, Objects: []conf.Object{{Kind: kind, ID: id, Rev: g.rev, Value: filled}}}) {
		return r.Err
	}
	return nil
}

// Delete removes an object.
func (g *Gateway) Delete(kind conf.Kind, id string) {
	g.rev++
	g.Builder.Apply(&conf.Batch{Rev: g.rev, Objects: []conf.Object{{Kind: kind, ID: id, Rev: g.rev}}})
}

// Route puts route 1 for every path to one upstream node with the plugins
// given as a JSON object.
func (g *Gateway) Route(node, plugins string) {
	g.t.Helper()
	g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":%s,"upstream":{"nodes":{%q:1}}}`, plugins, node))
}

// Log is what the gateway has logged so far.
func (g *Gateway) Log() string { return g.logs.String() }

// Do sends a request and returns the response with its body read. Redirects
// are not followed. Header lines are "Name: value".
func (g *Gateway) Do(method, path, body string, headers ...string) (*http.Response, string) {
	g.t.Helper()
	q, err := http.NewRequest(method, g.URL+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if strings.EqualFold(name, "Host") {
			q.Host = strings.TrimSpace(value)
			continue
		}
		q.Header.Add(name, strings.TrimSpace(value))
	}
	resp, err := client.Do(q)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(b)
}

// Get is Do for GET.
func (g *Gateway) Get(path string, headers ...string) (*http.Response, string) {
	g.t.Helper()
	return g.Do("GET", path, "", headers...)
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
	Timeout:       30 * time.Second,
}

// Seen is what an upstream saw of a request.
type Seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

// Upstream answers with the request as JSON (see Seen); it returns host:port.
func Upstream(t testing.TB) string {
	return Backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(Seen{r.Method, r.RequestURI, r.Host, string(body), r.Header})
	})
}

// Backend serves with h; it returns host:port.
func Backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Saw decodes an answer of Upstream.
func Saw(t testing.TB, body string) Seen {
	t.Helper()
	var s Seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("the upstream's answer is %q: %v", body, err)
	}
	return s
}

// builtin is the set of all built-in plugins.
type builtin struct{}

func (builtin) Known(name string) bool        { return chain.Lookup(name) != nil }
func (builtin) KnownStream(string) bool       { return false }
func (builtin) Disabled(string, bool) bool    { return false }
func (builtin) Schemas(string) *schema.Plugin { return nil }

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Canned is an upstream that answers every request with the same bytes and
// allocates nothing: for counting allocations and time. It returns host:port.
// Requests have a body only with Content-Length and within one packet.
func Canned(t testing.TB, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	out := []byte(answer)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serveCanned(c, out)
		}
	}()
	return ln.Addr().String()
}

func serveCanned(c net.Conn, out []byte) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n := 0
		for !bytes.Contains(buf[:n], []byte("\r\n\r\n")) {
			k, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			n += k
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}
