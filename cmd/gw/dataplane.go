package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/listen"
	"github.com/sluicegw/sluice/core/logs"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/proc"
	"github.com/sluicegw/sluice/core/relay"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/lb/health"
	"github.com/sluicegw/sluice/lb/resolve"
)

// What the data path can serve on a listen address.
const (
	servesTLS           = false
	servesProxyProtocol = false
)

// resolvePatience is how long a change of configuration waits for the first
// answer to a name it brings.
const resolvePatience = 500 * time.Millisecond

// dataPlane joins the stages of the data path into what proc drives.
type dataPlane struct {
	log   *slog.Logger
	level *slog.LevelVar

	boot     *proc.Boot
	settings *conf.Settings
	socks    []listen.Socket
	server   *listen.Server
	policy   *guard.Policy
	resolver *resolve.Resolver
	names    *resolve.Set
	health   *health.Manager
	started  time.Time
	shared   *state.Store
	cpu      threadTimes
	access   *logs.Log // nil: none is wanted

	// mu keeps changes of the configuration and of names' addresses apart.
	mu      sync.Mutex
	builder *build.Builder
	changed chan string // names whose addresses changed
	stop    chan struct{}
	done    sync.WaitGroup
}

var _ proc.DataPlane = (*dataPlane)(nil)

// setBoot is proc's OnBoot: settings and log are there before Start.
func (d *dataPlane) setBoot(b *proc.Boot) error {
	d.settings = new(conf.Settings)
	if err := json.Unmarshal(b.Spec.Settings, d.settings); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	log, err := openLog(d.settings, "data", d.level)
	if err != nil {
		return err
	}
	d.log = log.With("epoch", b.Epoch)
	slog.SetDefault(d.log)
	setMemoryLimits(d.log)
	return nil
}

// Start implements proc.DataPlane.
func (d *dataPlane) Start(b *proc.Boot, socks []proc.Socket) error {
	d.boot, d.started = b, time.Now()
	d.stop, d.changed = make(chan struct{}), make(chan string, 256)
	s := d.settings
	policy, err := guard.New(guardSettings(s))
	if err != nil {
		return err
	}
	d.policy = policy
	for _, sk := range socks {
		d.socks = append(d.socks, listen.Socket{FD: sk.FD, Loop: sk.Loop, Addr: b.Spec.Listen[sk.Listen].Addr})
	}
	if err = setUpMeter(s); err != nil {
		return err
	}
	if err = d.openAccessLog(s); err != nil {
		return err
	}
	if d.server, err = listen.New(d.listenConfig(policy)); err != nil {
		return err
	}
	if d.resolver, err = resolve.New(d.resolveOptions()); err != nil {
		return err
	}
	d.names = resolve.NewSet(d.resolver, resolvePatience, d.nameChanged)
	d.health = health.NewManager(health.Options{Clock: loop.Clock, OnEvent: d.healthChanged})
	d.shared = openShared(b.Memory, d.log)
	d.builder = build.New(d.buildOptions())
	d.done.Go(d.followNames)
	d.done.Go(d.sweepShared)
	d.server.Start()
	return nil
}

func guardSettings(s *conf.Settings) guard.Settings {
	return guard.Settings{
		Limits:                  headLimits(s),
		TrustedAddresses:        s.APISIX.TrustedAddresses,
		DeleteURITailSlash:      s.APISIX.DeleteURITailSlash,
		NormalizeURILikeServlet: s.APISIX.NormalizeURILikeServlet,
		MatchURIEncodedSlash:    s.APISIX.MatchURIEncodedSlash,
		DropUnderscores:         !s.Nginx.HTTP.UnderscoresInHeaders,
		RealIPFrom:              s.Nginx.HTTP.RealIPFrom,
		RealIPHeader:            s.Nginx.HTTP.RealIPHeader,
		RealIPRecursive:         s.Nginx.HTTP.RealIPRecursive,
	}
}

func headLimits(s *conf.Settings) h1.Limits {
	l := &s.Sluice.Limits
	return h1.Limits{MaxHead: int(l.MaxHead), MaxURI: int(l.MaxURI), MaxFields: l.MaxHeaders, MaxBody: s.Nginx.HTTP.ClientMaxBodySize}
}

