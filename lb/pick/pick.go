// Package pick chooses the node of an upstream that serves the next try of a
// request.
package pick

import "github.com/sluicegw/sluice/lb/node"

// Input is what a choice may depend on. It belongs to the request and is
// reused between its tries.
type Input struct {
	// Key is hashed by the consistent-hash pickers.
	Key []byte
	// Now is the loop's coarse monotonic clock in nanoseconds.
	Now int64
	// Rand is a random word, fresh for every request.
	Rand uint64
	// Tried holds the nodes that this request has already tried, in order.
	Tried []*node.Node
}

// Picker is a balancing policy over one upstream's nodes. It is safe for use
// by all loops at once and allocates nothing per call.
type Picker interface {
	// Pick returns the node for the next try and counts it as in flight, or
	// nil when every usable node was tried. Each non-nil result is followed by
	// exactly one Done.
	Pick(in *Input) *node.Node
	// Done ends a try: latency is in nanoseconds from Pick to the end of the
	// response (or of the failure), ok is false when the node failed the try.
	Done(n *node.Node, now, latency int64, ok bool)
}
