package proc

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// DataPlane is what carries the traffic in the data process. RunData drives
// it: Start once, then Apply, Status, Metrics, Health and Query in any mix
// (Apply from one goroutine, the others concurrently), then Drain and Close.
type DataPlane interface {
	// Start builds the loops. It does not accept yet. The descriptors in socks
	// stay the caller's: the data plane duplicates them (as loop.Listen does)
	// and never closes them.
	Start(boot *Boot, socks []Socket) error
	// Accept begins to take connections from the sockets given to Start. It
	// is called once: after the first Apply (a restarted process must not
	// answer 404 to connections that waited for it), or when no configuration
	// came within Boot.Hold.
	Accept() error
	// Apply makes a batch live and returns when new requests see it. Objects
	// that cannot be served are returned; their former version stays. The
	// batch and its values are the data plane's to keep, not to write to.
	// Puts come in the order of their kinds, then deletions in the reverse
	// order.
	Apply(b *conf.Batch) []Refusal
	// Drain takes what is waiting in the accept queues, stops accepting,
	// closes idle connections, answers with Connection: close, and returns
	// when the last connection is gone or timeout has passed. It is called at
	// most once and may be cut short by Close.
	Drain(timeout time.Duration)
	// Close ends everything at once.
	Close()

	// Status is the state of the loops for `gw status`; it is turned into
	// JSON.
	Status() any
	// Metrics writes the Prometheus text of the data process.
	Metrics(w io.Writer)
	// Health is the body of /v1/healthcheck; it is turned into JSON.
	Health() any
	// Query answers a named question ("explain") with JSON, ErrNoQuery when
	// the name is unknown.
	Query(name string, arg []byte) ([]byte, error)
}

// Refusal is one object that could not be made live, and why.
type Refusal struct {
	Kind conf.Kind
	ID   string
	// Rev is the revision that was refused.
	Rev int64
	// Reason is a sentence that names the field at fault.
	Reason string
}

// refusalJSON names the kind, for whoever reads it.
type refusalJSON struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Rev    int64  `json:"rev"`
	Reason string `json:"reason"`
}

// MarshalJSON writes the kind by its name ("route").
func (r Refusal) MarshalJSON() ([]byte, error) {
	return json.Marshal(refusalJSON{r.Kind.String(), r.ID, r.Rev, r.Reason})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Refusal) UnmarshalJSON(raw []byte) error {
	var v refusalJSON
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if k.String() == v.Kind {
			*r = Refusal{Kind: k, ID: v.ID, Rev: v.Rev, Reason: v.Reason}
			return nil
		}
	}
	return fmt.Errorf("refusal of an object of unknown kind %q", v.Kind)
}
