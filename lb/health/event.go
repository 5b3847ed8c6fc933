package health

import (
	"fmt"
	"sync/atomic"

	"github.com/sluicegw/sluice/lb/node"
)

// Event tells that a node went down or came back.
type Event struct {
	Upstream string // the key given to Manager.Sync
	Node     *node.Node
	From, To node.Status
	// Active is true when a probe decided and false when a request did.
	Active bool
	// Report is the kind of outcome that decided, Count how many there were in
	// a row.
	Report node.Report
	Count  int
	// HTTPStatus is the status that decided, 0 when there was none.
	HTTPStatus int
	// Reason says what the deciding probe saw, empty for requests.
	Reason string
}

// String returns the event as a line for the log.
func (e Event) String() string {
	what := "is up"
	if e.To.Down() {
		what = "is down"
	}
	by := "requests"
	if e.Active {
		by = "probes"
	}
	s := fmt.Sprintf("node %s of %s %s: %d x %s by %s", e.Node.Key, e.Upstream, what, e.Count, e.Report, by)
	switch {
	case e.Reason != "":
		s += ", last: " + e.Reason
	case e.HTTPStatus != 0:
		s += fmt.Sprintf(", last: status %d", e.HTTPStatus)
	}
	return s
}

// maxQueuedEvents bounds the events that wait to be told.
const maxQueuedEvents = 1024

// eventQueue takes events from loops without making them wait.
type eventQueue struct {
	ch      chan Event
	dropped atomic.Uint64
}

func newEventQueue() *eventQueue {
	return &eventQueue{ch: make(chan Event, maxQueuedEvents)}
}

// put queues e, or drops it when the listener is far behind. Events are rare: a
// node has to change between up and down.
func (q *eventQueue) put(e Event) {
	select {
	case q.ch <- e:
	default:
		q.dropped.Add(1)
	}
}
