package main

import (
	"bytes"
	"context"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var perfCount = regexp.MustCompile(`(?m)^(\d+),[^,]*,raw_syscalls:sys_enter`)

// syscallsPerRequest counts the gateway's system calls with perf during a run
// of its own, since counting costs a little time. The count does not depend on
// how busy the machine is. It answers 0 where perf may not be used.
func syscallsPerRequest(ctx context.Context, g *running, generate func() (load, error)) (float64, error) {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return 0, nil
	}
	var pids []string
	for _, pid := range g.pids() {
		pids = append(pids, strconv.Itoa(pid))
	}
	cmd := exec.CommandContext(ctx, perf, "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", strings.Join(pids, ","))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, nil
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	// perf says nothing when it has attached; one that may not ends at once.
	select {
	case <-ended:
		return 0, nil
	case <-time.After(300 * time.Millisecond):
	}
	l, err := generate()
	cmd.Process.Signal(syscall.SIGINT)
	<-ended
	if err != nil {
		return 0, err
	}
	m := perfCount.FindSubmatch(out.Bytes())
	if m == nil {
		return 0, nil
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0, err
	}
	return n / float64(l.Requests), nil
}
