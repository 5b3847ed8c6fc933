package listen

import (
	"fmt"
	"io"
	"time"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/relay"
)

// LoopStatus is one loop's state for `gw status`.
type LoopStatus struct {
	Loop        int     `json:"loop"`
	CPU         int     `json:"cpu"` // -1: not pinned
	Engine      string  `json:"engine"`
	Connections int64   `json:"connections"`
	Accepted    uint64  `json:"accepted"`
	Refused     uint64  `json:"refused"`
	Requests    uint64  `json:"requests"`
	Bad         uint64  `json:"bad_requests"`
	Aborted     uint64  `json:"aborted"`
	Timeouts    uint64  `json:"timeouts"`
	Panics      uint64  `json:"panics"`
	InFlight    int64   `json:"in_flight"`
	Coroutines  int64   `json:"coroutines"`
	Sockets     int64   `json:"sockets"`
	Stalls      uint64  `json:"stalls"`
	LongestMS   float64 `json:"longest_stall_ms"`
	Turns       uint64  `json:"turns"`
	Events      uint64  `json:"events"`
	Sleeps      uint64  `json:"sleeps"`
	Dials       uint64  `json:"dials"`
	AwaitFull   uint64  `json:"await_refused"`
	relay       relay.Stats
	status      [6]uint64
}

// Status returns the state of every loop. It may be called from any thread.
func (s *Server) Status() []LoopStatus {
	out := make([]LoopStatus, len(s.loops))
	for i, w := range s.loops {
		l := w.loop.Stats()
		st := &out[i]
		*st = LoopStatus{
			Loop: i, CPU: w.loop.CPU, Engine: w.loop.Engine(),
			Connections: w.stats.Active.Load(), Accepted: w.stats.Accepted.Load(), Refused: w.stats.Refused.Load(),
			Requests: w.stats.Requests.Load(), Bad: w.stats.Bad.Load(), Aborted: w.stats.Aborted.Load(),
			Timeouts: w.stats.Timeouts.Load(), Panics: w.stats.Panics.Load(),
			InFlight: l.Busy.Load(), Coroutines: l.Tasks.Load(), Sockets: l.Conns.Load(),
			Stalls: l.Stalls.Load(), LongestMS: float64(l.StallNS.Load()) / 1e6,
			Turns: l.Turns.Load(), Events: l.Events.Load(), Sleeps: l.Waits.Load(), Dials: l.Dials.Load(), AwaitFull: l.Refused.Load(),
		}
		for k := range w.stats.Status {
			st.status[k] = w.stats.Status[k].Load()
		}
		st.relay = w.relayStats()
	}
	return out
}

// relayStats asks the loop for the counters that only it may read. A loop that
// does not answer in time gives zeros.
func (w *worker) relayStats() relay.Stats {
	got := make(chan relay.Stats, 1)
	if !w.loop.Post(func() { got <- w.relay.Stats() }) {
		return relay.Stats{}
	}
	select {
	case s := <-got:
		return s
	case <-time.After(100 * time.Millisecond):
		return relay.Stats{}
	}
}

