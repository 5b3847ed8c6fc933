package health

import (
	"encoding/json"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegw/sluice/lb/node"
)

func TestProbesFollowAFlappingNode(t *testing.T) {
	m, events := startManager(t)
	b := startBackend(t, says(ok200))
	nodes := nodesAt(t, b.addr())
	a := quick()
	sync1(t, m, &Config{Active: &a}, nodes)
	eventually(t, "the first probes", func() bool { return b.seen.Load() >= 3 })

	f := func(serve func(net.Conn), report node.Report, count int, words string) {
		t.Helper()
		b.become(serve)
		e := nextEvent(t, events)
		if !e.To.Down() || !e.Active || e.Report != report || e.Count != count || !strings.Contains(e.String(), words) {
			t.Fatalf("event %v, want %d x %v about %q", e, count, report, words)
		}
		if !nodes[0].Down() {
			t.Fatal("the node is up after the event")
		}
		b.become(says(ok200))
		if e := nextEvent(t, events); e.To != node.Healthy || e.Count != 2 || nodes[0].Down() {
			t.Fatalf("event %v, want the node back after 2 successes", e)
		}
	}
	f(says("HTTP/1.1 503 Service Unavailable\r\n\r\n"), node.HTTPFailure, 3, "status 503")
	f(func(c net.Conn) { readHead(c) }, node.TCPFailure, 2, "EOF")
	f(says("SSH-2.0-server\r\n"), node.HTTPFailure, 3, "not an HTTP/1.x response")
	f(says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 no\r\n\r\n"), node.HTTPFailure, 3, "status 500")
}

func TestAClosedPortIsATCPFailure(t *testing.T) {
	for _, typ := range []Type{HTTP, TCP} {
		m, events := startManager(t)
		b := startBackend(t, silent)
		nodes := nodesAt(t, b.addr())
		b.stop()
		a := quick()
		a.Type = typ
		sync1(t, m, &Config{Active: &a}, nodes)
		if e := nextEvent(t, events); e.Report != node.TCPFailure || !strings.Contains(e.Reason, "refused") {
			t.Errorf("%v: event %v", typ, e)
		}
	}
}

func TestAStallIsATimeout(t *testing.T) {
	f := func(what string, serve func(net.Conn)) {
		t.Helper()
		m, events := startManager(t)
		nodes := nodesAt(t, startBackend(t, serve).addr())
		a := quick()
		a.Timeout = 20 * time.Millisecond
		sync1(t, m, &Config{Active: &a}, nodes)
		if e := nextEvent(t, events); e.Report != node.Timeout || e.Count != 2 {
			t.Errorf("%s: event %v", what, e)
		}
		m.Remove("upstreams/1")
	}
	f("no answer", silent)
	f("half a head", func(c net.Conn) {
		c.Write([]byte("HTTP/1.1 200 OK\r\nX: y\r\n"))
		silent(c)
	})
}

func TestTCPProbesOnlyConnect(t *testing.T) {
	m, events := startManager(t)
	b := startBackend(t, silent)
	nodes := nodesAt(t, b.addr())
	nodes[0].Report(node.TCPFailure, 1, 1)
	a := quick()
	a.Type = TCP
	sync1(t, m, &Config{Active: &a}, nodes)
	if e := nextEvent(t, events); e.To != node.Healthy {
		t.Errorf("event %v", e)
	}
}

func TestOtherStatusesAreNeutral(t *testing.T) {
	m, _ := startManager(t)
	b := startBackend(t, says("HTTP/1.1 418 teapot\r\n\r\n"))
	nodes := nodesAt(t, b.addr())
	nodes[0].Report(node.HTTPFailure, 3, 1)
	a := quick()
	sync1(t, m, &Config{Active: &a}, nodes)
	eventually(t, "probes", func() bool { return b.seen.Load() >= 5 })
	if h := nodes[0].Health(); h.Status != node.MostlyHealthy || h.Counts[node.HTTPFailure] != 1 {
		t.Errorf("health %+v, want it untouched", h)
	}
}

func TestHealthSurvivesASyncThatKeepsTheNode(t *testing.T) {
	m, events := startManager(t)
	b := startBackend(t, says("HTTP/1.1 500 no\r\n\r\n"))
	other := startBackend(t, says(ok200))
	reg := node.NewRegistry()
	nodes := registryNodes(t, reg, b.addr())
	a := quick()
	sync1(t, m, &Config{Active: &a}, nodes)
	nextEvent(t, events)

	nodes = registryNodes(t, reg, other.addr(), b.addr())
	c := quick()
	c.Path = "/healthz"
	sync1(t, m, &Config{Active: &c}, nodes)
	if nodes[0].Down() || !nodes[1].Down() {
		t.Fatal("a sync changed the health of nodes that stay")
	}
	eventually(t, "probes of the new node", func() bool { return other.seen.Load() >= 2 })

	// Without checks nobody would ever bring the node back.
	if counter := sync1(t, m, nil, nodes); counter != nil {
		t.Error("a counter without checks")
	}
	if nodes[1].Down() {
		t.Error("a node stays down after its checks were taken away")
	}
	if len(m.Snapshot()) != 0 {
		t.Error("an upstream without checks is in the snapshot")
	}
}

func TestANodeThatLeftIsNotProbed(t *testing.T) {
	m, _ := startManager(t)
	b := startBackend(t, says(ok200))
	other := startBackend(t, says(ok200))
	reg := node.NewRegistry()
	a := quick()
	sync1(t, m, &Config{Active: &a}, registryNodes(t, reg, b.addr(), other.addr()))
	eventually(t, "probes", func() bool { return b.seen.Load() > 0 })
	sync1(t, m, &Config{Active: &a}, registryNodes(t, reg, other.addr()))
	before := other.seen.Load()
	eventually(t, "probes of the other", func() bool { return other.seen.Load() > before+2 })
	count := b.seen.Load()
	eventually(t, "more probes of the other", func() bool { return other.seen.Load() > before+6 })
	if b.seen.Load() != count {
		t.Error("a node that left is still probed")
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	m, _ := startManager(t)
	var running, most atomic.Int64
	hold := make(chan struct{})
	b := startBackend(t, func(c net.Conn) {
		n := running.Add(1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		<-hold
		running.Add(-1)
		says(ok200)(c)
	})
	// Many nodes on one listener: loopback has more than one address.
	var specs []node.Spec
	for i := range 20 {
		specs = append(specs, node.Spec{Host: "127.0.0.1", Port: b.addr().Port(), Weight: 1, Priority: i})
	}
	reg := node.NewRegistry()
	var nodes []*node.Node
	for i := range specs {
		// Each in an upstream of its own, so that states differ.
		n, err := reg.Nodes("u"+string(rune('a'+i)), specs[i:i+1], 1)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n...)
	}
	a := quick()
	a.Concurrency = 3
	sync1(t, m, &Config{Active: &a}, nodes)
	eventually(t, "three probes", func() bool { return running.Load() == 3 })
	close(hold)
	eventually(t, "all nodes probed", func() bool { return b.seen.Load() >= 40 })
	if most.Load() > 3 {
		t.Errorf("%d probes ran at once, want at most 3", most.Load())
	}
}

func TestStopEndsProbesThatRun(t *testing.T) {
	m := NewManager(Options{Clock: func() int64 { return 1 }})
	b := startBackend(t, silent)
	a := quick()
	a.Timeout = time.Minute
	if _, err := m.Sync("u", &Config{Active: &a}, nodesAt(t, b.addr())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a probe", func() bool { return b.seen.Load() > 0 })
	start := time.Now()
	m.Stop()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("stopping took %v", d)
	}
}

func TestSnapshotHasTheControlAPIsShape(t *testing.T) {
	m, _ := startManager(t)
	reg := node.NewRegistry()
	b := startBackend(t, says("HTTP/1.1 418 teapot\r\n\r\n"))
	nodes := registryNodes(t, reg, b.addr())
	nodes[0].Report(node.HTTPFailure, 5, 1)
	nodes[0].Report(node.Timeout, 5, 1)
	a := quick()
	a.Port = b.addr().Port()
	sync1(t, m, &Config{Active: &a}, nodes)
	got, err := json.Marshal(m.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"/apisix/upstreams/1","type":"http","nodes":[{"ip":"127.0.0.1","port":` +
		strings.TrimPrefix(b.addr().String(), "127.0.0.1:") +
		`,"hostname":"127.0.0.1","status":"mostly_healthy","counter":{"success":0,"http_failure":1,"tcp_failure":0,"timeout_failure":1}}]}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if u, ok := m.Upstream("upstreams/1"); !ok || u.Name != "/apisix/upstreams/1" {
		t.Errorf("got %+v, %v", u, ok)
	}
	if _, ok := m.Upstream("upstreams/2"); ok {
		t.Error("an upstream that nobody configured")
	}
}

func TestSettingsAreChecked(t *testing.T) {
	m, _ := startManager(t)
	f := func(words string, change func(*Config)) {
		t.Helper()
		a, p := quick(), DefaultPassive()
		c := &Config{Active: &a, Passive: &p}
		change(c)
		if _, err := m.Sync("upstreams/5", c, nil); err == nil || !strings.Contains(err.Error(), words) ||
			!strings.Contains(err.Error(), "upstreams/5") {
			t.Errorf("error %v, want one about %q", err, words)
		}
	}
	f("passive needs", func(c *Config) { c.Active = nil })
	f("timeout", func(c *Config) { c.Active.Timeout = 0 })
	f("concurrency", func(c *Config) { c.Active.Concurrency = 0 })
	f("interval", func(c *Config) { c.Active.UnhealthyInterval = 0 })
	f("http_path", func(c *Config) { c.Active.Path = "/a b" })
	f("http_path", func(c *Config) { c.Active.Path = "a" })
	f("http_method", func(c *Config) { c.Active.Method = "" })
	f("host", func(c *Config) { c.Active.Host = "a\r\nb" })
	f("upstream_host", func(c *Config) { c.RewriteHost = "a b" })
	f("req_headers", func(c *Config) { c.Active.Headers = []string{"no colon"} })
	f("req_headers", func(c *Config) { c.Active.Headers = []string{"A: b\r\nC: d"} })
	f("threshold 255", func(c *Config) { c.Active.Timeouts = 255 })
	f("threshold 0", func(c *Config) { c.Active.Successes = 0 })
	f("threshold -1", func(c *Config) { c.Passive.Timeouts = -1 })
}
