package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/lastgood"
)

const (
	// lastGoodPatience is how long the source may take to bring the first
	// configuration before the last good one serves.
	lastGoodPatience = time.Second
	// lastGoodConfirm is how often an unchanged state is noted to be still
	// good.
	lastGoodConfirm = 10 * time.Second
)

// keeper is the last good configuration: the one of the former run, and the
// copy of the present one.
type keeper struct {
	writer *lastgood.Writer
	// loaded is nil when there was none.
	loaded *lastgood.Loaded
	// plugins is the file that keeps a pushed list of plugins, "" for none.
	plugins string
	// serving is set while the former run's configuration serves.
	serving atomic.Bool
}

// lastGoodDir is where the copy lies: the configured file's name, without its
// extension, is a directory.
func lastGoodDir(s *conf.Settings) string { return strings.TrimSuffix(s.Sluice.LastGood.File, ".bin") }

// openLastGood reads the former run's copy and prepares to write ours. Nothing
// of it stands in the way of a start.
func (c *control) openLastGood(s *conf.Settings) {
	if !s.Sluice.LastGood.Enable {
		return
	}
	cfg := lastgood.Config{Dir: lastGoodDir(s), Log: c.log}
	if c.journal != nil {
		// The journal never lacks a change that the copy has.
		cfg.BeforeWrite = c.journal.Sync
	}
	loaded, err := lastgood.Load(cfg)
	if err == nil && !sameSource(s, cfg.Dir) {
		c.log.Warn("the configuration comes from another source than before: the last good one of that source does not count")
		err = fs.ErrNotExist
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		c.log.Error("the last good configuration cannot be used", "dir", cfg.Dir, "error", err)
	default:
		c.keep.loaded = loaded
		c.keepsPlugins(cfg.Dir)
		c.feed.Seed(loaded.Batch.Objects)
		if loaded.Torn != "" {
			c.log.Warn("the newest changes are missing in the last good configuration", "why", loaded.Torn)
		}
	}
	if c.keep.writer, err = lastgood.Open(cfg); err != nil {
		c.log.Error("the last good configuration cannot be kept", "dir", cfg.Dir, "error", err)
		return
	}
	c.keep.plugins = filepath.Join(cfg.Dir, pluginsFile)
	if err := os.WriteFile(filepath.Join(cfg.Dir, sourceFile), []byte(sourceName(s)), 0o600); err != nil {
		c.log.Error("the last good configuration's source cannot be noted", "error", err)
	}
}

// sourceFile says where the last good configuration came from. Another etcd or
// file that the operator names is no store that went back.
const sourceFile = "source"

// pluginsFile holds the list of plugins that was pushed last.
const pluginsFile = "plugins"

// keepsPlugins takes the list of plugins that belongs to the last good
// configuration.
func (c *control) keepsPlugins(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, pluginsFile))
	if err != nil {
		return
	}
	if _, err := c.plugins.push(text); err != nil {
		c.log.Error("the former list of plugins", "error", err)
	}
}

// keepPlugins keeps a pushed list for the next start.
func (k *keeper) keepPlugins(text []byte) {
	switch {
	case k.plugins == "":
	case text == nil:
		_ = os.Remove(k.plugins)
	default:
		tmp := k.plugins + ".new"
		if os.WriteFile(tmp, text, 0o600) == nil {
			_ = os.Rename(tmp, k.plugins) // without it the next start has config.yaml's list until the store answers
		}
	}
}

func sourceName(s *conf.Settings) string {
	switch {
	case s.Provider() != conf.ProviderEtcd:
		return s.Provider()
	case s.EmbeddedEtcd():
		return "embedded " + s.Sluice.EmbeddedEtcd.DataDir + " " + s.Deployment.Etcd.Prefix
	}
	hosts := slices.Sorted(slices.Values(s.Deployment.Etcd.Host))
	return strings.Join(hosts, ",") + " " + s.Deployment.Etcd.Prefix
}

func sameSource(s *conf.Settings, dir string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, sourceFile))
	return err == nil && string(raw) == sourceName(s)
}

// known is what the former run knew of the store.
func (k *keeper) known() store.Known {
	if k.loaded == nil || k.loaded.Cluster == 0 {
		return store.Known{}
	}
	return store.Known{Cluster: k.loaded.Cluster, Rev: k.loaded.Batch.Rev, Objects: len(k.loaded.Batch.Objects)}
}

// previous is what a file provider numbers on from.
func (k *keeper) previous() conf.Batch {
	if k.loaded == nil || k.loaded.Cluster != 0 {
		return conf.Batch{}
	}
	return k.loaded.Batch
}

// accepted is the feed's word that a batch is good.
func (c *control) accepted(b conf.Batch) {
	if c.keep.writer == nil {
		return
	}
	cluster := uint64(0)
	if src := c.src.Load(); src != nil && src.etcd != nil {
		cluster = src.etcd.Known().Cluster
	}
	c.keep.writer.Apply(b, cluster)
}

// sink takes a batch from the source.
func (c *control) sink(b conf.Batch) {
	c.feed.Sink(b)
	if c.keep.serving.Swap(false) {
		c.log.Info("the source is there: its configuration took the place of the last good one", "revision", b.Rev)
	}
}

// serveLastGood has the former run's configuration served if the source has
// brought none yet.
func (c *control) serveLastGood(why string) bool {
	if c.keep.loaded == nil {
		return false
	}
	if !c.feed.SinkFirst(c.keep.loaded.Batch, func() { c.keep.serving.Store(true) }) {
		return false
	}
	c.log.Error("degraded: the last good configuration serves", "why", why, "age", c.keep.loaded.Age(time.Now()).Round(time.Second).String(),
		"revision", c.keep.loaded.Batch.Rev, "objects", len(c.keep.loaded.Batch.Objects))
	return true
}

// whyNothing says why the source has brought no configuration yet.
func (c *control) whyNothing() string {
	why := "the source of the configuration does not answer"
	if src := c.src.Load(); src != nil {
		st := src.provider.Status()
		if st.Regress != nil {
			return st.Regress.Reason
		}
		why = cmp.Or(st.LastError, why)
	}
	return why
}

// watchSource serves the last good configuration when the source takes too
// long, and confirms it while the source is in sync.
func (c *control) watchSource() {
	patience := time.NewTimer(lastGoodPatience)
	defer patience.Stop()
	confirm := time.NewTicker(lastGoodConfirm)
	defer confirm.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-patience.C:
			c.serveLastGood(c.whyNothing())
		case <-confirm.C:
			src := c.src.Load()
			if src == nil || c.keep.writer == nil || c.keep.serving.Load() {
				continue
			}
			if st := src.provider.Status(); st.Synced {
				c.keep.writer.Confirm(st.Rev)
			}
		}
	}
}

func (k *keeper) close(c *control) {
	if k.writer == nil {
		return
	}
	if err := k.writer.Close(); err != nil {
		c.log.Error("the last good configuration could not be written", "error", err)
	}
}
