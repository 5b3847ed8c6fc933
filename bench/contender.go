package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// contender is a gateway that takes part.
type contender struct {
	Name string
	// start writes a configuration into dir and returns the command.
	start func(dir string, s scenario, listen, upstream string) (*exec.Cmd, error)
}

// running is a contender, or the upstream, under way.
type running struct {
	name, addr, dir string
	cmd             *exec.Cmd
	log             *os.File
	done            chan struct{}
}

// launch starts a command pinned to cores (as taskset takes them) and waits
// until it answers the scenario's request with 200.
func launch(ctx context.Context, name, dir, addr, cores string, s scenario, cmd *exec.Cmd) (*running, error) {
	pinned := exec.Command("taskset", append([]string{"-c", cores}, cmd.Args...)...)
	pinned.Dir, pinned.Env = cmd.Dir, cmd.Env
	pinned.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	pinned.Stdout, pinned.Stderr = log, log
	r := &running{name: name, addr: addr, dir: dir, cmd: pinned, log: log, done: make(chan struct{})}
	if err := pinned.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { pinned.Wait(); close(r.done) }()
	if err := r.await(ctx, s); err != nil {
		text, _ := os.ReadFile(log.Name())
		r.stop()
		return nil, fmt.Errorf("%s does not answer on %s: %w\n%s", name, addr, err, text[max(0, len(text)-4096):])
	}
	return r, nil
}

func (r *running) await(ctx context.Context, s scenario) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("not asked")
	for {
		select {
		case <-ctx.Done():
			return last
		case <-r.done:
			return errors.New("it has ended")
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+s.Path(), nil)
		if err != nil {
			return err
		}
		for _, h := range s.Headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err
			continue
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		last = fmt.Errorf("status %d", resp.StatusCode)
	}
}

// pids lists the process and its descendants: taskset replaces itself by the
// program, so the first is the gateway's own.
func (r *running) pids() []int { return family(r.cmd.Process.Pid) }

func (r *running) stop() {
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(10 * time.Second):
		for _, pid := range r.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		<-r.done
	}
	r.log.Close()
}
