package build

import (
	"encoding/json"
	"slices"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/req"
)

// route is a compiled route and what it refers to.
type route struct {
	id      string
	route   *req.Route
	entry   *match.Entry // with the route's own hosts only
	hosts   []string
	enabled bool
	gone    bool

	plugins    *chain.Set
	inline     *upstream
	upstream   *upstream // by upstream_id
	upstreamID conf.ID
	service    *service
	config     *pluginConfig
	timeout    *conf.Timeout
	websocket  *bool
}

// service is a compiled service, or the place of one that routes refer to and
// that does not exist (yet).
type service struct {
	id         string
	defined    bool
	name       string
	hosts      []string
	plugins    *chain.Set
	inline     *upstream
	upstream   *upstream
	upstreamID conf.ID
	websocket  *bool
	routes     map[*route]bool
}

// pluginConfig is a compiled plugin config or the place of one.
type pluginConfig struct {
	id      string
	defined bool
	plugins *chain.Set
	routes  map[*route]bool
}

type globalRule struct {
	id      string
	plugins *chain.Set
	names   []string
}

func (b *Builder) setRoute(id string, c *conf.Route) error {
	if len(c.Paths()) == 0 {
		return wrap("route", id, errNoPaths)
	}
	methods, err := match.Methods(c.Methods)
	if err != nil {
		return wrap("route", id, err)
	}
	addrs, err := match.RemoteAddrs(c.RemoteAddresses())
	if err != nil {
		return wrap("route", id, err)
	}
	vars, err := compileExpr(c.Vars)
	if err != nil {
		return wrap("route", id, err)
	}
	plugins, err := b.compilePlugins("routes/"+id, c.Plugins)
	if err != nil {
		return wrap("route", id, err)
	}
	old := b.routes[id]
	var oldInline *upstream
	if old != nil {
		oldInline = old.inline
	}
	inline, err := b.setInline(oldInline, "routes/"+id, c.Upstream)
	if err != nil {
		plugins.Close()
		return wrap("route", id, err)
	}
	r := &route{
		id: id, hosts: c.HostPatterns(), enabled: c.Enabled(), plugins: plugins, inline: inline,
		timeout: c.Timeout, websocket: c.EnableWebsocket, upstreamID: c.UpstreamID,
	}
	r.route = &req.Route{ID: id, Name: c.Name, ServiceID: string(c.ServiceID)}
	r.entry = &match.Entry{
		Route: r.route, Hosts: r.hosts, URIs: c.Paths(), Methods: methods, RemoteAddrs: addrs, Vars: vars, Priority: c.Priority,
	}
	r.upstream = b.hold(c.UpstreamID)
	if c.ServiceID != "" {
		r.service = b.serviceRef(string(c.ServiceID))
		r.service.routes[r] = true
		r.route.ServiceName = r.service.name
	}
	if c.PluginConfigID != "" {
		r.config = b.configRef(string(c.PluginConfigID))
		r.config.routes[r] = true
	}
	if old != nil {
		b.unlinkRoute(old)
		if old.inline != nil && inline == nil {
			b.clearUpstream(old.inline)
		}
	}
	b.routes[id] = r
	b.dirtyRoutes[r] = true
	b.moved[r] = true
	return nil
}

func (b *Builder) removeRoute(id string) {
	r := b.routes[id]
	if r == nil {
		return
	}
	r.gone = true
	b.unlinkRoute(r)
	if r.inline != nil {
		b.clearUpstream(r.inline)
	}
	delete(b.routes, id)
	b.moved[r] = true
}

// unlinkRoute takes a route's references back. Requests that still run on it
// keep what they hold.
func (b *Builder) unlinkRoute(r *route) {
	delete(b.dirtyRoutes, r)
	delete(b.moved, r)
	b.release(r.upstream, r.upstreamID)
	if s := r.service; s != nil {
		delete(s.routes, r)
		b.dropService(s)
	}
	if p := r.config; p != nil {
		delete(p.routes, r)
		b.dropConfig(p)
	}
	r.plugins.Close()
}