func (d *dataPlane) listenConfig(policy *guard.Policy) listen.Config {
	s, h := d.settings, &d.settings.Nginx.HTTP
	cpus := make([]int, len(d.boot.Spec.Loops))
	for i, l := range d.boot.Spec.Loops {
		cpus[i] = l.CPU
	}
	requests := uint32(h.KeepaliveRequests)
	if h.KeepaliveTimeout == 0 {
		requests = 1 // nginx: no keep-alive
	}
	return listen.Config{
		CPUs: cpus, Engine: s.Sluice.Engine, StallWarn: s.Sluice.StallWarn, Limits: headLimits(s), Policy: policy,
		HeaderTimeout: h.ClientHeaderTimeout, BodyTimeout: h.ClientBodyTimeout,
		SendTimeout: h.SendTimeout, KeepaliveTimeout: h.KeepaliveTimeout,
		KeepaliveRequests: requests, MaxConns: s.Nginx.Event.WorkerConnections,
		ServerHeader: serverHeader(s),
		MetricPrefix: s.PluginAttr.Prometheus.MetricPrefix,
		Finished:     d.finished(),
		Relay:        relay.Options{ShowUpstreamStatus: s.APISIX.ShowUpstreamStatus},
		Log:          d.log,
	}
}

// serverHeader is what the responses of all servers call us.
func serverHeader(s *conf.Settings) string {
	if s.Sluice.ServerHeader != "" {
		return s.Sluice.ServerHeader
	}
	if s.APISIX.EnableServerTokens {
		return "Sluice/" + release
	}
	return "Sluice"
}

func (d *dataPlane) resolveOptions() resolve.Options {
	s := &d.settings.APISIX
	return resolve.Options{
		Servers: s.DNSResolver, NoSearch: !s.EnableResolvSearch, NoIPv6: !s.EnableIPv6,
		Valid: s.DNSResolverValid, Timeout: s.ResolverTimeout,
		OnError: func(name string, err error) {
			d.log.Warn("name cannot be resolved; its last addresses stay", "name", name, "error", err)
		},
	}
}

func (d *dataPlane) buildOptions() build.Options {
	o := builderOptions(d.settings, d.log)
	o.Publish, o.Lookup, o.Health = d.server.SetSnapshot, d.names.Lookup, d.health
	o.State = d.shared
	return o
}

func matchOptions(s *conf.Settings) match.Options {
	o := match.Options{DeleteTailSlash: s.APISIX.DeleteURITailSlash}
	switch s.APISIX.Router.HTTP {
	case "radixtree_uri":
		o.Mode = match.ModeURI
	case "radixtree_uri_with_parameter":
		o.Mode = match.ModeURIWithParameter
	}
	return o
}

// Accept implements proc.DataPlane.
func (d *dataPlane) Accept() error { return d.server.Accept(d.socks) }

// Apply implements proc.DataPlane.
func (d *dataPlane) Apply(b *conf.Batch) []proc.Refusal {
	d.mu.Lock()
	defer d.mu.Unlock()
	var refused []proc.Refusal
	revs := map[proc.Key]int64{}
	defer meterRoutes(b)
	for _, r := range d.builder.Apply(b) {
		if len(revs) == 0 {
			for i := range b.Objects {
				revs[proc.Key{Kind: b.Objects[i].Kind, ID: b.Objects[i].ID}] = b.Objects[i].Rev
			}
		}
		refused = append(refused, proc.Refusal{Kind: r.Kind, ID: r.ID, Rev: revs[proc.Key{Kind: r.Kind, ID: r.ID}], Reason: r.Err.Error()})
	}
	return refused
}

// nameChanged is called by the resolver and must not wait for a change that is
// being applied, which may itself wait for the resolver.
func (d *dataPlane) nameChanged(host string) {
	select {
	case d.changed <- host:
	case <-d.stop:
	}
}

func (d *dataPlane) followNames() {
	for {
		select {
		case host := <-d.changed:
			d.mu.Lock()
			d.builder.Refresh(host)
			d.mu.Unlock()
		case <-d.stop:
			return
		}
	}
}

// Drain implements proc.DataPlane.
func (d *dataPlane) Drain(timeout time.Duration) {
	if left := d.server.Drain(timeout); left > 0 {
		d.log.Warn("connections cut at the end of worker_shutdown_timeout", "connections", left)
	}
}

// Close implements proc.DataPlane.
func (d *dataPlane) Close() {
	close(d.stop)
	d.server.Close()
	d.closeAccessLog()
	d.health.Stop()
	d.resolver.Stop()
	d.done.Wait()
}

// Health implements proc.DataPlane.
func (d *dataPlane) Health() any { return d.health.Snapshot() }

func (d *dataPlane) healthChanged(e health.Event) { d.log.Warn("node health", "event", e.String()) }

// Query implements proc.DataPlane.
func (d *dataPlane) Query(name string, arg []byte) ([]byte, error) {
	switch name {
	case callGC:
		collectGarbage()
		return []byte("{}"), nil
	case askExplain:
		return d.explain(arg)
	}
	return nil, proc.ErrNoQuery
}
