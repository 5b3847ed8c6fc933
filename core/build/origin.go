package build

import (
	"fmt"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pick"
)

// Origin is one plugin of a chain with the object that brought it.
type Origin struct {
	Plugin   string
	Priority int
	// Object names where the configuration stands: "routes/1",
	// "global_rules/2", "consumers/jack".
	Object string
	// Covers names the objects whose instance of the plugin this one takes the
	// place of.
	Covers []string
	// Phases are those in which the plugin does something.
	Phases []req.Phase
	// Auth marks plugins that find the consumer.
	Auth bool
	// StandsBack says of a global rule's plugin that the route's own instance
	// runs instead.
	StandsBack bool
}

// Anatomy is what a route is made of.
type Anatomy struct {
	// Global are the plugins of the global rules, Route those of the route
	// merged with what it refers to; each in the order in which they run.
	Global, Route []Origin
	// Service, PluginConfig and Group name what the route and the consumer
	// refer to, empty when they do not; Missing lists those of them that do not
	// exist.
	Service, PluginConfig, Group string
	Missing                      []string
	// UpstreamObject names the object that holds the upstream: "upstreams/1",
	// "routes/7"; empty when there is none.
	UpstreamObject string
	// Disabled says that the route's status is 0.
	Disabled bool

	upstream *upstream
}

// layer is one object's plugins in a merge.
type layer struct {
	object string
	set    *chain.Set
}

// GlobalOrigins lists the plugins of the global rules in the order in which
// they run.
func (b *Builder) GlobalOrigins() []Origin {
	var layers []layer
	for id, g := range b.rules {
		layers = append(layers, layer{"global_rules/" + id, g.plugins})
	}
	return origins(b.global, layers)
}

// Anatomy takes a route apart. With the name of a consumer it shows the plugins
// that requests of this consumer get. It fails for a route or consumer that
// does not exist.
func (b *Builder) Anatomy(route, consumer string) (*Anatomy, error) {
	r := b.routes[route]
	if r == nil {
		return nil, fmt.Errorf("there is no route %q", route)
	}
	a := &Anatomy{Disabled: !r.enabled}
	var layers []layer
	if consumer != "" {
		k := b.consumers[consumer]
		if k == nil || k.live == nil {
			return nil, fmt.Errorf("there is no consumer %q", consumer)
		}
		layers = append(layers, layer{"consumers/" + consumer, k.plugins})
		if g := k.group; g != nil {
			a.Group = g.id
			a.refer("consumer_groups/"+g.id, g.cell.Load() != nil)
			layers = append(layers, layer{"consumer_groups/" + g.id, g.plugins})
		}
	}
	layers = append(layers, layer{"routes/" + route, r.plugins})
	if p := r.config; p != nil {
		a.PluginConfig = p.id
		a.refer("plugin_configs/"+p.id, p.defined)
		layers = append(layers, layer{"plugin_configs/" + p.id, p.plugins})
	}
	a.upstream = pickUpstream(r.upstream, r.inline)
	if s := r.service; s != nil {
		a.Service = s.id
		a.refer("services/"+s.id, s.defined)
		layers = append(layers, layer{"services/" + s.id, s.plugins})
		if a.upstream == nil {
			a.upstream = pickUpstream(s.upstream, s.inline)
		}
	}
	if up := a.upstream; up != nil {
		a.UpstreamObject = up.id
		a.refer(up.id, up.conf != nil)
	}
	sets := make([]*chain.Set, len(layers))
	for i := range layers {
		sets[i] = layers[i].set
	}
	a.Route = origins(chain.Merge(sets...), layers)
	a.Global = b.GlobalOrigins()
	for i := range a.Global {
		o := &a.Global[i]
		if p := chain.Lookup(o.Plugin); p != nil && p.PreferRoute {
			o.StandsBack = has(a.Route, o.Plugin)
		}
	}
	return a, nil
}

func (a *Anatomy) refer(object string, exists bool) {
	if !exists {
		a.Missing = append(a.Missing, object)
	}
}

// pickUpstream prefers upstream_id to an upstream written in the object.
func pickUpstream(byID, inline *upstream) *upstream {
	if byID != nil {
		return byID
	}
	return inline
}

func has(list []Origin, plugin string) bool {
	for i := range list {
		if list[i].Plugin == plugin {
			return true
		}
	}
	return false
}

// origins tells for every member of a chain which layer it comes from; the
// first layer that has it wins.
func origins(c *req.Chain, layers []layer) []Origin {
	if c == nil {
		return nil
	}
	list := make([]Origin, 0, len(c.Members))
	for _, m := range c.Members {
		o := Origin{Plugin: m.Name, Priority: m.Priority}
		for i := range layers {
			switch {
			case !layers[i].set.Has(m.Name):
			case o.Object == "":
				o.Object = layers[i].object
			default:
				o.Covers = append(o.Covers, layers[i].object)
			}
		}
		for p := range c.Phases {
			for i := range c.Phases[p] {
				if c.Phases[p][i].Slot == m.Slot {
					o.Phases = append(o.Phases, req.Phase(p))
					break
				}
			}
		}
		if p := chain.Lookup(m.Name); p != nil {
			o.Auth = p.Auth
		}
		list = append(list, o)
	}
	return list
}

// Upstream returns the compiled upstream and its definition; nil when there is
// none or it does not exist.
func (a *Anatomy) Upstream() (*req.Upstream, *conf.Upstream) {
	if a.upstream == nil {
		return nil, nil
	}
	return a.upstream.cell.Load(), a.upstream.conf
}

// Forecast tells which node the upstream's policy would give a request now,
// nil when none. rand is what a policy that draws lots draws. The choice is
// made by a copy of the policy on copies of the nodes' state: no request is
// counted and no turn is taken.
func (b *Builder) Forecast(a *Anatomy, ctx *req.Ctx, rand uint64) (*node.Node, error) {
	u, c := a.Upstream()
	if u == nil || len(u.Nodes) == 0 {
		return nil, nil
	}
	now := b.opt.Clock()
	specs := make([]node.Spec, len(u.Nodes))
	for i, n := range u.Nodes {
		specs[i] = node.Spec{Host: n.Host, Addr: n.Addr.Addr(), Port: n.Addr.Port(), Weight: n.Weight, Priority: n.Priority}
	}
	nodes, err := node.NewRegistry().Nodes(a.UpstreamObject, specs, now)
	if err != nil {
		return nil, err
	}
	for i, n := range u.Nodes {
		copyState(nodes[i], n, now)
	}
	shadow := &req.Upstream{Nodes: nodes}
	if err := b.setPicker(shadow, c); err != nil {
		return nil, err
	}
	in := pick.Input{Now: now, Rand: rand}
	if u.Key != nil {
		in.Key = u.Key(nil, ctx)
	}
	chosen := shadow.Picker.Pick(&in)
	if chosen == nil {
		return nil, nil
	}
	return u.Nodes[chosen.Index], nil
}

// copyState gives a fresh node the state of another.
func copyState(to, from *node.Node, now int64) {
	to.InFlight.Store(from.InFlight.Load())
	if us, ok := from.Latency(now); ok {
		to.ObserveLatency(now, int64(us*1e3))
	}
	if from.Down() {
		to.Report(node.TCPFailure, 1, now)
	}
	if g, h := to.Group(), from.Group(); g != nil && h != nil {
		g.Cursor.Store(h.Cursor.Load())
		g.InFlight.Store(h.InFlight.Load())
	}
}
