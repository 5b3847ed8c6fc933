package req

import (
	"crypto/tls"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/lb/budget"
	"github.com/sluicegw/sluice/lb/health"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pick"
	"github.com/sluicegw/sluice/lb/pool"
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
	// Merged remembers the chains of routes and consumers; nil: they are made
	// for every request.
	Merged *Merged
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
	// Pools are the numbers of Nodes' pools of idle connections, by node index.
	Pools  []pool.ID
	Limits pool.Limits
	// TLS, when not nil, says that the nodes speak TLS.
	TLS *UpstreamTLS
	// Hosts are the Host values of Nodes with PassNodeHost, by node index.
	Hosts  [][]byte
	Picker pick.Picker // nil when there are no nodes
	// Checks counts outcomes for the passive health check; nil counts nothing.
	Checks *health.Counter
	// Key appends the key of a consistent hash to dst; nil when the policy
	// needs none.
	Key func(dst []byte, ctx *Ctx) []byte
	// Retries is how many further tries may follow the first.
	Retries      int
	RetryTimeout int64 // nanoseconds from the start of the request, 0: none
	// RetryStatus tells, by status less 400, which answers lead to another
	// try; nil: none.
	RetryStatus *[200]bool
	// RetryMethods are the methods that may be sent again although the node
	// may have seen them.
	RetryMethods h1.MethodSet
	// Budget bounds retries to a share of the requests; nil allows all.
	Budget *budget.Budget
	// Time limits in nanoseconds, each > 0.
	Connect, Send, Read int64
}

// UpstreamTLS is how a connection to a node is secured. The name that is asked
// for and checked is the Host that the upstream sees (contract 9.2).
type UpstreamTLS struct {
	// Base is the configuration without the server name.
	Base *tls.Config
	// ByNode are the configurations by node index where the name is known
	// beforehand; nil with PassClientHost.
	ByNode []*tls.Config
	// Key is the pool key less address and server name, Keys what numbers it:
	// with PassClientHost every name has pools of its own.
	Key  pool.Key
	Keys *pool.Keys
}
