package req

import (
	"sync/atomic"
	"unsafe"

	"github.com/sluicegw/sluice/core/h1"
)

// Consumer is an authenticated caller, as one of its credentials identifies it.
// Immutable.
type Consumer struct {
	Username string
	// CredentialID is the credential object that was used, empty when the
	// credential stands on the consumer itself.
	CredentialID string
	// CustomID is the label custom_id.
	CustomID string
	GroupID  string
	// Labels are sorted by name.
	Labels []Label
	// Group is the consumer's group, nil when it belongs to none.
	Group *Group
	// Chain holds the consumer's own plugins less those that authenticate; nil
	// when there are none.
	Chain *Chain
}

// Label is one label of an object.
type Label struct{ Name, Value string }

// Label returns the value of a label.
func (c *Consumer) Label(name string) (value string, ok bool) {
	for i := range c.Labels {
		if c.Labels[i].Name == name {
			return c.Labels[i].Value, true
		}
	}
	return "", false
}

// Group is a stable handle on a consumer group whose definition changes.
type Group struct{ p atomic.Pointer[GroupPlugins] }

// GroupPlugins is the definition of a consumer group.
type GroupPlugins struct {
	Chain *Chain // nil when it has no plugins
}

// Load returns the current definition, nil when the group does not exist.
func (g *Group) Load() *GroupPlugins { return g.p.Load() }

// Store replaces the definition for the requests that start from now on.
func (g *Group) Store(p *GroupPlugins) { g.p.Store(p) }

// SetConsumer makes c the request's consumer and tells the upstream so. What
// another plugin set before is replaced; what the client sent under these names
// was removed when its head was checked.
func (c *Ctx) SetConsumer(k *Consumer) {
	c.Consumer = k
	h := &c.Req.Header
	h.SetID(h1.XConsumerUsername, bytesOf(k.Username))
	setOrDel(h, h1.XCredentialIdentifier, k.CredentialID)
	setOrDel(h, h1.XConsumerCustomID, k.CustomID)
}

func setOrDel(h *h1.Header, id h1.ID, value string) {
	if value == "" {
		h.DelID(id)
		return
	}
	h.SetID(id, bytesOf(value))
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// RunConsumer puts the plugins of the request's consumer and of its group on
// top of the route's, once the route's rewrite phase has found who calls, and
// runs the rewrite steps of those plugins that only they bring. All later
// phases walk the merged chain. Without a consumer, or with one that brings
// nothing, it does nothing. A group that does not exist ends the request with
// 503.
func (c *Ctx) RunConsumer() Verdict {
	k := c.Consumer
	if k == nil || k.Chain == nil && k.Group == nil {
		return Continue // Fast path: the route's own chain.
	}
	var group *Chain
	if k.Group != nil {
		g := k.Group.Load()
		if g == nil {
			return c.Exit(503, nil, "")
		}
		group = g.Chain
	}
	if k.Chain == nil && group == nil || c.Eff == nil {
		return Continue
	}
	m := c.Snap.Merged.get(c.Eff, group, k.Chain)
	c.Eff = &m.eff
	return c.walk(m.added, Rewrite)
}
