package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegw/sluice/core/admin"
	"github.com/sluicegw/sluice/core/atrest"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/journal"
)

// control is the control process.
type control struct {
	configPath string
	level      *slog.LevelVar
	log        *slog.Logger
	started    time.Time

	// settings are replaced as a whole by a reload, one of which runs at a
	// time.
	settings  atomic.Pointer[conf.Settings]
	reloading sync.Mutex
	plugins   *pluginSet
	ring      *atrest.Keyring
	adminKey  string // made, not configured

	dir   *proc.RunDir
	table *proc.Table
	feed  *proc.Feed
	// sup is nil on a node that serves no traffic.
	sup   *proc.Supervisor
	calls *proc.CallServer
	src   atomic.Pointer[source]
	keep  keeper
	// journal is nil when none is kept.
	journal *journal.Journal

	api        atomic.Pointer[admin.API]
	standalone *admin.MemoryConfigs
	servers    servers
	metrics    metricsCache
	indexes    indexes

	ctx    context.Context // of everything that runs until the end
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// controlProcs is enough for the store's and the servers' work; the processors
// belong to the data process.
const controlProcs = 4

// startControl brings everything up. On error everything is down again, except
// a data process that was found serving: it serves on.
func startControl(ctx context.Context, configPath string, s *conf.Settings, log *slog.Logger, level *slog.LevelVar) (*control, error) {
	c := &control{configPath: configPath, log: log, level: level, started: time.Now(), plugins: newPluginSet(s)}
	c.settings.Store(s)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(runtime.NumCPU(), controlProcs))
	}
	if err := c.start(ctx); err != nil {
		c.abandon()
		return nil, err
	}
	return c, nil
}

func (c *control) start(ctx context.Context) error {
	s := c.settings.Load()
	var err error
	if c.ring, err = newKeyring(s); err != nil {
		return err
	}
	if c.dir, err = proc.LockRunDir(s.Sluice.RunDir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Sluice.DataDir, 0o700); err != nil {
		return fmt.Errorf("sluice.data_dir: %w", err)
	}
	if err := proc.RaiseOpenFiles(0, c.log); err != nil {
		c.log.Warn("limit on open files", "error", err)
	}
	c.table = proc.NewTable()
	c.feed = proc.NewFeed(proc.FeedOptions{Check: storeCheck(s, c.plugins, c.ring), Table: c.table, Log: c.log, Accepted: c.accepted, Changed: c.changed})
	c.openJournal(s)
	c.openLastGood(s)
	c.followIndexes(s)
	// Ports before processes: an address in use ends the start while nothing
	// has begun.
	if err := c.openServers(s); err != nil {
		return err
	}
	if err := c.startData(s); err != nil {
		return err
	}
	if c.calls, err = proc.ServeCalls(c.dir, c.log, c.answer); err != nil {
		return err
	}
	c.servers.serve()
	// A client of the Admin API waits while the gateway starts, but not for
	// ever.
	early := time.AfterFunc(adminPatience, c.servers.serveAdmin)
	defer early.Stop()
	if err := c.startSource(ctx, s); err != nil {
		return err
	}
	c.openAdmin(s)
	c.servers.serveAdmin()
	return nil
}

// adminPatience is how long a request to the Admin API may wait for the store
// at the start before it is answered 503.
const adminPatience = 3 * time.Second

func (c *control) startData(s *conf.Settings) error {
	if !s.ServesTraffic() {
		return nil
	}
	spec, err := dataSpec(s, c.log)
	if err != nil {
		return err
	}
	sup := proc.NewSupervisor(c.dir, proc.Options{Version: version(), Log: c.log, Table: c.table, Memory: sharedMemory})
	if err := sup.Start(spec, liveSettings(s)); err != nil {
		return err
	}
	c.sup = sup
	return nil
}

// startSource begins to follow the configuration. A store that cannot be
// reached ends the start only when nothing serves meanwhile.
func (c *control) startSource(ctx context.Context, s *conf.Settings) error {
	if drivenByAPI(s, c.configPath) {
		c.log.Info("the configuration comes through the Admin API and is kept in memory", "path", "/apisix/admin/configs")
		c.standalone = admin.NewMemoryConfigs(func(_ context.Context, b conf.Batch) error {
			c.sink(b)
			return nil
		})
		if l := c.keep.loaded; l != nil && c.feed.SinkFirst(l.Batch, func() {}) {
			c.log.Info("what the Admin API brought to the former run serves", "age", l.Age(time.Now()).Round(time.Second).String(), "objects", len(l.Batch.Objects))
		}
		return nil
	}
	c.work.Go(c.watchSource)
	src, err := c.connect(ctx, s)
	if err != nil {
		if ctx.Err() != nil || !c.serving() && !c.serveLastGood(err.Error()) {
			return err
		}
		c.log.Error("the source of the configuration is not there; what is at hand serves meanwhile", "error", err)
	}
	c.work.Go(func() { c.follow(src, s) })
	return nil
}

