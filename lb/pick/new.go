package pick

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/lb/node"
)

// The balancing policies, as an upstream's type names them.
const (
	// RoundRobin gives every node its weight's share of the requests in an
	// interleaved order that all loops follow together.
	RoundRobin = "roundrobin"
	// CHash sends equal keys to the same node by a ring on xxHash.
	CHash = "chash"
	// CRC32APISIX is CHash on the ring that APISIX builds, so that gateways of
	// both kinds beside each other send a key to the same node.
	CRC32APISIX = "crc32-apisix"
	// LeastConn picks the node with the fewest requests in flight for its
	// weight, counted over all loops.
	LeastConn = "least_conn"
	// EWMA picks the better of two random nodes by recent latency and load.
	EWMA = "ewma"
	// Emmie is CHash with a bound on how far a node's load may exceed the
	// average; what would exceed it walks on to the next node of the ring.
	Emmie = "emmie"
)

// Types lists the policies that New knows.
func Types() []string {
	return []string{RoundRobin, CHash, CRC32APISIX, LeastConn, EWMA, Emmie}
}

// DefaultLoad is how much load Emmie lets a node have in units of the average.
const DefaultLoad = 1.25

// Config is what New makes a picker from.
type Config struct {
	// Type is one of Types; empty means RoundRobin.
	Type string
	// Nodes are all nodes of the upstream, as a node.Registry made them. The
	// slice is kept.
	Nodes []*node.Node
	// Load is Emmie's bound, > 1; 0 means DefaultLoad.
	Load float64
	// WarmUp lets nodes that join or come back start with a part of their
	// weight; nil lets them have all of it at once.
	WarmUp *WarmUp
}

// ErrNoNodes says that an upstream has no nodes at all.
var ErrNoNodes = errors.New("the upstream has no nodes: add one to its node list")

// New makes the picker that cfg describes. A change of health or of the time
// needs no new picker; a change of nodes, weights or settings does.
//
// Whatever the type, the only node of an upstream is used directly: with weight
// 0, while it is down, and again when it was tried, since there is none other.
func New(cfg Config) (Picker, error) {
	if len(cfg.Nodes) == 0 {
		return nil, ErrNoNodes
	}
	if cfg.WarmUp != nil {
		if err := cfg.WarmUp.check(); err != nil {
			return nil, err
		}
	}
	if cfg.Type == "" {
		cfg.Type = RoundRobin
	}
	if cfg.Load == 0 {
		cfg.Load = DefaultLoad
	}
	switch {
	case !slices.Contains(Types(), cfg.Type):
		return nil, fmt.Errorf("unknown balancing type %q: use one of %s", cfg.Type, strings.Join(Types(), ", "))
	case !(cfg.Load > 1):
		return nil, fmt.Errorf("the load bound is %v: it must be greater than 1", cfg.Load)
	case len(cfg.Nodes) == 1:
		// EWMA's samples are kept up so that they are there when a second
		// node joins.
		return &single{cfg.Nodes[0], cfg.Type == EWMA}, nil
	}
	switch cfg.Type {
	case CHash:
		return newChash(&cfg, xxhashRing), nil
	case CRC32APISIX:
		return newChash(&cfg, crc32Ring), nil
	case LeastConn:
		return newLeastConn(&cfg), nil
	case EWMA:
		return newEWMA(&cfg), nil
	case Emmie:
		return newEmmie(&cfg), nil
	}
	return newRoundRobin(&cfg), nil
}

// single is the picker of an upstream with one node.
type single struct {
	node   *node.Node
	timing bool
}

func (p *single) Pick(*Input) *node.Node {
	return take(p.node)
}

func (p *single) Done(n *node.Node, now, latency int64, ok bool) {
	if p.timing {
		observe(n, now, latency, ok)
	}
	release(n)
}

// take counts a try that begins at n, which may be nil.
func take(n *node.Node) *node.Node {
	if n != nil {
		n.InFlight.Add(1)
	}
	return n
}

// release ends what take began.
func release(n *node.Node) { n.InFlight.Add(-1) }