// effective merges a route with what it refers to (contract 8.1: the route wins
// over its plugin config, that over the service).
func (b *Builder) effective(r *route) *req.Effective {
	e := &req.Effective{}
	if t := r.timeout; t != nil {
		e.Connect, e.Send, e.Read = t.Connect.Nanoseconds(), t.Send.Nanoseconds(), t.Read.Nanoseconds()
	}
	websocket := r.websocket
	sets := []*chain.Set{r.plugins}
	if r.config != nil {
		if !r.config.defined {
			e.Fail = 503
		}
		sets = append(sets, r.config.plugins)
	}
	switch {
	case r.upstream != nil:
		e.Upstream = &r.upstream.cell
	case r.inline != nil:
		e.Upstream = &r.inline.cell
	}
	if s := r.service; s != nil {
		if !s.defined {
			e.Fail = 404
		}
		sets = append(sets, s.plugins)
		if websocket == nil {
			websocket = s.websocket
		}
		if e.Upstream == nil {
			switch {
			case s.upstream != nil:
				e.Upstream = &s.upstream.cell
			case s.inline != nil:
				e.Upstream = &s.inline.cell
			}
		}
	}
	e.Websocket = websocket != nil && *websocket
	e.Chain = chain.Merge(sets...)
	return e
}

func (b *Builder) serviceRef(id string) *service {
	s := b.services[id]
	if s == nil {
		s = &service{id: id, routes: map[*route]bool{}}
		b.services[id] = s
	}
	return s
}

func (b *Builder) setService(id string, c *conf.Service) error {
	plugins, err := b.compilePlugins("services/"+id, c.Plugins)
	if err != nil {
		return wrap("service", id, err)
	}
	s := b.serviceRef(id)
	inline, err := b.setInline(s.inline, "services/"+id, c.Upstream)
	if err != nil {
		plugins.Close()
		b.dropService(s)
		return wrap("service", id, err)
	}
	if s.inline != nil && inline == nil {
		b.clearUpstream(s.inline)
	}
	up := b.hold(c.UpstreamID)
	b.release(s.upstream, s.upstreamID)
	s.plugins.Close()
	hostsChanged := !slices.Equal(s.hosts, c.Hosts)
	s.defined, s.name, s.hosts = true, c.Name, c.Hosts
	s.plugins, s.inline, s.upstream, s.upstreamID, s.websocket = plugins, inline, up, c.UpstreamID, c.EnableWebsocket
	b.touch(s.routes, hostsChanged)
	return nil
}

func (b *Builder) removeService(id string) {
	s := b.services[id]
	if s == nil {
		return
	}
	b.release(s.upstream, s.upstreamID)
	if s.inline != nil {
		b.clearUpstream(s.inline)
	}
	s.plugins.Close()
	hadHosts := len(s.hosts) > 0
	*s = service{id: id, routes: s.routes}
	b.touch(s.routes, hadHosts)
	b.dropService(s)
}

func (b *Builder) dropService(s *service) {
	if !s.defined && len(s.routes) == 0 {
		delete(b.services, s.id)
	}
}

// touch marks the routes that depend on an object that changed; hosts says that
// those without hosts of their own move in the table.
func (b *Builder) touch(routes map[*route]bool, hosts bool) {
	for r := range routes {
		b.dirtyRoutes[r] = true
		if hosts && len(r.hosts) == 0 {
			b.moved[r] = true
		}
	}
}

func (b *Builder) configRef(id string) *pluginConfig {
	p := b.configs[id]
	if p == nil {
		p = &pluginConfig{id: id, routes: map[*route]bool{}}
		b.configs[id] = p
	}
	return p
}

func (b *Builder) setPluginConfig(id string, c *conf.PluginConfig) error {
	plugins, err := b.compilePlugins("plugin_configs/"+id, c.Plugins)
	if err != nil {
		return wrap("plugin_config", id, err)
	}
	p := b.configRef(id)
	p.plugins.Close()
	p.defined, p.plugins = true, plugins
	b.touch(p.routes, false)
	return nil
}

func (b *Builder) removePluginConfig(id string) {
	if p := b.configs[id]; p != nil {
		p.plugins.Close()
		p.defined, p.plugins = false, nil
		b.touch(p.routes, false)
		b.dropConfig(p)
	}
}

func (b *Builder) dropConfig(p *pluginConfig) {
	if !p.defined && len(p.routes) == 0 {
		delete(b.configs, p.id)
	}
}

