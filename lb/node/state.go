package node

import (
	"sync/atomic"
)

// cacheLine is the distance that keeps two cells from sharing a line, with the
// adjacent-line prefetcher of current CPUs left aside: cells of one State that
// are written at the same rate stand next to each other anyway.
const cacheLine = 64

// State is a node's live state. It is keyed by (upstream, host, port) and
// outlives configuration changes that keep the node. Cells that several loops
// write stand on cache lines of their own, so that a loop that counts a request
// does not take the line from another that only looks at the node's health.
type State struct {
	_ [cacheLine]byte

	// InFlight counts requests that were sent or are being connected, over all
	// loops.
	InFlight atomic.Int64
	_        [cacheLine - 8]byte

	// ewma is a packed Latency; see ObserveLatency.
	ewma atomic.Uint64
	_    [cacheLine - 8]byte

	// The rest is read by every pick and written only when something happens
	// to the node.

	// health is a packed Health; see Report.
	health atomic.Uint64
	// risen is when the node last began to take traffic, 0 when it was there
	// from the start; see Risen.
	risen atomic.Int64
	group *Group
	_     [cacheLine - 24]byte
}

// Group is the live state of an upstream as a whole. It outlives configuration
// changes like the states that belong to it.
type Group struct {
	_ [cacheLine]byte

	// Cursor is the round-robin position of the upstream, taken and advanced
	// by one atomic addition. It starts at random, so that a fleet of gateways
	// does not begin with the same node.
	Cursor atomic.Uint64
	_      [cacheLine - 8]byte

	// InFlight sums up the node's InFlight for pickers that need an average.
	// Only they maintain it.
	InFlight atomic.Int64
	_        [cacheLine - 8]byte

	// epoch grows whenever a node goes down, comes back or starts to warm up;
	// pickers keep what they derive from health together with the epoch they
	// saw and derive it anew when it moved.
	epoch atomic.Uint64
	// lastRise is the greatest risen of the group's states.
	lastRise atomic.Int64
	_        [cacheLine - 16]byte
}

// Group returns the state of the upstream that s belongs to, nil for a State
// that no Registry made.
func (s *State) Group() *Group { return s.group }

// Epoch returns a number that changes whenever a node of the group goes down
// or comes back.
func (g *Group) Epoch() uint64 { return g.epoch.Load() }

// LastRise returns when a node of the group last began to take traffic, in
// nanoseconds on the clock of Registry.Nodes, 0 for never.
func (g *Group) LastRise() int64 { return g.lastRise.Load() }

// Risen returns when the node began to take traffic: when it joined an upstream
// that was already serving, or came back from being down. 0 says that it was
// there from the start. In nanoseconds on the clock of Registry.Nodes.
func (s *State) Risen() int64 { return s.risen.Load() }

// rise notes that the node starts taking traffic at now.
func (s *State) rise(now int64) {
	s.risen.Store(now)
	if s.group == nil {
		return
	}
	for {
		last := s.group.lastRise.Load()
		if last >= now || s.group.lastRise.CompareAndSwap(last, now) {
			return
		}
	}
}
