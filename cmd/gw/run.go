package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
)

// defaultConfig is read when no -c is given and it exists.
const defaultConfig = "conf/config.yaml"

// configPath is the file to read, "" for none.
func configPath(flag string) string {
	if flag != "" {
		return flag
	}
	if _, err := os.Stat(conf.ProfilePath(defaultConfig)); err == nil {
		return defaultConfig
	}
	return ""
}

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Start the gateway and stay in the foreground",
		Long: `Starts the gateway in the foreground.

SIGTERM, SIGQUIT and SIGINT (Ctrl-C) drain: no new connections, requests in
flight are answered, worker_shutdown_timeout bounds it; a second one ends at
once. SIGHUP reads config.yaml again.`,
		Example: `  gw run
  gw run -c /etc/sluice/config.yaml`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return run(configPath(*flag)) }
	return cmd
}

func run(path string) error {
	settings, notices, err := conf.LoadSettings(path)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(logLevel(settings.Nginx.ErrorLogLevel))
	log, err := openLog(settings, "control", level)
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	signal.Ignore(unix.SIGPIPE)
	log.Info("gateway starts", "version", version(), "pid", os.Getpid(), "config", path,
		"role", settings.Deployment.Role, "provider", settings.Provider())
	for _, n := range notices {
		log.Warn("a setting does not do what it says", "setting", n.Path, "why", n.Why)
	}

	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, unix.SIGTERM, unix.SIGQUIT, unix.SIGINT, unix.SIGHUP)
	defer signal.Stop(sigs)
	c, err := startUnlessStopped(path, settings, log, level, sigs)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			log.Info("stopped while starting")
			return nil
		}
		// The log's readers look there, the terminal's here.
		log.Error("the gateway cannot start", "error", err)
		return &exitError{code: 1}
	}
	return c.loop(sigs)
}

// startUnlessStopped starts the control process; a signal to end cuts it
// short.
func startUnlessStopped(path string, s *conf.Settings, log *slog.Logger, level *slog.LevelVar, sigs <-chan os.Signal) (*control, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	type result struct {
		c   *control
		err error
	}
	started := make(chan result, 1)
	go func() {
		c, err := startControl(ctx, path, s, log, level)
		started <- result{c, err}
	}()
	stopped := false
	for {
		select {
		case r := <-started:
			if r.err == nil && stopped {
				r.c.stop(s.Nginx.WorkerShutdownTimeout)
				r.err = context.Canceled
			}
			if r.err != nil && ctx.Err() != nil {
				r.err = context.Canceled
			}
			return r.c, r.err
		case sig := <-sigs:
			if sig != unix.SIGHUP {
				stopped = true
				cancel()
			}
		}
	}
}

// loop follows signals until the gateway has ended.
func (c *control) loop(sigs <-chan os.Signal) error {
	failed := c.servers.failed()
	for {
		select {
		case err := <-failed:
			c.log.Error("a server of the control process stopped; traffic goes on", "error", err)
		case sig := <-sigs:
			if sig == unix.SIGHUP {
				_ = c.reload() // it has logged what is wrong
				continue
			}
			return c.end(sig, sigs)
		}
	}
}

// end drains, and obeys a second signal.
func (c *control) end(sig os.Signal, sigs <-chan os.Signal) error {
	timeout := c.settings.Load().Nginx.WorkerShutdownTimeout
	c.log.Info("draining; a second signal ends at once", "signal", sig.String(), "timeout", timeout.String())
	done := make(chan struct{})
	go func() {
		c.stop(timeout)
		close(done)
	}()
	for {
		select {
		case <-done:
			c.log.Info("gateway ended")
			return nil
		case sig := <-sigs:
			if sig == unix.SIGHUP {
				continue
			}
			c.log.Warn("ending at once", "signal", sig.String())
			go c.kill()
		}
	}
}

func testCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Check a configuration without starting",
		Long: `Reads config.yaml, and apisix.yaml where it is the source of the configuration,
and names what is wrong or has no meaning here. Nothing is started or changed.
The exit code is 1 when there is an error.`,
		Example: `  gw test
  gw test -c /etc/sluice/config.yaml`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return checkConfig(cmd, configPath(*flag)) }
	return cmd
}

func checkConfig(cmd *cobra.Command, path string) error {
	out := cmd.OutOrStdout()
	name := path
	if name == "" {
		name = "the built-in defaults"
	}
	s, notices, err := conf.LoadSettings(path)
	for _, n := range notices {
		fmt.Fprintf(out, "notice: %s: %s\n", n.Path, n.Why)
	}
	if err != nil {
		return fmt.Errorf("%s is not usable:\n  %s", name, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	if _, err := newKeyring(s); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	spec, err := dataSpec(s, quiet)
	if err != nil {
		return err
	}
	if s.Provider() != conf.ProviderEtcd && !drivenByAPI(s, path) {
		if err := checkResources(cmd, s, resourceFile(s, path)); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s is good: role %s, configuration from %s, %d loops\n", name, s.Deployment.Role, s.Provider(), len(spec.Loops))
	return nil
}
