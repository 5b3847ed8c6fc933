package build

import (
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
)

// consumer is a consumer and its credentials, or the place of one whose
// credentials are there and that does not exist (yet).
type consumer struct {
	live    *req.Consumer // nil: not defined
	plugins *chain.Set
	group   *group
	own     []held        // credentials on the consumer itself
	others  []*credential // credential objects
}

// group is a compiled consumer group, or the place of one that consumers refer
// to.
type group struct {
	id      string
	cell    req.Group
	plugins *chain.Set
	users   int
}

func (b *Builder) setConsumer(id string, c *conf.Consumer) error {
	name := c.Username
	own, err := b.readCredentials(conf.KindConsumer, id, c.Plugins)
	if err != nil {
		return wrap("consumer", id, err)
	}
	plugins, err := b.compilePlugins("consumers/"+name, withoutAuth(c.Plugins))
	if err != nil {
		return wrap("consumer", id, err)
	}
	k := b.consumerRef(name)
	k.plugins.Close()
	g := b.holdGroup(string(c.GroupID))
	b.releaseGroup(k.group)
	k.plugins, k.group = plugins, g
	k.live = &req.Consumer{
		Username: name, CustomID: c.Labels["custom_id"], GroupID: string(c.GroupID),
		Labels: sortedLabels(c.Labels), Chain: chain.Merge(plugins),
	}
	if g != nil {
		k.live.Group = &g.cell
		if g.cell.Load() == nil {
			b.warnOnce("group "+g.id, "consumer group does not exist: its consumers are answered 503", "group", g.id, "consumer", name)
		}
	}
	b.directory.Consumers().Put(k.live)
	for _, other := range k.others {
		b.publishCredential(k, other)
	}
	old := k.own
	k.own = own
	b.replace(old, own, k.live)
	return nil
}

func (b *Builder) removeConsumer(id string) {
	k := b.consumers[id]
	b.forgetSecrets(conf.KindConsumer, id)
	if k == nil || k.live == nil {
		return
	}
	b.directory.Consumers().Drop(id)
	b.replace(k.own, nil, k.live)
	for _, other := range k.others {
		b.withdrawCredential(k, other)
	}
	k.plugins.Close()
	b.releaseGroup(k.group)
	*k = consumer{others: k.others}
	b.dropConsumer(id, k)
}

// setCredential reads a credential object. Its id is
// "<username>/credentials/<id>".
func (b *Builder) setCredential(id string, c *conf.Credential) error {
	name, short, ok := splitCredentialID(id)
	if !ok {
		return wrap("credential", id, errCredentialID)
	}
	own, err := b.readCredentials(conf.KindCredential, id, c.Plugins)
	if err != nil {
		return wrap("credential", id, err)
	}
	k := b.consumerRef(name)
	at := slices.IndexFunc(k.others, func(o *credential) bool { return o.id == short })
	if at < 0 {
		at = len(k.others)
		k.others = append(k.others, &credential{id: short})
	}
	other := k.others[at]
	if k.live == nil {
		other.held = own
		return nil
	}
	old := other.held
	other.held = own
	b.replace(old, own, as(k.live, short))
	return nil
}

func (b *Builder) removeCredential(id string) {
	b.forgetSecrets(conf.KindCredential, id)
	name, short, _ := splitCredentialID(id)
	k := b.consumers[name]
	if k == nil {
		return
	}
	at := slices.IndexFunc(k.others, func(o *credential) bool { return o.id == short })
	if at < 0 {
		return
	}
	b.withdrawCredential(k, k.others[at])
	k.others = slices.Delete(k.others, at, at+1)
	b.dropConsumer(name, k)
}

func (b *Builder) publishCredential(k *consumer, c *credential) {
	b.replace(c.held, c.held, as(k.live, c.id))
}

func (b *Builder) withdrawCredential(k *consumer, c *credential) {
	if k.live != nil {
		b.replace(c.held, nil, as(k.live, c.id))
	}
}

// as is the consumer as one of its credential objects identifies it.
func as(k *req.Consumer, credential string) *req.Consumer {
	c := *k
	c.CredentialID = credential
	return &c
}

func (b *Builder) consumerRef(name string) *consumer {
	k := b.consumers[name]
	if k == nil {
		k = &consumer{}
		b.consumers[name] = k
	}
	return k
}

func (b *Builder) dropConsumer(name string, k *consumer) {
	if k.live == nil && len(k.others) == 0 {
		delete(b.consumers, name)
	}
}

func (b *Builder) setConsumerGroup(id string, c *conf.ConsumerGroup) error {
	plugins, err := b.compilePlugins("consumer_groups/"+id, withoutAuth(c.Plugins))
	if err != nil {
		return wrap("consumer_group", id, err)
	}
	g := b.groupRef(id)
	g.plugins.Close()
	g.plugins = plugins
	g.cell.Store(&req.GroupPlugins{Chain: chain.Merge(plugins)})
	return nil
}

func (b *Builder) removeConsumerGroup(id string) {
	g := b.groups[id]
	if g == nil {
		return
	}
	g.cell.Store(nil)
	g.plugins.Close()
	g.plugins = nil
	b.dropGroup(g)
}

func (b *Builder) groupRef(id string) *group {
	g := b.groups[id]
	if g == nil {
		g = &group{id: id}
		b.groups[id] = g
	}
	return g
}

func (b *Builder) holdGroup(id string) *group {
	if id == "" {
		return nil
	}
	g := b.groupRef(id)
	g.users++
	return g
}

func (b *Builder) releaseGroup(g *group) {
	if g != nil {
		g.users--
		b.dropGroup(g)
	}
}

func (b *Builder) dropGroup(g *group) {
	if g.users == 0 && g.cell.Load() == nil {
		delete(b.groups, g.id)
	}
}

// withoutAuth leaves the plugins out that authenticate: what consumers hold of
// those are credentials.
func withoutAuth(plugins conf.Plugins) conf.Plugins {
	var out conf.Plugins
	for name, raw := range plugins {
		if p := chain.Lookup(name); p != nil && p.Auth {
			continue
		}
		if out == nil {
			out = make(conf.Plugins, len(plugins))
		}
		out[name] = raw
	}
	return out
}

func sortedLabels(m map[string]string) []req.Label {
	if len(m) == 0 {
		return nil
	}
	out := make([]req.Label, 0, len(m))
	for name, value := range m {
		out = append(out, req.Label{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b req.Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Merged is what remembers the chains of routes with their consumers.
func (b *Builder) Merged() *req.Merged { return b.merged }
