// Package build turns configuration objects into what the data path runs on,
// with work in proportion to what changed.
package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/lb/health"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pool"
)

// Options are what a builder needs besides the objects.
type Options struct {
	Match match.Options
	// Publish gets every new snapshot.
	Publish func(*req.Snapshot)
	// Lookup returns the addresses of a domain node that are known at present
	// and has them kept fresh; Refresh is to be called when they change. nil:
	// domain nodes are left out with a warning.
	Lookup func(host string) []netip.Addr
	// Enabled tells whether a plugin may run (the list in config.yaml); nil:
	// all that are built in.
	Enabled func(name string) bool
	// Attr is plugin_attr of config.yaml.
	Attr map[string]json.RawMessage
	// Clock is the loops' clock. Required.
	Clock func() int64
	// Health runs the health checks; nil: none run.
	Health *health.Manager
	// ChecksDisabled turns health checks off everywhere.
	ChecksDisabled bool
	// State holds the plugins' shared counters; nil: memory of this process.
	State *state.Store
	// Secrets resolves references to secrets ("$env://NAME",
	// "$secret://vault/1/path/field") in credentials. It must bound its own
	// time. nil: credentials with references cannot be used.
	Secrets func(reference string) (string, error)
	Log     *slog.Logger
}

// Refusal names an object that could not be put to use. What it was before goes
// on serving.
type Refusal struct {
	Kind conf.Kind
	ID   string
	Err  error
}

// Builder holds the compiled objects. Its methods are for one background
// goroutine.
type Builder struct {
	opt      Options
	registry *node.Registry
	pools    *pool.Keys
	started  int64 // clock

	upstreams map[string]*upstream
	plugged   map[*upstream]bool // written in plugins
	services  map[string]*service
	configs   map[string]*pluginConfig
	rules     map[string]*globalRule
	routes    map[string]*route
	ssls      map[string]*conf.SSL
	metadata  map[string]*chain.Metadata
	revs      map[key]int64 // of every object applied

	consumers map[string]*consumer
	groups    map[string]*group
	directory *chain.Directory
	contested map[contest][]chain.Credential // keys with several claims, the winner first
	secretive map[key]conf.Plugins           // objects whose credentials refer to secrets
	merged    *req.Merged

	table  *match.Table
	global *req.Chain
	rev    int64
	warned map[string]bool

	// What the running Apply touched.
	dirtyRoutes map[*route]bool // Effective must be made anew
	moved       map[*route]bool // place in the table changed
	rulesDirty  bool
	// contests are keys that more than one consumer came to claim.
	contests []contest
	// secretsDirty says that references may stand for something else now.
	secretsDirty bool
}

type key struct {
	kind conf.Kind
	id   string
}

// New makes an empty builder and publishes an empty snapshot.
func New(opt Options) *Builder {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.State == nil {
		opt.State = state.New(state.Sizes{Limits: 16 << 10, Conns: 4 << 10, Breakers: 1 << 10})
	}
	b := &Builder{
		opt: opt, registry: node.NewRegistry(), pools: pool.NewKeys(),
		upstreams: map[string]*upstream{}, plugged: map[*upstream]bool{}, services: map[string]*service{}, configs: map[string]*pluginConfig{},
		rules: map[string]*globalRule{}, routes: map[string]*route{}, ssls: map[string]*conf.SSL{}, metadata: map[string]*chain.Metadata{},
		revs: map[key]int64{}, warned: map[string]bool{},
		table:       match.New(opt.Match),
		dirtyRoutes: map[*route]bool{}, moved: map[*route]bool{},
		consumers: map[string]*consumer{}, groups: map[string]*group{}, directory: chain.NewDirectory(),
		contested: map[contest][]chain.Credential{}, secretive: map[key]conf.Plugins{}, merged: &req.Merged{},
	}
	b.started = opt.Clock()
	b.publish()
	return b
}

// Apply puts a batch to use and publishes the outcome as one snapshot. It
// returns the objects that could not be used; the rest of the batch holds.
func (b *Builder) Apply(batch *conf.Batch) []Refusal {
	var refused []Refusal
	fail := func(o *conf.Object, err error) {
		refused = append(refused, Refusal{o.Kind, o.ID, err})
		b.opt.Log.Error("object refused: its last good version goes on serving",
			"kind", o.Kind.String(), "id", o.ID, "revision", o.Rev, "error", err)
	}
	for _, o := range b.changes(batch) {
		var err error
		if o.Deleted() {
			b.remove(o)
			delete(b.revs, key{o.Kind, o.ID})
		} else if err = b.set(o); err == nil {
			b.revs[key{o.Kind, o.ID}] = o.Rev
		}
		if err != nil {
			fail(o, err)
		}
	}
	b.rev = batch.Rev
	b.settle(fail)
	b.publish()
	return refused
}