// connect opens the source and reaches for it; both may come back, a source
// that does not answer yet and the error.
func (c *control) connect(ctx context.Context, s *conf.Settings) (*source, error) {
	src, err := openSource(ctx, s, c.configPath, &c.keep, c.acceptsRegress, c.pushed, c.log, untilDone(c.ctx, c.log))
	if err != nil {
		return nil, err
	}
	c.src.Store(src)
	if src.etcd != nil {
		err = src.etcd.Connect(ctx)
	}
	return src, err
}

// acceptsRegress is the settings' word on a store that went back.
func (c *control) acceptsRegress(store.Regress) bool {
	return c.settings.Load().Sluice.StoreRegress == "accept"
}

// reopenPause lies between attempts to start an etcd of our own that did not
// start.
const reopenPause = 5 * time.Second

// follow feeds the configuration until the end.
func (c *control) follow(src *source, s *conf.Settings) {
	for src == nil {
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(reopenPause):
		}
		next, err := c.connect(c.ctx, s)
		if next == nil {
			c.log.Error("the source of the configuration is not there; trying again", "error", err)
			continue
		}
		src = next
		c.openAdmin(s)
	}
	// It returns when the context ends, with the context's error.
	if err := src.provider.Run(c.ctx, c.sink); err != nil && c.ctx.Err() == nil {
		c.log.Error("the configuration is not followed any more", "error", err)
	}
}

// serving tells whether a data process serves a configuration.
func (c *control) serving() bool {
	if c.sup == nil {
		return false
	}
	ok, _ := c.sup.Ready()
	return ok
}

// openAdmin makes the Admin API answer once there is something to write to.
func (c *control) openAdmin(s *conf.Settings) {
	src := c.src.Load()
	if src == nil && c.standalone == nil || c.servers.admin == nil {
		return
	}
	if src != nil && src.etcd != nil {
		c.work.Go(func() { c.initDirs(src.etcd) })
	}
	c.api.Store(admin.New(c.adminOptions(s)))
}

// initDirs writes the placeholders that APISIX nodes on the same etcd need.
func (c *control) initDirs(etcd *store.Etcd) {
	if err := etcd.InitDirs(c.ctx); err != nil && c.ctx.Err() == nil {
		c.log.Warn("placeholders for APISIX nodes could not be written to etcd", "error", err)
	}
}

// stop ends the gateway: the data process drains, everything else follows.
func (c *control) stop(timeout time.Duration) {
	c.cancel()
	c.servers.shutdown(c.log)
	if c.sup != nil {
		c.sup.Drain(timeout)
	}
	c.finish()
}

// kill cuts a stop short.
func (c *control) kill() {
	if c.sup != nil {
		c.sup.Kill()
	}
}

// finish ends what is left when no data process is ours any more.
func (c *control) finish() {
	c.work.Wait()
	c.servers.shutdownStatus(c.log)
	if c.calls != nil {
		c.calls.Close()
	}
	c.src.Load().close()
	c.keep.close(c)
	if c.journal != nil {
		if err := c.journal.Close(); err != nil {
			c.log.Error("the journal of changes could not be completed", "error", err)
		}
	}
	if c.dir != nil {
		c.dir.Unlock()
	}
}

// abandon undoes a start that failed.
func (c *control) abandon() {
	c.cancel()
	c.servers.shutdown(c.log)
	if c.sup != nil {
		adopted := false
		for _, p := range c.sup.Status().Processes {
			adopted = adopted || p.Adopted
		}
		if adopted {
			c.log.Warn("the data process found serves on without a control process")
			c.sup.Detach()
		} else {
			c.sup.Drain(0)
		}
	}
	c.finish()
}

// madeAdminKey returns the key that was made because none is configured.
func madeAdminKey(s *conf.Settings, log *slog.Logger) (string, error) {
	if !s.NeedsAdminKey() {
		return "", nil
	}
	path := s.Sluice.AdminKeyFile
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("sluice.admin_key_file: %w", err)
	}
	key, created, err := admin.LoadOrCreateKey(path)
	if err != nil {
		return "", err
	}
	if created {
		log.Info("an Admin API key was made, since none is configured", "file", path)
	}
	return key, nil
}

var errNoData = errors.New("this node serves no traffic (deployment.role: control_plane)")

// call asks the data process.
func (c *control) call(ctx context.Context, name string, arg []byte) ([]byte, error) {
	if c.sup == nil {
		return nil, errNoData
	}
	return c.sup.Call(ctx, name, arg)
}
