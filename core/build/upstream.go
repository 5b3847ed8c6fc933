package build

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/budget"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pick"
	"github.com/sluicegw/sluice/lb/pool"
)

// upstream is a definition, or the place of one that others refer to and that
// does not exist (yet).
type upstream struct {
	id   string // identity of its state: "upstreams/1", "routes/7"
	cell req.UpstreamCell
	conf *conf.Upstream // nil: not defined
	refs int            // services and routes that name it
}

// defaultTimeout holds for each of connect, send and read (contract: 60 s).
const defaultTimeout = int64(60e9)

func (b *Builder) setUpstream(id string, u *conf.Upstream) error {
	up := b.upstreamRef(id)
	old := up.conf
	up.conf = u
	if err := b.compileUpstream(up); err != nil {
		up.conf = old
		b.dropUnused(id)
		return err
	}
	return nil
}

func (b *Builder) removeUpstream(id string) {
	if up := b.upstreams[id]; up != nil {
		b.clearUpstream(up)
		b.dropUnused(id)
	}
}

// clearUpstream takes a definition out of use.
func (b *Builder) clearUpstream(up *upstream) {
	if old := up.cell.Load(); old != nil {
		b.releasePools(old)
	}
	up.conf = nil
	up.cell.Store(nil)
	b.registry.Drop(up.id)
	if b.opt.Health != nil {
		b.opt.Health.Remove(up.id)
	}
}

// upstreamRef is the place of the upstream called id.
func (b *Builder) upstreamRef(id string) *upstream {
	up := b.upstreams[id]
	if up == nil {
		up = &upstream{id: "upstreams/" + id}
		b.upstreams[id] = up
	}
	return up
}

func (b *Builder) dropUnused(id string) {
	if up := b.upstreams[id]; up != nil && up.conf == nil && up.refs == 0 {
		delete(b.upstreams, id)
	}
}

// hold and release count who refers to an upstream.
func (b *Builder) hold(id conf.ID) *upstream {
	if id == "" {
		return nil
	}
	up := b.upstreamRef(string(id))
	up.refs++
	return up
}

func (b *Builder) release(up *upstream, id conf.ID) {
	if up != nil {
		up.refs--
		b.dropUnused(string(id))
	}
}

// setInline makes the upstream that is written inside a route or service,
// keeping the state of nodes that an earlier one had.
func (b *Builder) setInline(old *upstream, owner string, u *conf.Upstream) (*upstream, error) {
	if u == nil {
		return nil, nil
	}
	up := old
	if up == nil {
		up = &upstream{id: owner}
	}
	prev := up.conf
	up.conf = u
	if err := b.compileUpstream(up); err != nil {
		up.conf = prev
		return nil, err
	}
	return up, nil
}

func (u *upstream) usesDomain(host string) bool {
	for i := range u.conf.Nodes {
		if u.conf.Nodes[i].Host == host {
			return true
		}
	}
	return false
}

// compileUpstream makes the run-time form of up.conf and puts it to use.
func (b *Builder) compileUpstream(up *upstream) error {
	c := up.conf
	scheme := c.Scheme
	if scheme == "" {
		scheme = "http"
	}
	if scheme != "http" && scheme != "https" {
		return fmt.Errorf("upstream %s: scheme %q is not supported by this version: use http or https", up.id, scheme)
	}
	if c.DiscoveryType != "" {
		return fmt.Errorf("upstream %s: discovery_type %q is not supported by this version: list the nodes", up.id, c.DiscoveryType)
	}
	specs := make([]node.Spec, 0, len(c.Nodes))
	for i := range c.Nodes {
		n := &c.Nodes[i]
		port := n.Port
		if port == 0 {
			port = conf.DefaultPort(scheme)
		}
		specs = append(specs, node.Spec{Host: n.Host, Port: uint16(port), Weight: n.Weight, Priority: n.Priority, Metadata: n.Metadata})
	}
	specs = node.Expand(specs, b.lookup)
	now := b.opt.Clock()
	nodes, err := b.registry.Nodes(up.id, specs, now)
	if err != nil {
		return err
	}
	u := &req.Upstream{
		ID: string(c.ID), Name: c.Name, Scheme: scheme, Nodes: nodes,
		Connect: defaultTimeout, Send: defaultTimeout, Read: defaultTimeout,
		Limits:       pool.Limits{Size: 320, Idle: 60e9, Requests: 1000},
		RetryTimeout: c.RetryTimeout.Nanoseconds(),
	}
	if t := c.Timeout; t != nil {
		u.Connect, u.Send, u.Read = t.Connect.Nanoseconds(), t.Send.Nanoseconds(), t.Read.Nanoseconds()
	}
	if k := c.KeepalivePool; k != nil {
		u.Limits = pool.Limits{Size: k.Size, Idle: k.IdleTimeout.Nanoseconds(), Requests: uint32(k.Requests)}
	}
	u.Retries = max(len(nodes)-1, 0)
	if c.Retries != nil && *c.Retries >= 0 {
		u.Retries = *c.Retries
	}
	switch c.PassHost {
	case "node":
		u.PassHost = req.PassNodeHost
	case "rewrite":
		u.PassHost, u.Host = req.PassRewrite, []byte(c.UpstreamHost)
	}
	if err := b.setPicker(u, c); err != nil {
		return fmt.Errorf("upstream %s: %w", up.id, err)
	}
	if err := b.setRetries(u, c, now); err != nil {
		return fmt.Errorf("upstream %s: %w", up.id, err)
	}
	if b.opt.Health != nil && !b.opt.ChecksDisabled {
		if u.Checks, err = b.opt.Health.Sync(up.id, checks(c), nodes); err != nil {
			return err
		}
	}
	key := pool.Key{Scheme: scheme}
	if scheme == "https" {
		if err := b.setTLS(u, c, &key); err != nil {
			return fmt.Errorf("upstream %s: %w", up.id, err)
		}
	}
	for i, n := range nodes {
		key.Addr = n.Addr
		if u.TLS != nil && u.TLS.ByNode != nil {
			key.ServerName = u.TLS.ByNode[i].ServerName
		}
		u.Pools = append(u.Pools, b.pools.Acquire(key))
		u.Hosts = append(u.Hosts, hostOf(n, scheme))
	}
	old := up.cell.Load()
	up.cell.Store(u)
	if old != nil {
		b.releasePools(old)
	}
	return nil
}

