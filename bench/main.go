// Command bench measures what a proxied request costs each gateway in CPU
// time, side by side on this machine: one worker of each on one core, the
// back end and the load generator on another.
//
// Run it by "make bench", or for more: go run ./bench -scenario all -rounds 7
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	scenarios   []scenario
	rounds      int
	duration    time.Duration
	gatewayCore int
	loadCore    int
	gw          string
	engines     []string
	selfCheck   bool
	haproxy     bool
	install     bool
	results     string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == sinkArg {
		fmt.Fprintln(os.Stderr, "bench:", runSink(os.Args[2]))
		os.Exit(1)
	}
	// The children are told to end when the thread that started them ends; the
	// open loop runs on this thread too.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parseFlags()
	if err == nil {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags() (options, error) {
	var o options
	list := flag.String("scenario", "plain", "scenarios, separated by commas, or \"all\"; empty only draws the chart again: "+strings.Join(names(), ", "))
	engines := flag.String("engines", "epoll,uring", "event engines of Sluice to measure, separated by commas: epoll, uring; empty measures only the others")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; every gateway runs once in each")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "load per gateway and round")
	flag.IntVar(&o.gatewayCore, "gateway-core", 0, "core of the gateways")
	flag.IntVar(&o.loadCore, "load-core", 1, "core of the back end and of wrk")
	flag.StringVar(&o.gw, "gw", "", "gateway binary; built from this tree when empty")
	flag.BoolVar(&o.selfCheck, "self-check", true, "run a second nginx beside the first: how far its ratio is from 1 is the noise")
	flag.BoolVar(&o.haproxy, "haproxy", true, "measure HAProxy too when it is installed")
	flag.BoolVar(&o.install, "install", true, "install nginx and wrk from Debian when they are missing")
	flag.StringVar(&o.results, "results", "bench/results", "directory of the raw results and the chart; empty writes none")
	flag.Parse()
	o.engines = strings.FieldsFunc(*engines, func(r rune) bool { return r == ',' })
	if o.rounds < 1 {
		return o, fmt.Errorf("-rounds is %d, the least is 1", o.rounds)
	}
	var err error
	o.scenarios, err = choose(*list)
	return o, err
}

func run(ctx context.Context, o options) error {
	if len(o.scenarios) == 0 {
		return saveChart(o.results)
	}
	if err := needPrograms(o.install, "nginx", "wrk"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.gw == "" && len(o.engines) > 0 {
		o.gw = filepath.Join(dir, "gw")
		out, err := exec.CommandContext(ctx, "go", "build", "-o", o.gw, "./cmd/gw").CombinedOutput()
		if err != nil {
			return fmt.Errorf("building ./cmd/gw: %v\n%s", err, out)
		}
	} else if o.gw, err = filepath.Abs(o.gw); err != nil {
		return err
	}
	var cores unix.CPUSet
	cores.Set(o.loadCore)
	if err := unix.SchedSetaffinity(0, &cores); err != nil {
		return fmt.Errorf("core %d: %w", o.loadCore, err)
	}
	machine := describeMachine(o)
	fmt.Println(machine)
	var failures []error
	for _, s := range o.scenarios {
		sub := filepath.Join(dir, s.Name)
		measure := measureLoad
		switch {
		case s.Idle > 0:
			measure = measureIdle
		case s.Changes > 0:
			measure = measureStorm
		}
		r, err := measure(ctx, o, sub, s)
		if err != nil {
			// The others are worth measuring all the same.
			failures = append(failures, fmt.Errorf("scenario %s: %w", s.Name, err))
			fmt.Println(failures[len(failures)-1])
			if ctx.Err() != nil {
				break
			}
			continue
		}
		r.Machine = machine
		r.print(os.Stdout)
		if o.results != "" {
			if err := r.save(o.results); err != nil {
				return err
			}
		}
	}
	if o.results != "" {
		failures = append(failures, saveChart(o.results))
	}
	return errors.Join(failures...)
}

// contenders lists who takes part; nginx comes first, everybody is compared
// with it.
func (o options) contenders(s scenario) []contender {
	cs := []contender{{"nginx", nginxGateway}}
	if o.selfCheck && s.Idle == 0 {
		cs = append(cs, contender{"nginx-again", nginxGateway})
	}
	if _, err := exec.LookPath("haproxy"); err == nil && o.haproxy {
		cs = append(cs, contender{"haproxy", haproxyGateway})
	}
	for _, e := range o.engines {
		cs = append(cs, sluiceGateway(o.gw, e))
	}
	return cs
}

// needPrograms installs Debian packages whose programs are missing; package
// and program have the same name.
func needPrograms(install bool, programs ...string) error {
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if !install {
		return fmt.Errorf("missing: %s; install the packages of these names", strings.Join(missing, ", "))
	}
	fmt.Println("installing from Debian:", strings.Join(missing, ", "))
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %v (run as root, or install %s by hand)\n%s",
				args[0], err, strings.Join(missing, ", "), out)
		}
	}
	return nil
}

func describeMachine(o options) string {
	firstLine := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err != nil && line == "" {
			return name + " unknown"
		}
		return line
	}
	parts := []string{
		"kernel " + firstLine("uname", "-r"),
		fmt.Sprintf("%d cores", runtime.NumCPU()),
		strings.TrimPrefix(firstLine("nginx", "-v"), "nginx version: "),
	}
	if _, err := exec.LookPath("haproxy"); err == nil && o.haproxy {
		f := strings.Fields(firstLine("haproxy", "-v"))
		if len(f) > 2 {
			parts = append(parts, "haproxy/"+f[2])
		}
	}
	return strings.Join(append(parts, runtime.Version()), ", ")
}
