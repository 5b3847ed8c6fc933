package health

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sluicegw/sluice/lb/node"
)

// Options are what a Manager needs from its surroundings.
type Options struct {
	// Clock returns nanoseconds on the clock of pick.Input.Now. Required.
	Clock func() int64
	// OnEvent is told, on a goroutine of the manager and one at a time, when a
	// node goes down or comes back. It must not call Stop. Nil: nobody is.
	OnEvent func(Event)
	// MaxProbes bounds the probes that run at once on the host; 0 means 256.
	MaxProbes int
	// RootCAs verify HTTPS nodes; nil means the system's.
	RootCAs *x509.CertPool
}

// Manager runs the health checks of all upstreams. Its methods are for the
// threads that apply configuration and answer the control API.
//
// A node's status and counters live in its node.State: they survive every Sync
// that keeps the node.
type Manager struct {
	options Options
	events  *eventQueue
	slots   chan struct{}  // held by probes that run
	probes  sync.WaitGroup // goroutines of probes
	quit    chan struct{}
	told    chan struct{} // the teller of events ended

	mu        sync.Mutex
	upstreams map[string]*watched
}

// watched is an upstream with checks.
type watched struct {
	config  *Config
	checker *checker
}

// NewManager returns a running manager; Stop ends it.
func NewManager(o Options) *Manager {
	if o.Clock == nil {
		panic("BUG: health.Options.Clock is nil")
	}
	if o.MaxProbes <= 0 {
		o.MaxProbes = 256
	}
	m := &Manager{
		options:   o,
		events:    newEventQueue(),
		slots:     make(chan struct{}, o.MaxProbes),
		quit:      make(chan struct{}),
		told:      make(chan struct{}),
		upstreams: make(map[string]*watched),
	}
	go m.tell()
	return m
}

func (m *Manager) tell() {
	defer close(m.told)
	for {
		select {
		case <-m.quit:
			return
		case e := <-m.events.ch:
			if m.options.OnEvent != nil {
				m.options.OnEvent(e)
			}
		}
	}
}

// Sync makes c the checks of the upstream key ("upstreams/1") over its present
// nodes. Probes start at once. It returns the counter that the loops feed, nil
// when requests are not counted. A nil c, or one without checks, ends the
// upstream's checks and declares its nodes healthy.
//
// c and nodes are kept and must not be changed. An error says which setting is
// wrong; the checks that ran before go on.
func (m *Manager) Sync(key string, c *Config, nodes []*node.Node) (*Counter, error) {
	if c == nil {
		c = new(Config)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if c.Active == nil {
		m.remove(key, nodes)
		return nil, nil
	}
	p := m.newPlan(c, nodes)
	m.mu.Lock()
	if w := m.upstreams[key]; w != nil {
		w.config = c
		w.checker.replace(p)
	} else {
		m.upstreams[key] = &watched{config: c, checker: m.startChecker(key, p)}
	}
	m.mu.Unlock()
	if c.Passive == nil {
		return nil, nil
	}
	return newCounter(key, c.Passive, m.events), nil
}

// Remove ends the checks of an upstream that is no longer configured.
func (m *Manager) Remove(key string) { m.remove(key, nil) }

func (m *Manager) remove(key string, nodes []*node.Node) {
	m.mu.Lock()
	w := m.upstreams[key]
	delete(m.upstreams, key)
	m.mu.Unlock()
	if w == nil {
		return
	}
	w.checker.stop()
	<-w.checker.ended // no probe may count after the reset
	now := m.options.Clock()
	for _, n := range nodes {
		n.ResetHealth(now)
	}
}

// Stop ends all checks and waits for their goroutines. States stay as they are.
// The manager must not be used after.
func (m *Manager) Stop() {
	m.mu.Lock()
	for key, w := range m.upstreams {
		w.checker.stop()
		<-w.checker.ended
		delete(m.upstreams, key)
	}
	m.mu.Unlock()
	m.probes.Wait()
	close(m.quit)
	<-m.told
}

// DroppedEvents returns how many events were not told because too many waited.
func (m *Manager) DroppedEvents() uint64 { return m.events.dropped.Load() }

// UpstreamHealth is an upstream in the form of the control API's
// /v1/healthcheck.
type UpstreamHealth struct {
	Name  string       `json:"name"` // "/apisix/" and the key
	Type  string       `json:"type"`
	Nodes []NodeHealth `json:"nodes"`
}

// NodeHealth is a node in the form of the control API.
type NodeHealth struct {
	IP       string `json:"ip"`
	Port     uint16 `json:"port"` // the one that is probed
	Hostname string `json:"hostname"`
	Status   string `json:"status"`
	Counter  Counts `json:"counter"`
}

// Counts is a node's counters in the form of the control API.
type Counts struct {
	Success        uint8 `json:"success"`
	HTTPFailure    uint8 `json:"http_failure"`
	TCPFailure     uint8 `json:"tcp_failure"`
	TimeoutFailure uint8 `json:"timeout_failure"`
}

// Snapshot returns all upstreams with checks, by name.
func (m *Manager) Snapshot() []UpstreamHealth {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]UpstreamHealth, 0, len(m.upstreams))
	for key, w := range m.upstreams {
		out = append(out, w.snapshot(key))
	}
	slices.SortFunc(out, func(a, b UpstreamHealth) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Upstream returns one upstream, and false when it has no checks.
func (m *Manager) Upstream(key string) (UpstreamHealth, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.upstreams[key]
	if w == nil {
		return UpstreamHealth{}, false
	}
	return w.snapshot(key), true
}

func (w *watched) snapshot(key string) UpstreamHealth {
	p := w.checker.latest()
	u := UpstreamHealth{
		Name:  "/apisix/" + key,
		Type:  w.config.Active.Type.String(),
		Nodes: make([]NodeHealth, 0, len(p.nodes)),
	}
	for i, n := range p.nodes {
		h := n.Health()
		u.Nodes = append(u.Nodes, NodeHealth{
			IP:       n.Addr.Addr().String(),
			Port:     p.probes[i].addr.Port(),
			Hostname: n.Host,
			Status:   h.Status.String(),
			Counter: Counts{
				Success:        h.Counts[node.Success],
				HTTPFailure:    h.Counts[node.HTTPFailure],
				TCPFailure:     h.Counts[node.TCPFailure],
				TimeoutFailure: h.Counts[node.Timeout],
			},
		})
	}
	return u
}
