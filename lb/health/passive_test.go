package health

import (
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/lb/node"
)

// passive returns a counter over one node whose probes never come to an end.
func passive(t *testing.T, change func(*Passive)) (*Counter, *node.Node, chan Event) {
	t.Helper()
	m, events := startManager(t)
	nodes := nodesAt(t, startBackend(t, silent).addr())
	a, p := quick(), DefaultPassive()
	a.Timeout = time.Minute
	p.Successes, p.HTTPFailures, p.TCPFailures, p.Timeouts = 2, 3, 2, 3
	if change != nil {
		change(&p)
	}
	return sync1(t, m, &Config{Active: &a, Passive: &p}, nodes), nodes[0], events
}

func TestRequestsMarkANodeDown(t *testing.T) {
	c, n, events := passive(t, nil)
	for range 2 {
		c.Response(n, 500, 1)
	}
	if n.Down() {
		t.Fatal("down after 2 of 3 failures")
	}
	c.Response(n, 404, 1) // says nothing
	c.Response(n, 503, 1)
	if !n.Down() {
		t.Fatal("up after 3 failures")
	}
	e := nextEvent(t, events)
	if e.Active || e.HTTPStatus != 503 || e.Count != 3 || e.From != node.MostlyHealthy || e.To != node.Unhealthy {
		t.Errorf("event %+v", e)
	}
	if want := "node " + n.Key + " of upstreams/1 is down: 3 x http_failure by requests, last: status 503"; e.String() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
	for range 10 {
		c.Response(n, 200, 1)
	}
	if !n.Down() {
		t.Error("requests brought a node back")
	}
}

func TestSuccessesClearFailures(t *testing.T) {
	c, n, _ := passive(t, nil)
	for range 10 {
		c.Response(n, 500, 1)
		c.Response(n, 500, 1)
		c.Response(n, 200, 1)
	}
	if n.Down() {
		t.Error("down although failures never came 3 in a row")
	}
	c.Response(n, 200, 1)
	if got := n.Health().Status; got != node.Healthy {
		t.Errorf("%v after enough successes", got)
	}
}

func TestFailuresWithoutAResponse(t *testing.T) {
	c, n, _ := passive(t, nil)
	c.Failure(n, node.Timeout, 1)
	c.Failure(n, node.TCPFailure, 1)
	c.Failure(n, node.Timeout, 1)
	if n.Down() {
		t.Fatal("kinds of failure were added up")
	}
	c.Failure(n, node.TCPFailure, 1)
	if !n.Down() {
		t.Fatal("up after 2 TCP failures")
	}
}

func TestAPassiveThresholdOfZeroDisables(t *testing.T) {
	c, n, _ := passive(t, func(p *Passive) { p.HTTPFailures, p.TCPFailures = 0, 0 })
	for range 300 {
		c.Response(n, 500, 1)
		c.Failure(n, node.TCPFailure, 1)
	}
	if got := n.Health(); got != (node.Health{}) {
		t.Errorf("health %+v", got)
	}
}

func TestPassiveTCPIgnoresStatuses(t *testing.T) {
	c, n, _ := passive(t, func(p *Passive) { p.Type = TCP })
	for range 10 {
		c.Response(n, 500, 1)
	}
	if n.Down() {
		t.Error("a status counted")
	}
}

func TestANilCounterCountsNothing(t *testing.T) {
	var c *Counter
	c.Response(nil, 500, 1)
	c.Failure(nil, node.Timeout, 1)
}

func TestLoopsCountTogether(t *testing.T) {
	c, n, events := passive(t, func(p *Passive) { p.HTTPFailures = 200 })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				c.Response(n, 500, 1)
			}
		})
	}
	wg.Wait()
	if !n.Down() {
		t.Error("up after 200 failures over 4 loops")
	}
	nextEvent(t, events)
	select {
	case e := <-events:
		t.Errorf("a second event: %v", e)
	default:
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	c, n, _ := passive(t, nil)
	if a := testing.AllocsPerRun(100, func() {
		c.Response(n, 200, 1)
		c.Response(n, 500, 1)
		c.Response(n, 200, 1)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkCounter(b *testing.B) {
	p := DefaultPassive()
	c := newCounter("u", &p, newEventQueue())
	n := &node.Node{State: new(node.State)}
	b.ReportAllocs()
	for b.Loop() {
		c.Response(n, 200, 1)
	}
}