// changes lists what the batch really changes: what refers to others after
// what it refers to, removals in the opposite order at the end.
func (b *Builder) changes(batch *conf.Batch) []*conf.Object {
	var byKind [conf.NumKinds][]*conf.Object
	var gone [conf.NumKinds][]*conf.Object
	present := map[key]bool{}
	for i := range batch.Objects {
		o := &batch.Objects[i]
		if o.Kind == conf.KindNone || o.Kind >= conf.NumKinds {
			continue
		}
		k := key{o.Kind, o.ID}
		if batch.Full {
			present[k] = true
		}
		if o.Deleted() {
			gone[o.Kind] = append(gone[o.Kind], o)
			continue
		}
		if rev, ok := b.revs[k]; ok && rev == o.Rev && batch.Full {
			continue // the same object: it keeps its state
		}
		byKind[o.Kind] = append(byKind[o.Kind], o)
	}
	if batch.Full {
		for k := range b.revs {
			if !present[k] {
				gone[k.kind] = append(gone[k.kind], &conf.Object{Kind: k.kind, ID: k.id, Rev: batch.Rev})
			}
		}
	}
	var list []*conf.Object
	for _, objects := range byKind {
		list = append(list, objects...)
	}
	for k := len(gone) - 1; k >= 0; k-- {
		list = append(list, gone[k]...)
	}
	return list
}

func (b *Builder) set(o *conf.Object) error {
	v, err := conf.Decode(o)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *conf.Upstream:
		return b.setUpstream(o.ID, v)
	case *conf.Service:
		return b.setService(o.ID, v)
	case *conf.PluginConfig:
		return b.setPluginConfig(o.ID, v)
	case *conf.GlobalRule:
		return b.setGlobalRule(o.ID, v)
	case *conf.Route:
		return b.setRoute(o.ID, v)
	case *conf.PluginMetadata:
		return b.setMetadata(o.ID, v)
	case *conf.SSL:
		return b.setSSL(o.ID, v)
	case *conf.Consumer:
		return b.setConsumer(o.ID, v)
	case *conf.Credential:
		return b.setCredential(o.ID, v)
	case *conf.ConsumerGroup:
		return b.setConsumerGroup(o.ID, v)
	case *conf.Secret:
		b.secretsDirty = true
	}
	return nil
}

func (b *Builder) remove(o *conf.Object) {
	switch o.Kind {
	case conf.KindUpstream:
		b.removeUpstream(o.ID)
	case conf.KindService:
		b.removeService(o.ID)
	case conf.KindPluginConfig:
		b.removePluginConfig(o.ID)
	case conf.KindGlobalRule:
		b.removeGlobalRule(o.ID)
	case conf.KindRoute:
		b.removeRoute(o.ID)
	case conf.KindSSL:
		b.removeSSL(o.ID)
	case conf.KindConsumer:
		b.removeConsumer(o.ID)
	case conf.KindCredential:
		b.removeCredential(o.ID)
	case conf.KindConsumerGroup:
		b.removeConsumerGroup(o.ID)
	case conf.KindSecret:
		b.secretsDirty = true
	case conf.KindPluginMetadata:
		if m := b.metadata[o.ID]; m != nil {
			m.Store(nil)
		}
	}
}

// settle makes anew what depends on the objects that changed.
func (b *Builder) settle(fail func(*conf.Object, error)) {
	if b.secretsDirty {
		b.secretsDirty = false
		b.RefreshSecrets()
	}
	b.logContests()
	if b.rulesDirty {
		b.rulesDirty = false
		b.joinRules()
	}
	for r := range b.dirtyRoutes {
		r.route.Eff.Store(b.effective(r))
	}
	clear(b.dirtyRoutes)
	if len(b.moved) == 0 {
		return
	}
	tx := b.table.Edit()
	for r := range b.moved {
		if r.gone || !r.enabled {
			tx.Delete(r.id)
			continue
		}
		e := *r.entry
		if len(r.hosts) == 0 && r.service != nil {
			e.Hosts = r.service.hosts
		}
		if err := tx.Put(&e); err != nil {
			fail(&conf.Object{Kind: conf.KindRoute, ID: r.id}, err)
		}
	}
	clear(b.moved)
	b.table = tx.Commit()
}

func (b *Builder) publish() {
	if b.opt.Publish != nil {
		b.opt.Publish(&req.Snapshot{Rev: b.rev, Router: b.table, Global: b.global, Merged: b.merged})
	}
}

// Refresh makes the upstreams anew that have the named domain among their
// nodes: its addresses changed.
func (b *Builder) Refresh(host string) {
	b.eachUpstream(func(u *upstream) {
		if !u.usesDomain(host) {
			return
		}
		if err := b.compileUpstream(u); err != nil {
			b.opt.Log.Error("upstream keeps its old addresses", "upstream", u.id, "domain", host, "error", err)
		}
	})
}

// eachUpstream visits the defined upstreams, those inside routes and services
// included.
func (b *Builder) eachUpstream(f func(*upstream)) {
	visit := func(u *upstream) {
		if u != nil && u.conf != nil {
			f(u)
		}
	}
	for _, u := range b.upstreams {
		visit(u)
	}
	for _, s := range b.services {
		visit(s.inline)
	}
	for _, r := range b.routes {
		visit(r.inline)
	}
	for u := range b.plugged {
		visit(u)
	}
}

// Counts tells how many objects of each kind are in use.
func (b *Builder) Counts() map[string]int {
	n := map[string]int{}
	for k := range b.revs {
		n[k.kind.Dir()]++
	}
	return n
}

// Rev is the revision of the newest batch.
func (b *Builder) Rev() int64 { return b.rev }

// Table is the routing table in use.
func (b *Builder) Table() *match.Table { return b.table }

// warnOnce logs a warning the first time it comes up.
func (b *Builder) warnOnce(id, msg string, args ...any) {
	if b.warned[id] {
		return
	}
	b.warned[id] = true
	b.opt.Log.Warn(msg, args...)
}

var errNoPaths = errors.New("the route has no uri")

func wrap(what, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}
