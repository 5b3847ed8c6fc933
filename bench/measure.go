package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// sample is one gateway in one round.
type sample struct {
	Gateway string        `json:"gateway"`
	Round   int           `json:"round"`
	Reqs    int64         `json:"requests"`
	Rate    float64       `json:"requests_per_second"`
	UserUS  float64       `json:"cpu_user_us_per_request"`
	SysUS   float64       `json:"cpu_sys_us_per_request"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	// Ratio is the CPU time per request divided by nginx's in the same round.
	Ratio float64 `json:"ratio_to_nginx"`
	// P999 and Highest are filled in by the latency scenario, which measures
	// from the moment a request was due.
	P999    time.Duration `json:"p999_ns,omitempty"`
	Highest time.Duration `json:"highest_ns,omitempty"`
	// Bytes is process memory per idle connection; only the idle scenario
	// fills it, and then Ratio compares it.
	Bytes float64 `json:"bytes_per_idle_connection,omitempty"`
}

func (s sample) cpu() float64 { return s.UserUS + s.SysUS }

// field is the set of gateways of a scenario, all running at once: a gateway
// that nobody asks for costs nothing, and rounds can interleave.
type field struct {
	upstream *running
	gateways []*running
}

func startField(ctx context.Context, o options, dir string, s scenario) (f *field, err error) {
	f = &field{}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	upDir := filepath.Join(dir, "upstream")
	if err := os.MkdirAll(upDir, 0o755); err != nil {
		return f, err
	}
	upAddr, err := freeAddr()
	if err != nil {
		return f, err
	}
	cmd, err := upstreamCommand(upDir, s, upAddr)
	if err != nil {
		return f, err
	}
	if f.upstream, err = launch(ctx, "the upstream", upDir, upAddr, fmt.Sprint(o.loadCore), s, cmd); err != nil {
		return f, err
	}
	for _, c := range o.contenders(s) {
		gwDir := filepath.Join(dir, c.Name)
		if err := os.MkdirAll(gwDir, 0o755); err != nil {
			return f, err
		}
		addr, err := freeAddr()
		if err != nil {
			return f, err
		}
		cmd, err := c.start(gwDir, s, addr, upAddr)
		if err != nil {
			return f, err
		}
		g, err := launch(ctx, c.Name, gwDir, addr, fmt.Sprint(o.gatewayCore), s, cmd)
		if err != nil {
			return f, err
		}
		f.gateways = append(f.gateways, g)
	}
	return f, nil
}

func (f *field) stop() {
	for _, g := range f.gateways {
		g.stop()
	}
	if f.upstream != nil {
		f.upstream.stop()
	}
}

// nextPort is below the ephemeral range: no outgoing connection can take the
// port between the check and the gateway's bind.
var nextPort = 11000 + os.Getpid()%2000

func freeAddr() (string, error) {
	for range 1000 {
		nextPort++
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort)
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			ln.Close()
			return addr, nil
		}
	}
	return "", errors.New("no free port")
}

func measureLoad(ctx context.Context, o options, dir string, s scenario) (result, error) {
	res := result{Scenario: s.Name, About: s.About, Seconds: o.duration.Seconds(), Time: time.Now().UTC().Truncate(time.Second)}
	f, err := startField(ctx, o, dir, s)
	if err != nil {
		return res, err
	}
	defer f.stop()
	var rate float64
	for i, g := range f.gateways { // fills the connection pools and warms the caches
		l, err := runWrk(ctx, dir, s, o.loadCore, g.addr, time.Second)
		if err != nil {
			return res, fmt.Errorf("%s: %w", g.name, err)
		}
		if i == 0 {
			rate = l.Rate * s.Load
		}
	}
	if s.Load > 0 {
		res.RequestRate = rate
	}
	for round := 1; round <= o.rounds; round++ {
		var base float64
		var inRound []sample
		for i := range f.gateways {
			// Every round begins with another one, so that nobody always
			// follows the same neighbour.
			g := f.gateways[(i+round)%len(f.gateways)]
			smp, err := oneRun(g, func() (load, error) {
				if s.Load > 0 {
					return runOpenLoop(ctx, s, g.addr, rate, o.duration)
				}
				return runWrk(ctx, dir, s, o.loadCore, g.addr, o.duration)
			})
			if err != nil {
				return res, fmt.Errorf("%s, round %d: %w", g.name, round, err)
			}
			smp.Round = round
			if g.name == "nginx" {
				base = smp.cpu()
			}
			inRound = append(inRound, smp)
		}
		for i := range inRound {
			inRound[i].Ratio = inRound[i].cpu() / base
		}
		res.Samples = append(res.Samples, inRound...)
		fmt.Printf("%s round %d of %d:%s\n", s.Name, round, o.rounds, roundLine(inRound))
	}
	if s.Load > 0 {
		return res, nil
	}
	res.Syscalls = map[string]float64{}
	for _, g := range f.gateways {
		n, err := syscallsPerRequest(ctx, g, func() (load, error) { return runWrk(ctx, dir, s, o.loadCore, g.addr, time.Second) })
		if err != nil {
			return res, fmt.Errorf("%s: counting system calls: %w", g.name, err)
		}
		res.Syscalls[g.name] = n
	}
	return res, nil
}

func roundLine(samples []sample) string {
	var line string
	for _, s := range samples {
		line += fmt.Sprintf("  %s %.1f µs (%.2f)", s.Gateway, s.cpu(), s.Ratio)
	}
	return line
}

// oneRun loads one gateway and reads what it cost.
func oneRun(g *running, generate func() (load, error)) (sample, error) {
	pids := g.pids()
	before, err := cpuOf(pids)
	if err != nil {
		return sample{}, err
	}
	l, err := generate()
	if err != nil {
		return sample{}, err
	}
	after, err := cpuOf(pids)
	if err != nil {
		return sample{}, err
	}
	used := after.sub(before)
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(l.Requests) }
	return sample{
		Gateway: g.name, Reqs: l.Requests, Rate: l.Rate,
		UserUS: per(used.User), SysUS: per(used.Sys), P50: l.P50, P99: l.P99, P999: l.P999, Highest: l.Highest,
	}, nil
}