func (b *Builder) setGlobalRule(id string, c *conf.GlobalRule) error {
	plugins, err := b.compilePlugins("global_rules/"+id, c.Plugins)
	if err != nil {
		return wrap("global_rule", id, err)
	}
	g := &globalRule{id: id, plugins: plugins}
	for name := range c.Plugins {
		g.names = append(g.names, name)
	}
	b.removeGlobalRule(id)
	b.rules[id] = g
	return nil
}

func (b *Builder) removeGlobalRule(id string) {
	if g := b.rules[id]; g != nil {
		g.plugins.Close()
		delete(b.rules, id)
	}
	b.rulesDirty = true
}

// joinRules makes the chain of all global rules. A plugin that stands in two of
// them is dropped from both: which one was meant cannot be told.
func (b *Builder) joinRules() {
	owner := map[string]string{}
	twice := map[string]bool{}
	for _, g := range b.rules {
		for _, name := range g.names {
			if other, ok := owner[name]; ok {
				twice[name] = true
				b.opt.Log.Error("plugin stands in two global rules: it runs in neither until one is removed",
					"plugin", name, "rules", []string{other, g.id})
			}
			owner[name] = g.id
		}
	}
	var sets []*chain.Set
	for _, g := range b.rules {
		sets = append(sets, g.plugins.Without(twice))
	}
	b.global = chain.Join(sets...)
}

func (b *Builder) setMetadata(name string, m *conf.PluginMetadata) error {
	p := chain.Lookup(name)
	if p == nil || p.NewMetadata == nil {
		return nil
	}
	v, err := p.NewMetadata(m.Conf)
	if err != nil {
		return wrap("plugin_metadata", name, err)
	}
	b.metadataOf(name).Store(v)
	return nil
}

func (b *Builder) metadataOf(name string) *chain.Metadata {
	m := b.metadata[name]
	if m == nil {
		m = &chain.Metadata{}
		b.metadata[name] = m
	}
	return m
}

// compilePlugins compiles an object's plugins. Those that are not built in, or
// not enabled, are left out with a warning (contract 8.4).
func (b *Builder) compilePlugins(owner string, plugins conf.Plugins) (*chain.Set, error) {
	if len(plugins) == 0 {
		return nil, nil
	}
	items := make([]chain.Item, 0, len(plugins))
	for name, raw := range plugins {
		if chain.Lookup(name) == nil || (b.opt.Enabled != nil && !b.opt.Enabled(name)) {
			b.warnOnce("plugin "+owner+" "+name, "plugin does not run: it is not built in or not enabled", "object", owner, "plugin", name)
			continue
		}
		it, err := item(name, raw)
		if err != nil {
			return nil, err
		}
		it.Metadata = b.metadataOf(name)
		it.Attr = b.opt.Attr[name]
		items = append(items, it)
	}
	return chain.NewSet(items, chain.Env{Owner: owner, Log: b.opt.Log, Directory: b.directory, State: b.opt.State, Peer: b.peer, Upstream: b.pluginUpstream(owner)})
}

// peer tells one plugin of another.
func (b *Builder) peer(name string) chain.Peer {
	return chain.Peer{
		Metadata: b.metadataOf(name), Attr: b.opt.Attr[name],
		Disabled: b.opt.Enabled != nil && !b.opt.Enabled(name),
	}
}

// item reads the part of a plugin's configuration that the engine acts on.
func item(name string, raw json.RawMessage) (chain.Item, error) {
	it := chain.Item{Name: name, Conf: raw}
	meta, err := conf.ParsePluginMeta(raw)
	if err != nil {
		return it, wrap("plugin", name, err)
	}
	it.Priority, it.Disabled = meta.Priority, meta.Disable
	if len(meta.Filter) > 0 {
		// An invalid filter runs the plugin (contract 8.3).
		if e, err := compileExpr(meta.Filter); err == nil && e != nil {
			it.Filter = e.Eval
		}
	}
	if body := meta.ErrorResponse; len(body) > 0 {
		var text string
		if json.Unmarshal(body, &text) == nil {
			it.ErrorBody, it.ErrorType = []byte(text), "text/plain; charset=utf-8"
		} else {
			it.ErrorBody, it.ErrorType = append([]byte(body), '\n'), "application/json"
		}
	}
	return it, nil
}

func compileExpr(raw json.RawMessage) (*expr.Expr, error) {
	if len(raw) == 0 || string(raw) == "[]" {
		return nil, nil
	}
	return expr.CompileJSON(raw)
}
