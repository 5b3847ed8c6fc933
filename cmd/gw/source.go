package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/embedded"
)

// source is where the configuration comes from.
type source struct {
	// provider is nil where only the Admin API brings a configuration.
	provider store.Provider
	// etcd is nil for files; it is what the Admin API writes to.
	etcd   *store.Etcd
	server *embedded.Embedded
}

// resourceFile is the path of apisix.yaml or apisix.json: beside config.yaml,
// or in conf/ when there is none.
func resourceFile(s *conf.Settings, configPath string) string {
	dir := "conf"
	if configPath != "" {
		dir = filepath.Dir(configPath)
	}
	name := "apisix.yaml"
	if s.Provider() == conf.ProviderJSON {
		name = "apisix.json"
	}
	return conf.ProfilePath(filepath.Join(dir, name))
}

// drivenByAPI tells whether the whole configuration comes through the Admin
// API and lives in memory: APISIX's mode for role traditional without etcd. A
// file that is there wins.
func drivenByAPI(s *conf.Settings, configPath string) bool {
	if s.Provider() == conf.ProviderEtcd || s.Deployment.Role != conf.RoleTraditional {
		return false
	}
	_, err := os.Stat(resourceFile(s, configPath))
	return errors.Is(err, fs.ErrNotExist)
}

// openSource prepares the source. An error says that it can never work; one
// that cannot be reached is no error here. etcdLog is for an etcd of our own.
func openSource(ctx context.Context, s *conf.Settings, configPath string, keep *keeper, onRegress func(store.Regress) bool, onPlugins func([]byte, int64), log, etcdLog *slog.Logger) (*source, error) {
	if s.Provider() != conf.ProviderEtcd {
		path := resourceFile(s, configPath)
		return &source{provider: store.NewFile(store.FileConfig{Path: path, Previous: keep.previous(), OnPlugins: onPlugins, Log: log})}, nil
	}
	src := &source{}
	cfg := etcdConfig(s, keep.known(), log)
	cfg.OnRegress, cfg.OnPlugins = onRegress, onPlugins
	if s.EmbeddedEtcd() {
		e := &s.Sluice.EmbeddedEtcd
		server, err := embedded.Start(ctx, embedded.Config{
			Dir: e.DataDir, Listen: e.Listen, Socket: e.Socket, QuotaBytes: e.Quota,
			KeepRevisions: e.KeepRevisions, NoFsync: !e.Fsync, Log: etcdLog,
		})
		if err != nil {
			return nil, err
		}
		src.server = server
		cfg.Hosts, cfg.MaxTxnOps = server.Endpoints(), embedded.MaxTxnOps
	}
	etcd, err := store.NewEtcd(cfg)
	if err != nil {
		src.close()
		return nil, err
	}
	src.etcd, src.provider = etcd, etcd
	return src, nil
}

func etcdConfig(s *conf.Settings, known store.Known, log *slog.Logger) store.EtcdConfig {
	e := &s.Deployment.Etcd
	cfg := store.EtcdConfig{
		Hosts: e.Host, Prefix: e.Prefix, User: e.User, Password: e.Password,
		Timeout: e.Timeout, WatchTimeout: e.WatchTimeout, ResyncDelay: e.ResyncDelay,
		HealthCheckTimeout: e.HealthCheckTimeout, StartupRetry: e.StartupRetry,
		Known: known, Log: log,
	}
	if e.StartupRetry == 0 {
		cfg.StartupRetry = -1 // its word for none
	}
	t := &e.TLS
	ca := t.CA
	if trusted := s.APISIX.SSL.TrustedCertificate; ca == "" && trusted != "system" {
		ca = trusted
	}
	if t.Cert != "" || t.Key != "" || ca != "" || t.SNI != "" || !t.Verify {
		cfg.TLS = &store.EtcdTLS{CertFile: t.Cert, KeyFile: t.Key, CAFile: ca, SkipVerify: !t.Verify, ServerName: t.SNI}
	}
	return cfg
}

// close ends the client and then the server; the provider's Run must have
// returned.
func (src *source) close() {
	if src == nil {
		return
	}
	if src.etcd != nil {
		_ = src.etcd.Close() // nothing is in flight any more
	}
	if src.server != nil {
		src.server.Close()
	}
}
