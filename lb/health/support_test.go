package health

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegw/sluice/lb/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a server whose behaviour a test can change.
type backend struct {
	ln    net.Listener
	serve atomic.Pointer[func(net.Conn)]
	seen  atomic.Int64
	wg    sync.WaitGroup
}

func startBackend(t *testing.T, serve func(net.Conn)) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{ln: ln}
	b.serve.Store(&serve)
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.seen.Add(1)
			b.wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
				(*b.serve.Load())(c)
			})
		}
	})
	t.Cleanup(b.stop)
	return b
}

func (b *backend) stop() {
	b.ln.Close()
	b.wg.Wait()
}

func (b *backend) become(serve func(net.Conn)) { b.serve.Store(&serve) }

func (b *backend) addr() netip.AddrPort { return netip.MustParseAddrPort(b.ln.Addr().String()) }

// says answers every connection with text after its request head came.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		readHead(c)
		c.Write([]byte(text))
	}
}

func readHead(c net.Conn) string {
	var head []byte
	b := make([]byte, 1024)
	for {
		n, err := c.Read(b)
		head = append(head, b[:n]...)
		if err != nil || len(head) >= 4 && string(head[len(head)-4:]) == "\r\n\r\n" {
			return string(head)
		}
	}
}

// silent reads and never answers; it ends when the client does.
func silent(c net.Conn) {
	b := make([]byte, 1024)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

const ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func nodesAt(t *testing.T, addrs ...netip.AddrPort) []*node.Node {
	t.Helper()
	return registryNodes(t, node.NewRegistry(), addrs...)
}

func registryNodes(t *testing.T, r *node.Registry, addrs ...netip.AddrPort) []*node.Node {
	t.Helper()
	var specs []node.Spec
	for _, a := range addrs {
		specs = append(specs, node.Spec{Host: a.Addr().String(), Port: a.Port(), Weight: 1})
	}
	nodes, err := r.Nodes("upstreams/1", specs, 1)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func startManager(t *testing.T) (*Manager, chan Event) {
	t.Helper()
	events := make(chan Event, 1000)
	var clock atomic.Int64
	m := NewManager(Options{
		Clock:   func() int64 { return clock.Add(1) },
		OnEvent: func(e Event) { events <- e },
	})
	t.Cleanup(m.Stop)
	return m, events
}

// quick is a check that decides within a few milliseconds.
func quick() Active {
	a := DefaultActive()
	a.HealthyInterval = 5 * time.Millisecond
	a.UnhealthyInterval = 5 * time.Millisecond
	a.Timeout = 2 * time.Second
	a.Successes, a.HTTPFailures, a.TCPFailures, a.Timeouts = 2, 3, 2, 2
	return a
}

func sync1(t *testing.T, m *Manager, c *Config, nodes []*node.Node) *Counter {
	t.Helper()
	counter, err := m.Sync("upstreams/1", c, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return counter
}

func nextEvent(t *testing.T, events chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event within 10 s")
		panic("unreachable")
	}
}

// eventually waits for a condition that no event announces.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		case <-tick.C:
		}
	}
}
