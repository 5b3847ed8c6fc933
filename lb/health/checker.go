package health

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicegw/sluice/lb/node"
)

// checker probes the nodes of one upstream. Its goroutine starts probes and
// takes in what they found; everything but plan belongs to it.
type checker struct {
	key     string
	manager *Manager
	stop    context.CancelFunc
	ended   chan struct{}

	mu   sync.Mutex
	plan *plan         // the newest
	news chan struct{} // says that plan was replaced

	current *plan
	targets map[*node.State]*target
	idle    dueHeap // the targets without a running probe
	running int
	found   chan result
}

// plan is what configuration asks of a checker. Immutable.
type plan struct {
	config *Config
	nodes  []*node.Node // one for each server
	probes []*probe     // of nodes, in the same order
	limits [4]uint8     // thresholds by node.Report
}

// target is a server that is probed.
type target struct {
	node    *node.Node
	probe   *probe
	due     time.Time
	running bool
	gone    bool // its last probe still runs
}

type result struct {
	target *target
	outcome
}

func (m *Manager) newPlan(c *Config, nodes []*node.Node) *plan {
	a := c.Active
	p := &plan{config: c, limits: [4]uint8{
		node.Success:     uint8(a.Successes),
		node.HTTPFailure: uint8(a.HTTPFailures),
		node.TCPFailure:  uint8(a.TCPFailures),
		node.Timeout:     uint8(a.Timeouts),
	}}
	v := makeVerdicts(a.HealthyStatuses, a.UnhealthyStatuses)
	seen := make(map[*node.State]bool, len(nodes))
	for _, n := range nodes {
		if seen[n.State] {
			continue
		}
		seen[n.State] = true
		p.nodes = append(p.nodes, n)
		p.probes = append(p.probes, newProbe(n, c, v, m.options.RootCAs))
	}
	return p
}

func (m *Manager) startChecker(key string, p *plan) *checker {
	ctx, cancel := context.WithCancel(context.Background())
	c := &checker{
		key: key, manager: m, stop: cancel, ended: make(chan struct{}),
		plan: p, news: make(chan struct{}, 1),
		targets: make(map[*node.State]*target),
		found:   make(chan result),
	}
	go c.run(ctx)
	return c
}

// replace gives the checker a new plan.
func (c *checker) replace(p *plan) {
	c.mu.Lock()
	c.plan = p
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

func (c *checker) latest() *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan
}

func (c *checker) run(ctx context.Context) {
	defer close(c.ended)
	c.adopt()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.news:
			c.adopt()
		case r := <-c.found:
			c.take(r)
		case <-timer.C:
		}
		timer.Reset(c.startDue(ctx))
	}
}

// adopt turns the newest plan into targets. A server that stays keeps its turn.
func (c *checker) adopt() {
	p := c.latest()
	c.current = p
	now := time.Now()
	stay := make(map[*node.State]*target, len(p.nodes))
	for i, n := range p.nodes {
		t := c.targets[n.State]
		if t == nil {
			t = &target{due: now.Add(spread(min(c.interval(n)/10, 50*time.Millisecond)))}
		} else if next := now.Add(c.interval(n)); next.Before(t.due) {
			t.due = next
		}
		t.node, t.probe = n, p.probes[i]
		stay[n.State] = t
	}
	for s, t := range c.targets {
		t.gone = stay[s] == nil
	}
	c.targets = stay
	c.idle = c.idle[:0]
	for _, t := range stay {
		if !t.running {
			c.idle = append(c.idle, t)
		}
	}
	heap.Init(&c.idle)
}

func (c *checker) interval(n *node.Node) time.Duration {
	if n.Down() {
		return c.current.config.Active.UnhealthyInterval
	}
	return c.current.config.Active.HealthyInterval
}

// spread returns a random part of d.
func spread(d time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(d) + 1))
}

// startDue starts the probes that are due, as many as may run at once, and
// returns how long there is nothing to do.
func (c *checker) startDue(ctx context.Context) time.Duration {
	const long = time.Hour
	now := time.Now()
	for len(c.idle) > 0 {
		if d := c.idle[0].due.Sub(now); d > 0 {
			return d
		}
		if c.running >= c.current.config.Active.Concurrency {
			return long // the next result starts the next probe
		}
		c.start(ctx, heap.Pop(&c.idle).(*target), now)
	}
	return long
}

func (c *checker) start(ctx context.Context, t *target, now time.Time) {
	t.running = true
	c.running++
	// A tenth of jitter keeps the probes of many gateways and upstreams from
	// falling into step.
	interval := c.interval(t.node)
	t.due = now.Add(interval - interval/20 + spread(interval/10))
	p, timeout := t.probe, c.current.config.Active.Timeout
	c.manager.probes.Go(func() {
		r := result{target: t}
		select {
		case c.manager.slots <- struct{}{}:
			ctx, cancel := context.WithTimeout(ctx, timeout)
			r.outcome = p.run(ctx)
			cancel()
			<-c.manager.slots
		case <-ctx.Done():
		}
		select {
		case c.found <- r:
		case <-ctx.Done():
		}
	})
}

// take counts what a probe found.
func (c *checker) take(r result) {
	t := r.target
	t.running = false
	c.running--
	if t.gone {
		return
	}
	if r.counts {
		c.count(r)
	}
	heap.Push(&c.idle, t)
}

func (c *checker) count(r result) {
	t := r.target
	before, after := t.node.Report(r.report, c.current.limits[r.report], c.manager.options.Clock())
	if before.Status.Down() == after.Status.Down() {
		return
	}
	// The other interval applies from now on.
	if next := time.Now().Add(c.interval(t.node)); next.Before(t.due) {
		t.due = next
	}
	c.manager.events.put(Event{
		Upstream: c.key, Node: t.node, From: before.Status, To: after.Status, Active: true,
		Report: r.report, Count: int(after.Counts[r.report]), HTTPStatus: r.status, Reason: r.reason,
	})
}

// dueHeap has the target on top that is due next.
type dueHeap []*target

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*target)) }

func (h *dueHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}