// WriteMetrics writes the loops' counters in Prometheus text.
func (s *Server) WriteMetrics(w io.Writer) {
	loops := s.Status()
	family := func(name, kind, help string, value func(*LoopStatus) any) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for i := range loops {
			fmt.Fprintf(w, "%s{loop=\"%d\"} %v\n", name, i, value(&loops[i]))
		}
	}
	family("sluice_loop_connections", "gauge", "Open client connections.", func(l *LoopStatus) any { return l.Connections })
	family("sluice_loop_accepted_total", "counter", "Client connections accepted.", func(l *LoopStatus) any { return l.Accepted })
	family("sluice_loop_refused_total", "counter", "Client connections refused because the loop's limit was reached.", func(l *LoopStatus) any { return l.Refused })
	family("sluice_loop_requests_total", "counter", "Requests begun.", func(l *LoopStatus) any { return l.Requests })
	family("sluice_loop_bad_requests_total", "counter", "Malformed requests refused.", func(l *LoopStatus) any { return l.Bad })
	family("sluice_loop_aborted_total", "counter", "Requests whose client left, or whose response broke off.", func(l *LoopStatus) any { return l.Aborted })
	family("sluice_loop_client_timeouts_total", "counter", "Clients that were too slow.", func(l *LoopStatus) any { return l.Timeouts })
	family("sluice_loop_panics_total", "counter", "Requests ended by a panic.", func(l *LoopStatus) any { return l.Panics })
	family("sluice_loop_in_flight", "gauge", "Requests in flight.", func(l *LoopStatus) any { return l.InFlight })
	family("sluice_loop_stalls_total", "counter", "Turns that took longer than a millisecond.", func(l *LoopStatus) any { return l.Stalls })
	family("sluice_loop_longest_stall_seconds", "gauge", "The longest turn.", func(l *LoopStatus) any { return l.LongestMS / 1e3 })
	family("sluice_loop_events_total", "counter", "Events handled.", func(l *LoopStatus) any { return l.Events })
	family("sluice_loop_dials_total", "counter", "Connections opened to upstream nodes.", func(l *LoopStatus) any { return l.Dials })
	family("sluice_loop_await_refused_total", "counter", "Background functions refused because the pool was full.", func(l *LoopStatus) any { return l.AwaitFull })
	family("sluice_upstream_idle_connections", "gauge", "Pooled upstream connections.", func(l *LoopStatus) any { return l.relay.Pool.Idle })
	family("sluice_upstream_reused_total", "counter", "Requests served on a pooled upstream connection.", func(l *LoopStatus) any { return l.relay.Pool.Reused })
	family("sluice_upstream_stale_total", "counter", "Pooled connections that the node had closed unnoticed.", func(l *LoopStatus) any { return l.relay.Stale })
	family("sluice_upstream_retries_total", "counter", "Further tries.", func(l *LoopStatus) any { return l.relay.Retries })
	family("sluice_upstream_retries_refused_total", "counter", "Further tries that the retry budget did not allow.", func(l *LoopStatus) any { return l.relay.Refused })
	fmt.Fprintf(w, "# HELP sluice_responses_total Responses sent, by class.\n# TYPE sluice_responses_total counter\n")
	for i := range loops {
		for class := 1; class < len(loops[i].status); class++ {
			fmt.Fprintf(w, "sluice_responses_total{loop=\"%d\",class=\"%dxx\"} %d\n", i, class, loops[i].status[class])
		}
	}
	s.writeConnections(w, loops)
}

// writeConnections writes the families that APISIX's dashboards read.
func (s *Server) writeConnections(w io.Writer, loops []LoopStatus) {
	var active, accepted, handled, requests int64
	for i := range loops {
		active += loops[i].Connections
		accepted += int64(loops[i].Accepted)
		handled += int64(loops[i].Accepted - loops[i].Refused)
		requests += int64(loops[i].Requests)
	}
	var inFlight int64
	for i := range loops {
		inFlight += loops[i].InFlight
	}
	total, current := s.cfg.MetricPrefix+"http_requests_total", s.cfg.MetricPrefix+"nginx_http_current_connections"
	fmt.Fprintf(w, "# HELP %s The total number of client requests since the gateway started\n# TYPE %s gauge\n%s %d\n", total, total, total, requests)
	fmt.Fprintf(w, "# HELP %s Number of HTTP connections\n# TYPE %s gauge\n", current, current)
	for _, v := range []struct {
		state string
		n     int64
	}{
		{"accepted", accepted}, {"active", active}, {"handled", handled},
		{"reading", 0}, {"waiting", max(active-inFlight, 0)}, {"writing", inFlight},
	} {
		fmt.Fprintf(w, "%s{state=%q} %d\n", current, v.state, v.n)
	}
}

// Uptime is how long the process has been running.
func Uptime() time.Duration { return time.Duration(loop.Clock()) }
