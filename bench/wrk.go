package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is what one run of the load generator says.
type load struct {
	Requests int64
	Rate     float64 // requests per second
	P50, P99 time.Duration
	// P999 and Highest come from the open loop only.
	P999, Highest time.Duration
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s*([\d.]+)`)
	wrkP50      = regexp.MustCompile(`(?m)^\s*50%\s*([\d.]+)(us|ms|s|m)`)
	wrkP99      = regexp.MustCompile(`(?m)^\s*99%\s*([\d.]+)(us|ms|s|m)`)
	wrkTrouble  = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$`)
)

// runWrk loads addr on the given core for d.
func runWrk(ctx context.Context, dir string, s scenario, core int, addr string, d time.Duration) (load, error) {
	args := []string{"-c", strconv.Itoa(core), "wrk", "-t1", "-c" + strconv.Itoa(s.Conns),
		"-d" + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s", "--latency"}
	for _, h := range s.Headers {
		args = append(args, "-H", h)
	}
	if s.Upload > 0 {
		script := filepath.Join(dir, "upload.lua")
		text := fmt.Sprintf("wrk.method = \"POST\"\nwrk.body = string.rep(\"u\", %d)\n", s.Upload)
		if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
			return load{}, err
		}
		args = append(args, "-s", script)
	}
	args = append(args, "http://"+addr+s.Path())
	out, err := exec.CommandContext(ctx, "taskset", args...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk against %s: %v\n%s", addr, err, out)
	}
	return parseWrk(string(out))
}

// parseWrk reads wrk's report. A run with failed requests is no measurement:
// it is an error.
func parseWrk(out string) (load, error) {
	var l load
	if m := wrkTrouble.FindString(out); m != "" {
		return l, fmt.Errorf("wrk saw failures: %s", strings.TrimSpace(m))
	}
	m, r := wrkRequests.FindStringSubmatch(out), wrkRate.FindStringSubmatch(out)
	if m == nil || r == nil {
		return l, fmt.Errorf("wrk's report is not understood:\n%s", out)
	}
	var err error
	if l.Requests, err = strconv.ParseInt(m[1], 10, 64); err != nil {
		return l, err
	}
	if l.Rate, err = strconv.ParseFloat(r[1], 64); err != nil {
		return l, err
	}
	if l.P50, err = wrkTime(wrkP50.FindStringSubmatch(out)); err != nil {
		return l, err
	}
	l.P99, err = wrkTime(wrkP99.FindStringSubmatch(out))
	return l, err
}

func wrkTime(m []string) (time.Duration, error) {
	if m == nil {
		return 0, fmt.Errorf("wrk printed no latency distribution")
	}
	return time.ParseDuration(m[1] + m[2])
}
