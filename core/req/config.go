package req

import (
	"sync/atomic"

	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pick"
)

// Router finds the route of a request.
type Router interface {
	// Match sets ctx.Route and reports whether a route fits.
	Match(ctx *Ctx) bool
}

// Snapshot is the whole configuration at one revision. Immutable.
type Snapshot struct {
	Rev    int64
	Router Router
	Global *Chain // global rules; nil when there are none
}

// Route is a compiled route. What depends on services, plugin configs and
// upstreams stands in Eff, which is replaced when one of those changes, so that
// such a change does not touch the routing table.
type Route struct {
	ID, Name               string
	ServiceID, ServiceName string
	Eff                    atomic.Pointer[Effective]
}

// Effective is a route merged with its service and plugin config. Immutable.
type Effective struct {
	Chain    *Chain        // nil: no plugins
	Upstream *UpstreamCell // nil: no upstream is configured
	// Time limits in nanoseconds, 0: the upstream's own.
	Connect, Send, Read int64
	Websocket           bool
	// Fail, when not 0, is the status that every request of the route gets
	// because something it refers to is missing; FailBody is the answer.
	Fail     int
	FailBody []byte
}

// UpstreamCell is a stable handle on an upstream whose definition changes.
type UpstreamCell struct{ p atomic.Pointer[Upstream] }

// Load returns the current definition, nil when the upstream does not exist.
func (c *UpstreamCell) Load() *Upstream { return c.p.Load() }

// Store replaces the definition for the requests that start from now on.
func (c *UpstreamCell) Store(u *Upstream) { c.p.Store(u) }

// PassHost says which Host the upstream sees.
type PassHost uint8

// The values of pass_host.
const (
	PassClientHost PassHost = iota
	PassNodeHost
	PassRewrite
)

// Upstream is a compiled upstream. Immutable; live state hangs on its nodes.
type Upstream struct {
	ID       string
	Name     string
	Scheme   string // http, https, grpc, grpcs
	PassHost PassHost
	Host     []byte // the Host with PassRewrite
	Nodes    []*node.Node
	// Pools are the pool numbers of Nodes, by node index: the same (scheme,
	// address, server name, certificate) has the same number in every
	// upstream. The low half is an index that is used again when its owner is
	// gone, the high half tells one owner from the next.
	Pools []int64
	// Hosts are the Host values of Nodes with PassNodeHost, by node index.
	Hosts  [][]byte
	Picker pick.Picker // nil when there are no nodes
	// Observe feeds the passive health check; nil when there is none.
	Observe func(n *node.Node, status int, kind TryKind)
	// Key makes the key of a consistent hash; nil when the policy needs none.
	Key func(ctx *Ctx) []byte
	// Retries is how many further tries may follow the first.
	Retries      int
	RetryTimeout int64 // nanoseconds from the start of the request, 0: none
	// Time limits in nanoseconds, each > 0.
	Connect, Send, Read int64
	PoolSize            int // idle connections kept per loop and node
	PoolIdle            int64
	PoolRequests        uint32
}

// Consumer is an authenticated caller.
type Consumer struct {
	Username     string
	CredentialID string
	CustomID     string
	GroupID      string
}
