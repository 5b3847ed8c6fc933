package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
)

// One of three back ends dies under load and comes back: no GET fails.
func TestBackendDiesUnderLoad(t *testing.T) {
	t.Parallel()
	var nodes []*backend.Server
	var list []string
	for range 3 {
		b := backend.Start(t, backend.OK("hello")).CountOnly()
		nodes = append(nodes, b)
		list = append(list, fmt.Sprintf("%q: 1", b.Addr))
	}
	g := gateway.Start(t, gateway.Options{YAML: "routes:\n  - {id: r, uri: /*, upstream: {nodes: {" + strings.Join(list, ", ") + "}}}\n"})
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 8, Pause: time.Millisecond})
	run.WaitGood(t, 500, 10*time.Second)
	addr := nodes[0].Addr
	nodes[0].Close()
	run.WaitGood(t, 2000, 20*time.Second)
	back := backend.StartAt(t, addr, backend.OK("hello")).CountOnly()
	run.WaitGood(t, 2000, 20*time.Second)
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("%v", rep)
	}
	if back.Count() == 0 {
		t.Error("the node that came back gets no requests")
	}
}

// A back end that closes its idle connections at the worst moment costs no
// request: the stale connection is noticed or the request is sent again.
func TestStaleUpstreamConnections(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	b := backend.Start(t, func(c net.Conn, r backend.Request) bool {
		backend.OK("hello")(c, r)
		return n.Add(1)%3 != 0 // announces keep-alive and closes all the same
	}).CountOnly()
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr)})
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4})
	run.WaitGood(t, 3000, 30*time.Second)
	if rep := run.Stop(); rep.Failed > 0 {
		t.Errorf("%v", rep)
	}
}

// POST is sent once: after the first byte there is no second try.
func TestPostIsNotRepeated(t *testing.T) {
	t.Parallel()
	bad := backend.Start(t, backend.Reset(""))
	good := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{YAML: fmt.Sprintf("routes:\n  - {id: r, uri: /*, upstream: {nodes: {%q: 1, %q: 1}}}\n", bad.Addr, good.Addr)})
	failed := 0
	for range 10 {
		a, err := g.Do("POST", "http://"+g.Proxy+"/", "body")
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == 502 {
			failed++
		} else if a.Status != 200 {
			t.Errorf("status %d", a.Status)
		}
		if a, err := g.Do("GET", "http://"+g.Proxy+"/", nil); err != nil || a.Status != 200 {
			t.Errorf("GET: status %d, error %v", a.Status, err)
		}
	}
	posts := 0
	for _, r := range append(bad.Requests(), good.Requests()...) {
		if strings.HasPrefix(r.Line, "POST") {
			posts++
		}
	}
	if posts != 10 {
		t.Errorf("10 POST requests were sent %d times", posts)
	}
	if failed == 0 {
		t.Error("no POST met the node that resets")
	}
}

// An active check takes a node out that answers 500 and brings it back.
func TestActiveHealthCheck(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	flapping := backend.Start(t, func(c net.Conn, r backend.Request) bool {
		if sick.Load() {
			return backend.Status(500)(c, r)
		}
		return backend.OK("flapping")(c, r)
	})
	steady := backend.Start(t, backend.OK("steady"))
	g := gateway.Start(t, gateway.Options{YAML: fmt.Sprintf(`
upstreams:
  - id: u
    nodes: {%q: 1, %q: 1}
    checks:
      active: {type: http, http_path: /health, healthy: {interval: 1, successes: 2}, unhealthy: {interval: 1, http_failures: 2}}
routes:
  - {id: r, uri: /*, upstream_id: u}
`, flapping.Addr, steady.Addr)})
	share := func() map[string]int {
		got := map[string]int{}
		for range 20 {
			got[g.Get("/").Text()]++
		}
		return got
	}
	if got := share(); got["flapping"] != 10 || got["steady"] != 10 {
		t.Errorf("at first: %v", got)
	}
	sick.Store(true)
	if !gateway.Poll(10*time.Second, func() bool { return share()["steady"] == 20 }) {
		t.Errorf("a node that answers its checks with 500 is still used: %v", share())
	}
	a, err := g.Do("GET", "http://"+g.ControlAddr+"/v1/healthcheck", nil)
	if err != nil || !strings.Contains(a.Text(), "unhealthy") {
		t.Errorf("/v1/healthcheck: error %v, %s", err, a.Body)
	}
	sick.Store(false)
	if !gateway.Poll(10*time.Second, func() bool { return share()["flapping"] == 10 }) {
		t.Errorf("a node that is well again is not used: %v", share())
	}
}
