// Package chain is the plugin engine: what a plugin is, which ones are built
// in, and how configured instances become the arrays that a request walks.
package chain

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
)

// Plugin describes a plugin. A plugin's package registers one from init and
// shares nothing else.
type Plugin struct {
	// Name is how configuration names it ("proxy-rewrite").
	Name string
	// Version is shown by the control API. Default "0.1".
	Version string
	// Priority orders plugins within a phase, larger first.
	Priority int
	// Auth marks plugins that find the request's consumer.
	Auth bool
	// PreferRoute says that an instance on a route suppresses one in a global
	// rule, instead of running beside it.
	PreferRoute bool
	// BodyOnDemand says that BodyFilter or EncodeBody has nothing to do unless
	// HeaderFilter or EncodeHead called ctx.FilterBody for the response: others
	// pass untouched.
	BodyOnDemand bool
	// APIs are endpoints that the plugin answers itself. They are reached
	// through routes with the plugin public-api.
	APIs []API
	// Schema is the JSON Schema of the plugin's configuration, for plugins that
	// are not in APISIX's catalogue. Without one any object is accepted and New
	// alone decides.
	Schema json.RawMessage
	// New compiles one configured instance. conf has passed the plugin's
	// schema and has its defaults. It runs on a background thread; what it
	// returns implements one or more of the phase interfaces below, and may be
	// an io.Closer, which is called when the last request that uses the
	// instance may still be running: Close must not break it.
	New func(conf json.RawMessage, env *Env) (any, error)
	// Check, when set, checks beyond the schema while configuration is
	// written. It must not start anything.
	Check func(conf json.RawMessage) error
	// CheckConsumer does the same for the plugin's part of a consumer.
	CheckConsumer func(conf json.RawMessage) error
	// Credential reads the plugin's part of a consumer or credential: key is
	// what a request names it by (Env.Credentials.Find), value what the plugin
	// needs to check the request, parsed as far as it can be. References to
	// secrets are resolved already. Set for plugins that find consumers by
	// credentials of their own.
	Credential func(conf json.RawMessage) (key string, value any, err error)

	// NewMetadata compiles the plugin's metadata object for Env.Metadata; nil
	// when the plugin has none.
	NewMetadata func(conf json.RawMessage) (any, error)

	slot int
}

// Metadata is the live metadata of one plugin.
type Metadata struct{ v atomic.Pointer[any] }

// Load returns the compiled metadata, nil when there is none.
func (m *Metadata) Load() any {
	if p := m.v.Load(); p != nil {
		return *p
	}
	return nil
}

// Store replaces the metadata.
func (m *Metadata) Store(v any) { m.v.Store(&v) }

// Slot is the plugin's index into Ctx.Slots.
func (p *Plugin) Slot() int { return p.slot }

// Env is what a plugin instance may know of where it runs.
type Env struct {
	// Owner is the object that holds the instance: "routes/1".
	Owner string
	// Metadata gives the plugin's metadata as NewMetadata made it, nil when
	// none is configured. It changes while the instance lives: call it per
	// request.
	Metadata *Metadata
	// Attr is the plugin's part of plugin_attr in config.yaml as JSON, nil
	// when there is none.
	Attr json.RawMessage
	// Credentials are those that consumers hold for this plugin, Consumers all
	// consumers. They change while the instance lives; both may be nil outside
	// a gateway and are then empty.
	Credentials *Credentials
	Consumers   *Consumers
	Log         *slog.Logger
	// Upstream compiles an upstream that the plugin sends requests to, for
	// ctx.Upstream. The cell is empty while no upstream has the id. release is
	// to be called from Close, or when New fails; it does not harm requests
	// that still run. nil while configuration is only checked.
	Upstream func(UpstreamRef) (cell *req.UpstreamCell, release func(), err error)
	// Peer tells of another plugin by name; nil outside a gateway.
	Peer func(plugin string) Peer
	// State holds the counters that all loops share, and that outlive edits
	// and crashes. Instances of an object that is only checked have none.
	State *state.Store
	// Directory is where Credentials and Consumers come from.
	Directory *Directory

	plugin *Plugin
}

// For returns the environment of an instance of plugin p that belongs to the
// same object: for plugins that run others.
func (e *Env) For(p *Plugin) *Env {
	out := *e
	out.plugin = p
	out.Metadata, out.Attr = nil, nil
	out.Credentials, out.Consumers = e.Directory.Credentials(p.Name), e.Directory.Consumers()
	return &out
}

// Shared returns what all instances of the plugin in this gateway share: the
// value that the first of them made. It is for New only.
func (e *Env) Shared(make func() any) any {
	if e == nil || e.Directory == nil || e.plugin == nil {
		return make()
	}
	v, ok := e.Directory.shared[e.plugin.Name]
	if !ok {
		v = make()
		e.Directory.shared[e.plugin.Name] = v
	}
	return v
}

// UpstreamRef names an upstream: by its id, or as written in a plugin's
// configuration.
type UpstreamRef struct {
	ID     string
	Inline json.RawMessage
	// Place tells upstreams written in one object apart and stays the same
	// over edits, so that their nodes keep their state: "traffic-split/0/1".
	Place string
}

// The phase interfaces. Methods run on a loop: they must not block; what has to
// wait uses ctx.Task (Await, Sleep). Rewrite, Access and BeforeProxy may end
// the request with ctx.Exit.
type (
	// Rewriter runs before anything else; authentication belongs here.
	Rewriter interface {
		Rewrite(ctx *req.Ctx) req.Verdict
	}
	// Accesser runs after all Rewriters.
	Accesser interface {
		Access(ctx *req.Ctx) req.Verdict
	}
	// BeforeProxier runs before every try at an upstream node.
	BeforeProxier interface {
		BeforeProxy(ctx *req.Ctx) req.Verdict
	}
	// HeaderFilterer edits ctx.Resp before the client gets it.
	HeaderFilterer interface{ HeaderFilter(ctx *req.Ctx) }
	// BodyFilterer sees every piece of the response body in ctx.Chunk and may
	// put another in its place. Having one in the chain makes the response
	// chunked; nobody else pays for it.
	BodyFilterer interface{ BodyFilter(ctx *req.Ctx) }
	// HeadEncoder and BodyEncoder put a content coding around the response:
	// they run behind all filters, so that those see it plain. BodyEncoder is
	// asked for like a BodyFilterer.
	HeadEncoder interface{ EncodeHead(ctx *req.Ctx) }
	BodyEncoder interface{ EncodeBody(ctx *req.Ctx) }
	// Logger runs when the response was sent or broken off.
	Logger interface{ Log(ctx *req.Ctx) }
)

var registry = map[string]*Plugin{}

// Register adds a built-in plugin. It panics on a name that is taken: that is
// a mistake of the build, not of a user.
func Register(p *Plugin) {
	if p.Name == "" || p.New == nil {
		panic("BUG: a plugin needs a name and New")
	}
	if registry[p.Name] != nil {
		panic("BUG: plugin " + p.Name + " is registered twice")
	}
	if len(registry) >= req.MaxSlots {
		panic(fmt.Sprintf("BUG: more than %d plugins: raise req.MaxSlots", req.MaxSlots))
	}
	if p.Version == "" {
		p.Version = "0.1"
	}
	p.slot = len(registry)
	registry[p.Name] = p
}

// Lookup finds a built-in plugin, nil when there is none of that name.
func Lookup(name string) *Plugin { return registry[name] }

// All lists the built-in plugins, highest priority first.
func All() []*Plugin {
	list := make([]*Plugin, 0, len(registry))
	for _, p := range registry {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Plugin) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}
