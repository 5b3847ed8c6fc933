package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// stormRate is the constant rate of requests during the storm: low enough
// that what is measured is the effect of the changes.
const stormRate = 5000

// measureStorm compares the latency while nothing changes with that while
// routes change all the time, in turns. It concerns Sluice alone, with its
// embedded etcd; nothing is compared with nginx, which has to be reloaded.
func measureStorm(ctx context.Context, o options, dir string, s scenario) (result, error) {
	res := result{Scenario: s.Name, About: s.About, Seconds: o.duration.Seconds(), RequestRate: stormRate,
		Time: time.Now().UTC().Truncate(time.Second)}
	upAddr, err := freeAddr()
	if err != nil {
		return res, err
	}
	upDir := filepath.Join(dir, "upstream")
	if err := os.MkdirAll(upDir, 0o755); err != nil {
		return res, err
	}
	cmd, err := upstreamCommand(upDir, s, upAddr)
	if err != nil {
		return res, err
	}
	up, err := launch(ctx, "the upstream", upDir, upAddr, fmt.Sprint(o.loadCore), s, cmd)
	if err != nil {
		return res, err
	}
	defer up.stop()
	for _, engine := range o.engines {
		if err := stormEngine(ctx, o, filepath.Join(dir, engine), s, engine, upAddr, &res); err != nil {
			return res, fmt.Errorf("sluice-%s: %w", engine, err)
		}
	}
	return res, nil
}

func stormEngine(ctx context.Context, o options, dir string, s scenario, engine, upstream string, res *result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	etcd, err := freeAddr()
	if err != nil {
		return err
	}
	status, err := freeAddr()
	if err != nil {
		return err
	}
	conf := strings.Replace(sluiceConfig(engine, addr), "  role: data_plane\n  role_data_plane: {config_provider: yaml}\n", "  role: traditional\n", 1)
	conf = strings.Replace(conf, "sluice: {", fmt.Sprintf("sluice: {embedded_etcd: {listen: %q, fsync: false}, ", etcd), 1)
	ip, port, _ := strings.Cut(status, ":")
	conf = strings.Replace(conf, "apisix:\n", fmt.Sprintf("apisix:\n  status: {ip: %s, port: %s}\n", ip, port), 1)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(conf), 0o644); err != nil {
		return err
	}
	gw := exec.Command(o.gw, "run", "-c", filepath.Join(dir, "config.yaml"))
	gw.Dir = dir
	// The loop is pinned to the first core by the gateway itself; its control
	// process and background work may use the other one, as on a real host.
	name := "sluice-" + engine
	g, err := launch(ctx, name, dir, status, fmt.Sprintf("%d,%d", o.gatewayCore, o.loadCore), scenario{Target: "/status/ready"}, gw)
	if err != nil {
		return err
	}
	defer g.stop()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + etcd}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer c.Close()
	begin := time.Now()
	if err := fillRoutes(ctx, c, s.Routes, upstream); err != nil {
		return err
	}
	traffic := &running{name: name, addr: addr, done: g.done}
	if err := traffic.await(ctx, s); err != nil {
		return fmt.Errorf("after %d routes were written: %w", s.Routes, err)
	}
	fmt.Printf("%s: %d routes written and live after %v\n", name, s.Routes, time.Since(begin).Round(10*time.Millisecond))
	for round := 1; round <= o.rounds; round++ {
		var calm float64
		for _, changing := range []bool{false, true} {
			stop := func() (int, error) { return 0, nil }
			label := name + " calm"
			if changing {
				label = fmt.Sprintf("%s %d changes/s", name, s.Changes)
				stop = changeRoutes(ctx, c, s.Routes, s.Changes)
			}
			smp, err := oneRun(g, func() (load, error) { return runOpenLoop(ctx, s, addr, stormRate, o.duration) })
			n, cerr := stop()
			if err == nil {
				err = cerr
			}
			if err != nil {
				return err
			}
			if want := int(float64(s.Changes) * o.duration.Seconds() * 0.9); changing && n < want {
				return fmt.Errorf("only %d changes were written, want at least %d: the machine is too busy", n, want)
			}
			smp.Gateway, smp.Round = label, round
			if !changing {
				calm = float64(smp.P99)
			}
			smp.Ratio = float64(smp.P99) / calm
			res.Samples = append(res.Samples, smp)
			fmt.Printf("%s round %d of %d: %s p50 %v p99 %v p99.9 %v\n", s.Name, round, o.rounds, label, smp.P50, smp.P99, smp.P999)
		}
	}
	return nil
}

func routeValue(i, version int) string {
	return fmt.Sprintf(`{"uri":"/service/%d/v%d/*","upstream_id":"back"}`, i, version)
}

// fillRoutes writes the upstream, n routes and the one that is asked for.
func fillRoutes(ctx context.Context, c *clientv3.Client, n int, upstream string) error {
	if _, err := c.Put(ctx, "/apisix/upstreams/back", fmt.Sprintf(`{"type":"roundrobin","nodes":{"%s":1},"keepalive_pool":{"size":1024,"idle_timeout":3600,"requests":1000000000}}`, upstream)); err != nil {
		return err
	}
	const batch = 100
	for at := 0; at < n; at += batch {
		var ops []clientv3.Op
		for i := at; i < min(n, at+batch); i++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/apisix/routes/r%d", i), routeValue(i, 0)))
		}
		if _, err := c.Txn(ctx).Then(ops...).Commit(); err != nil {
			return fmt.Errorf("writing routes from %d: %w", at, err)
		}
	}
	_, err := c.Put(ctx, "/apisix/routes/last", `{"uri":"/service/last/*","upstream_id":"back"}`)
	return err
}

// changeRoutes gives routes new paths at a steady rate until the function it
// returns is called, which answers how many were changed.
func changeRoutes(ctx context.Context, c *clientv3.Client, routes, rate int) func() (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	var mu sync.Mutex
	var failure error
	done := 0
	var wg sync.WaitGroup
	due := make(chan int)
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range due {
				// A change that is under way when the time is over is still
				// made.
				_, err := c.Put(context.WithoutCancel(ctx), fmt.Sprintf("/apisix/routes/r%d", n*7919%routes), routeValue(n*7919%routes, n+1))
				mu.Lock()
				if err != nil && failure == nil {
					failure = err
				}
				done++
				mu.Unlock()
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer close(due)
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				due <- n
			}
		}
	}()
	return func() (int, error) {
		cancel()
		wg.Wait()
		return done, failure
	}
}
