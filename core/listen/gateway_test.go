package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pick"
	"github.com/sluicegw/sluice/lb/pool"
)

// oneRoute sends every request whose path begins with prefix to one route.
type oneRoute struct {
	prefix string
	route  *req.Route
}

func (r *oneRoute) Match(ctx *req.Ctx) bool {
	if !strings.HasPrefix(string(ctx.Path), r.prefix) {
		return false
	}
	ctx.Route = r.route
	return true
}

// gateway is a server with one loop and one route for a test.
type gateway struct {
	*Server
	addr  string
	route *req.Route
	logs  *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newGateway serves the upstream nodes given as host:port.
func newGateway(t testing.TB, change func(*Config, *req.Upstream, *req.Effective), nodes ...string) *gateway {
	t.Helper()
	policy, err := guard.New(guard.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{logs: &logBuffer{}}
	cfg := Config{
		CPUs: []int{-1}, Engine: engine, Policy: policy, ServerHeader: "Sluice",
		HeaderTimeout: 5 * time.Second, BodyTimeout: 5 * time.Second, SendTimeout: 5 * time.Second, KeepaliveTimeout: 60 * time.Second,
		KeepaliveRequests: 1 << 30,
		Log:               slog.New(slog.NewTextHandler(g.logs, nil)),
	}
	u := &req.Upstream{
		ID: "1", Scheme: "http", Connect: 2e9, Send: 2e9, Read: 2e9,
		Limits: pool.Limits{Size: 320, Idle: 60e9}, Retries: max(len(nodes)-1, 0),
	}
	var specs []node.Spec
	for _, n := range nodes {
		ap := netip.MustParseAddrPort(n)
		specs = append(specs, node.Spec{Host: ap.Addr().String(), Port: ap.Port(), Weight: 1})
	}
	if u.Nodes, err = node.NewRegistry().Nodes("upstreams/1", specs, loop.Clock()); err != nil {
		t.Fatal(err)
	}
	for i, n := range u.Nodes {
		u.Pools = append(u.Pools, pool.ID(1<<32|i))
		u.Hosts = append(u.Hosts, []byte(n.Key))
	}
	eff := &req.Effective{Upstream: &req.UpstreamCell{}}
	if change != nil {
		change(&cfg, u, eff)
	}
	if len(nodes) > 0 {
		if u.Picker, err = pick.New(pick.Config{Nodes: u.Nodes}); err != nil {
			t.Fatal(err)
		}
	}
	eff.Upstream.Store(u)
	g.route = &req.Route{ID: "1"}
	g.route.Eff.Store(eff)
	if g.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	g.SetSnapshot(&req.Snapshot{Router: &oneRoute{"/", g.route}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	g.addr = ln.Addr().String()
	g.Start()
	if err := g.Accept([]Socket{{FD: int(f.Fd())}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		f.Close()
		if t.Failed() {
			fmt.Fprintln(os.Stderr, g.logs.String())
		}
	})
	return g
}

// backend is an HTTP server for tests.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// rawBackend serves every connection with f.
func rawBackend(t testing.TB, f func(net.Conn)) string {
	t.Helper()
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
				f(c)
			}()
		}
	}()
	return ln.Addr().String()
}

// readRequest reads one request head and its body as far as it is framed by
// Content-Length.
func readRequest(r *bufio.Reader) (*http.Request, []byte, error) {
	q, err := http.ReadRequest(r)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(q.Body)
	return q, body, err
}

// exchangeRaw sends raw bytes on a new connection and returns all that comes
// until the end or a second of silence.
func exchangeRaw(t testing.TB, addr, raw string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	buf := make([]byte, 4096)
	for {
		c.SetReadDeadline(time.Now().Add(time.Second))
		n, err := c.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.String()
		}
	}
}
