package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
)

// lookEvery is the pause between two looks at a process that starts or ends.
const lookEvery = 20 * time.Millisecond

func startCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the gateway in the background",
		Long: `Starts the gateway in the background and waits until it serves. What it logs
goes to nginx_config.error_log, or to gw.log in sluice.data_dir.`,
		Example: `  gw start
  gw start -c /etc/sluice/config.yaml --wait 1m`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	wait := cmd.Flags().Duration("wait", 30*time.Second, "how long to wait until it serves; 0: do not wait")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return startInBackground(cmd, configPath(*flag), *wait) }
	return cmd
}

func startInBackground(cmd *cobra.Command, path string, wait time.Duration) error {
	s, _, err := conf.LoadSettings(path)
	if err != nil {
		return err
	}
	dir := s.Sluice.RunDir
	if pid, err := proc.Running(dir); err != nil || pid != 0 {
		if err == nil {
			err = &proc.RunningError{Dir: dir, PID: pid}
		}
		return err
	}
	logPath := s.Nginx.ErrorLog
	if logPath == "" {
		logPath = filepath.Join(s.Sluice.DataDir, "gw.log")
	}
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(logPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	args := []string{"run"}
	if path != "" {
		args = append(args, "-c", path)
	}
	run := exec.Command("/proc/self/exe", args...)
	run.Args[0] = "gw"
	run.Stdout, run.Stderr = out, out
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := run.Start(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	deadline := time.Now().Add(wait)
	for wait > 0 {
		select {
		case <-ended:
			return fmt.Errorf("the gateway ended at once; see %s", logPath)
		case <-time.After(lookEvery):
		}
		if isReady(dir) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the gateway does not serve after %v; it goes on trying, see %s and `gw status`", wait, logPath)
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "gateway runs with pid %d, log %s\n", run.Process.Pid, logPath)
	return nil
}

func isReady(dir string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var r report
	return proc.AskJSON(ctx, dir, askStatus, nil, &r) == nil && r.Ready
}

func stopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the gateway soon",
		Long: `Tells the gateway to end: it drains as "gw quit" does, but what is still open
after --grace is cut.`,
		Example: `  gw stop
  gw stop -c config.yaml --grace 2s`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	grace := cmd.Flags().Duration("grace", 5*time.Second, "how long requests in flight may go on")
	cmd.RunE = func(*cobra.Command, []string) error { return stop(*flag, unix.SIGTERM, *grace) }
	return cmd
}

func quitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quit",
		Short: "Stop the gateway when its requests are answered",
		Long: `Tells the gateway to drain: no new connections, requests in flight are answered;
nginx_config.worker_shutdown_timeout bounds it. Returns when it has ended.`,
		Example: `  gw quit
  gw quit -c config.yaml`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return stop(*flag, unix.SIGQUIT, -1) }
	return cmd
}

func restartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Stop the gateway and start it in the background",
		Long: `Stops the gateway as "gw quit" does and starts it in the background. Connections
are refused in between: to apply a changed config.yaml use "gw reload".`,
		Example: `  gw restart -c config.yaml`,
		Args:    cobra.NoArgs,
	}
	flag := configFlag(cmd)
	wait := cmd.Flags().Duration("wait", 30*time.Second, "how long to wait until it serves")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := stop(*flag, unix.SIGQUIT, -1); err != nil && !errors.Is(err, errNotRunning) {
			return err
		}
		return startInBackground(cmd, configPath(*flag), *wait)
	}
	return cmd
}

var errNotRunning = errors.New("the gateway does not run")

// stop signals the control process and waits for its end. After grace, if that
// is not negative, it signals again.
func stop(flag string, sig unix.Signal, grace time.Duration) error {
	dir, err := runDirOf(flag)
	if err != nil {
		return err
	}
	pid, err := proc.Running(dir)
	if err != nil {
		return err
	}
	if pid == 0 {
		return stopOrphans(dir, sig)
	}
	if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot signal pid %d: %w", pid, err)
	}
	began := time.Now()
	for again := grace >= 0; ; {
		now, err := proc.Running(dir)
		if err != nil {
			return err
		}
		if now != pid {
			return nil
		}
		if again && time.Since(began) > grace {
			again = false
			if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("cannot signal pid %d: %w", pid, err)
			}
		}
		<-time.After(lookEvery)
	}
}

// stopOrphans ends data processes whose control process died.
func stopOrphans(dir string, sig unix.Signal) error {
	pids := proc.Orphans(dir)
	if len(pids) == 0 {
		return fmt.Errorf("%w (run directory %s)", errNotRunning, dir)
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("cannot signal data process %d: %w", pid, err)
		}
	}
	for len(proc.Orphans(dir)) > 0 {
		<-time.After(lookEvery)
	}
	return nil
}

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Read config.yaml again",
		Long: `Has the running gateway read config.yaml again, as SIGHUP does, and tells whether
that worked. No connection is refused and no request lost. Routes and the other
resources need no reload: their changes are live at once.`,
		Example: `  gw reload
  gw reload -c config.yaml`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		dir, err := runDirOf(*flag)
		if err != nil {
			return err // the running gateway would say the same
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_, err = proc.Ask(ctx, dir, askReload, nil)
		return err
	}
	return cmd
}

func syncCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Accept an etcd that holds an older or different configuration",
		Long: `When etcd comes back wiped, restored from an older backup, or as another cluster,
the running gateway keeps serving what it has and says so in "gw status". This
command takes etcd's state as the right one.`,
		Example: `  gw sync --accept`,
		Args:    cobra.NoArgs,
	}
	flag := configFlag(cmd)
	accept := cmd.Flags().Bool("accept", false, "take the state of etcd")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !*accept {
			return errors.New("say --accept to take the state of etcd; `gw status` shows what it is")
		}
		dir, err := runDirOf(*flag)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
		defer cancel()
		_, err = proc.Ask(ctx, dir, askAccept, nil)
		return err
	}
	return cmd
}
