package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
)

// change is one write of the storm.
type change struct {
	n              int
	written, acked time.Time
}

// Route changes at a steady rate while requests run: none fails, and every
// single change is seen live. The everyday run is short; GW_ACCEPTANCE=1 runs
// 1,000 changes a second for 20 s beside wrk and asserts the time from write
// to live.
func TestRouteChangeStorm(t *testing.T) {
	rate, seconds := 300, 3
	if acceptance {
		rate, seconds = 1000, 20
	} else {
		t.Parallel()
	}
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	g := gateway.Start(t, gateway.Options{Loops: 2, Set: map[string]any{"sluice.embedded_etcd.fsync": true}})
	g.Put("/upstreams/u", gateway.Nodes(b.Addr))
	g.Put("/routes/steady", map[string]any{"uri": "/", "upstream_id": "u"})
	g.WaitStatus("/", 200)
	c := etcdserver.Client(t, "http://"+g.EtcdAddr, nil, "", "")

	finishLoad := startStormLoad(t, g, seconds)
	total := rate * seconds
	delays := storm(t, g, c, rate, total)
	finishLoad()

	slices.Sort(delays)
	if len(delays) != total {
		t.Fatalf("%d of %d changes became live", len(delays), total)
	}
	p := func(q float64) time.Duration {
		return delays[int(q*float64(len(delays)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("write to live over %d changes at %d/s: p50 %v, p90 %v, p99 %v, longest %v", total, rate, p(.5), p(.9), p(.99), p(1))
	if acceptance && p(.99) >= 100*time.Millisecond {
		t.Errorf("p99 of write to live is %v, want less than 100 ms", p(.99))
	}
}

// storm writes total changes at the given rate and waits until each is live.
// Change n gives route n modulo the number of routes the path /storm/n: routes
// are created, then changed again and again.
func storm(t *testing.T, g *gateway.Gateway, c *clientv3.Client, rate, total int) []time.Duration {
	t.Helper()
	routes := min(5*rate, total/2)
	const writers, probers = 16, 24
	due := make(chan int, total)
	live := make(chan change, total)
	var writing, probing sync.WaitGroup
	var mu sync.Mutex
	var delays []time.Duration
	var broken atomic.Int64
	for range writers {
		writing.Add(1)
		go func() {
			defer writing.Done()
			for n := range due {
				ch := change{n: n, written: time.Now()}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				_, err := c.Put(ctx, fmt.Sprintf("/apisix/routes/s%d", n%routes), fmt.Sprintf(`{"uri":"/storm/%d","upstream_id":"u"}`, n))
				cancel()
				if err != nil {
					t.Errorf("change %d: %v", n, err)
					continue
				}
				ch.acked = time.Now()
				live <- ch
			}
		}()
	}
	for range probers {
		probing.Add(1)
		go func() {
			defer probing.Done()
			p := prober{addr: g.Proxy}
			defer p.close()
			for ch := range live {
				if err := p.until200(fmt.Sprintf("/storm/%d", ch.n), 5*time.Second); err != nil {
					if broken.Add(1) <= 5 {
						t.Errorf("change %d: %v", ch.n, err)
					}
					continue
				}
				mu.Lock()
				delays = append(delays, time.Since(ch.written))
				mu.Unlock()
			}
		}()
	}
	tick := time.NewTicker(time.Second / 100)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	for sent < total {
		now := <-tick.C
		for want := min(total, int(now.Sub(begin).Seconds()*float64(rate))); sent < want; sent++ {
			due <- sent
		}
	}
	close(due)
	writing.Wait()
	close(live)
	probing.Wait()
	return delays
}

// prober asks on one keep-alive connection.
type prober struct {
	addr string
	conn net.Conn
	br   *bufio.Reader
}

func (p *prober) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

func (p *prober) until200(path string, limit time.Duration) error {
	var status int
	var err error
	if gateway.Poll(limit, func() bool {
		status, err = p.get(path)
		return err != nil || status == http.StatusOK
	}) {
		return err
	}
	return fmt.Errorf("%s still answers %d after %v", path, status, limit)
}

func (p *prober) get(path string) (int, error) {
	if p.conn == nil {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			return 0, err
		}
		p.conn, p.br = c, bufio.NewReader(c)
	}
	p.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(p.conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.Close {
		p.close()
	}
	return resp.StatusCode, err
}

// startStormLoad keeps the steady route busy and returns what checks that
// nothing failed: wrk in the acceptance run, otherwise our own load.
func startStormLoad(t *testing.T, g *gateway.Gateway, seconds int) func() {
	t.Helper()
	if !acceptance {
		run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 8, Pause: time.Millisecond})
		return func() {
			rep := run.Stop()
			t.Logf("load: %v", rep)
			if rep.Failed > 0 || rep.DialRefused > 0 {
				t.Errorf("requests failed during the changes")
			}
		}
	}
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		t.Fatal("the acceptance run needs wrk: apt-get install wrk")
	}
	// The script counts what wrk's own summary leaves out.
	script := filepath.Join(t.TempDir(), "count.lua")
	text := `function done(summary)
  local e = summary.errors
  io.write(string.format("FAILED %d\n", e.connect + e.read + e.write + e.status + e.timeout))
end
`
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(wrk, "-t1", "-c32", fmt.Sprintf("-d%ds", seconds+1), "-s", script, "http://"+g.Proxy+"/")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		err := cmd.Wait()
		t.Logf("wrk:\n%s", out.String())
		if err != nil || !strings.Contains(out.String(), "FAILED 0\n") {
			t.Errorf("requests failed during the changes (wrk: %v)", err)
		}
	}
}
