package health

import "github.com/sluicegw/sluice/lb/node"

// Counter counts the outcomes of requests against nodes. Loops call it for
// every try; it neither blocks nor allocates, and an outcome that confirms a
// node's state costs a table lookup and a load. A nil Counter counts nothing.
type Counter struct {
	upstream string
	verdicts *verdicts
	// limits are the thresholds by node.Report.
	limits [4]uint8
	events *eventQueue
}

func newCounter(upstream string, p *Passive, events *eventQueue) *Counter {
	c := &Counter{upstream: upstream, verdicts: new(verdicts), events: events}
	c.limits = [4]uint8{
		node.Success:     uint8(p.Successes),
		node.HTTPFailure: uint8(p.HTTPFailures),
		node.TCPFailure:  uint8(p.TCPFailures),
		node.Timeout:     uint8(p.Timeouts),
	}
	if p.Type != TCP {
		c.verdicts = makeVerdicts(p.HealthyStatuses, p.UnhealthyStatuses)
	}
	return c
}

// Response counts a response head that n sent. now is in nanoseconds on the
// clock of pick.Input.Now.
func (c *Counter) Response(n *node.Node, status int, now int64) {
	if c == nil {
		return
	}
	switch c.verdicts.of(status) {
	case good:
		c.report(n, node.Success, status, now)
	case bad:
		c.report(n, node.HTTPFailure, status, now)
	}
}

// Failure counts a try that got no response head: node.TCPFailure when the
// connection failed, node.Timeout when time ran out.
func (c *Counter) Failure(n *node.Node, r node.Report, now int64) {
	if c == nil {
		return
	}
	c.report(n, r, 0, now)
}

func (c *Counter) report(n *node.Node, r node.Report, status int, now int64) {
	// Requests can only mark a node down: what comes back while all nodes are
	// down and used must not outvote the probes.
	if r == node.Success && n.Down() {
		return
	}
	before, after := n.Report(r, c.limits[r], now)
	if before.Status.Down() != after.Status.Down() {
		c.events.put(Event{
			Upstream: c.upstream, Node: n, From: before.Status, To: after.Status,
			Report: r, Count: int(after.Counts[r]), HTTPStatus: status,
		})
	}
}
