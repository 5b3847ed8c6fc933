package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// firstConfig is what "gw init" writes: it says no more than the defaults.
const firstConfig = `# Configuration of the gateway, in the form of APISIX's config.yaml. Every key is
# optional; docs/configuration.md lists them with their defaults.
apisix:
  node_listen: 9080              # traffic
  # status: {ip: 127.0.0.1, port: 7085}
nginx_config:
  worker_processes: auto         # loops
  error_log_level: info
deployment:
  role: traditional
  role_traditional: {config_provider: etcd}
  admin:
    admin_listen: {ip: 127.0.0.1, port: 9180}
    allow_admin: [127.0.0.0/24]
  # Without a host the gateway runs an etcd of its own.
  # etcd: {host: ["http://127.0.0.1:2379"], prefix: /apisix}
`

func initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare a directory: write a first conf/config.yaml, make the Admin API key",
		Long: `Writes conf/config.yaml if there is none, and makes the Admin API key. What exists
stays as it is. "gw run" does not need it.`,
		Example: `  gw init
  gw init -c /etc/sluice/config.yaml`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path := *flag
		if path == "" {
			path = defaultConfig
		}
		return initialize(cmd, path)
	}
	return cmd
}

func initialize(cmd *cobra.Command, path string) error {
	out := cmd.OutOrStdout()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		fmt.Fprintf(out, "%s is there already\n", path)
	case err != nil:
		return err
	default:
		_, err = f.WriteString(firstConfig)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s written\n", path)
	}
	s, _, err := conf.LoadSettings(path)
	if err != nil {
		return err
	}
	if s.NeedsAdminKey() {
		if _, err := madeAdminKey(s, newLog(cmd.ErrOrStderr(), "text", logLevel("warn"))); err != nil {
			return err
		}
		fmt.Fprintf(out, "the Admin API key lies in %s\n", s.Sluice.AdminKeyFile)
	}
	return nil
}

func initEtcdCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init_etcd",
		Short: "Write the placeholders into etcd that APISIX nodes need",
		Long: `Writes the directory placeholders below the prefix in the external etcd, so that
APISIX nodes on the same etcd start properly. "gw run" does it too.`,
		Example: `  gw init_etcd -c config.yaml`,
		Args:    cobra.NoArgs,
	}
	flag := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, _, err := conf.LoadSettings(configPath(*flag))
		if err != nil {
			return err
		}
		if s.Provider() != conf.ProviderEtcd || s.EmbeddedEtcd() {
			return errors.New("deployment.etcd.host names no etcd: there is nothing to prepare")
		}
		etcd, err := store.NewEtcd(etcdConfig(s, store.Known{}, newLog(cmd.ErrOrStderr(), "text", logLevel("warn"))))
		if err != nil {
			return err
		}
		defer etcd.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := etcd.Connect(ctx); err != nil {
			return err
		}
		return etcd.InitDirs(ctx)
	}
	return cmd
}