func (b *Builder) releasePools(u *req.Upstream) {
	for _, id := range u.Pools {
		b.pools.Release(id)
	}
}

// setRetries compiles retry_on and the retry budget.
func (b *Builder) setRetries(u *req.Upstream, c *conf.Upstream, now int64) error {
	limit := budget.Default()
	if r := c.RetryBudget; r != nil {
		limit = budget.Config{Percent: r.Percent, PerSecond: r.MinPerSecond}
	}
	u.Budget = budget.New(limit, now)
	on := c.RetryOn
	if on == nil {
		return nil
	}
	if len(on.Statuses) > 0 {
		u.RetryStatus = new([200]bool)
		for _, s := range on.Statuses {
			if s < 400 || s > 599 {
				return fmt.Errorf("retry_on.statuses: %d is not in 400..599", s)
			}
			u.RetryStatus[s-400] = true
		}
	}
	var err error
	u.RetryMethods, err = match.Methods(on.Methods)
	return err
}

func (b *Builder) lookup(host string) []netip.Addr {
	if b.opt.Lookup == nil {
		b.warnOnce("domain "+host, "domain node is left out: no resolver is configured", "domain", host)
		return nil
	}
	return b.opt.Lookup(host)
}

// setPicker chooses the balancing policy. An upstream without nodes has none.
func (b *Builder) setPicker(u *req.Upstream, c *conf.Upstream) (err error) {
	if len(u.Nodes) == 0 {
		return nil
	}
	cfg := pick.Config{Type: c.Type, Nodes: u.Nodes, Load: c.BoundedLoad}
	if w := c.WarmUp; w != nil {
		cfg.WarmUp = &pick.WarmUp{
			SlowStart: w.SlowStartSeconds.Nanoseconds(), MinPercent: int(w.MinWeightPercent),
			Interval: w.Interval.Nanoseconds(), Aggression: w.Aggression,
			MatureUntil: b.started + w.StartupGraceSeconds.Nanoseconds(),
		}
	}
	if c.Type == pick.CHash && c.HashRing == pick.CRC32APISIX {
		cfg.Type = pick.CRC32APISIX
	}
	switch c.Type {
	case "weighted_least_conn":
		cfg.Type = pick.LeastConn
	case pick.CHash, pick.Emmie:
		if u.Key, err = hashKey(c); err != nil {
			return err
		}
	}
	u.Picker, err = pick.New(cfg)
	return err
}

// hostOf is the Host that a node gets with pass_host node: its name or
// address, with the port when it is not the scheme's own.
func hostOf(n *node.Node, scheme string) []byte {
	port := int(n.Addr.Port())
	if port == conf.DefaultPort(scheme) {
		if a, err := netip.ParseAddr(n.Host); err == nil && a.Is6() {
			return []byte("[" + n.Host + "]")
		}
		return []byte(n.Host)
	}
	return []byte(net.JoinHostPort(n.Host, strconv.Itoa(port)))
}
