package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// usage is what a process holds, seen from outside.
type usage struct {
	fds, threads int
	rss          int64
}

func usageOf(t *testing.T, pid int) usage {
	t.Helper()
	var u usage
	var err1, err2, err3 error
	u.fds, err1 = gateway.FDs(pid)
	u.threads, err2 = gateway.Threads(pid)
	u.rss, err3 = gateway.RSS(pid)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return u
}

var goroutineLine = regexp.MustCompile(`(?m)^go_goroutines(\{[^}]*\})? (\d+)`)

// goroutines reads every go_goroutines series of the metrics page: the
// control process's and, with a label, the data process's.
func goroutines(t *testing.T, g *gateway.Gateway) map[string]int {
	t.Helper()
	a, err := g.Do("GET", "http://"+g.MetricsAddr+"/apisix/prometheus/metrics", nil)
	if err != nil || a.Status != 200 {
		t.Fatalf("metrics: status %d, error %v", a.Status, err)
	}
	counts := map[string]int{}
	for _, m := range goroutineLine.FindAllStringSubmatch(a.Text(), -1) {
		counts[m[1]], _ = strconv.Atoi(m[2])
	}
	if len(counts) == 0 {
		t.Fatal("the metrics page has no go_goroutines")
	}
	return counts
}

// 10,000 route changes leave no goroutine, thread or descriptor behind.
func TestNoLeakOverRouteChanges(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	g := gateway.Start(t, gateway.Options{Set: map[string]any{"plugin_attr.prometheus.refresh_interval": 0}})
	c := etcdserver.Client(t, "http://"+g.EtcdAddr, nil, "", "")
	round := func(n int) {
		t.Helper()
		for i := range n {
			id := i % 100
			// Every route has an upstream of its own, so that nodes and
			// pools come and go with it.
			value := fmt.Sprintf(`{"uri":"/leak/%d/%d","upstream":{"nodes":{"%s":%d}}}`, id, i, b.Addr, 1+i%7)
			etcdserver.Put(t, c, fmt.Sprintf("/apisix/routes/l%d", id), value)
			if i%100 == 99 {
				g.WaitStatus(fmt.Sprintf("/leak/%d/%d", id, i), 200)
			}
		}
		for id := range 100 {
			etcdserver.Delete(t, c, fmt.Sprintf("/apisix/routes/l%d", id))
		}
		g.WaitStatus(fmt.Sprintf("/leak/99/%d", n-1), 404)
	}
	round(1000) // what is allocated once is allocated now
	control, data := g.PID(), g.DataPID()
	before := map[int]usage{control: usageOf(t, control), data: usageOf(t, data)}
	goBefore := goroutines(t, g)
	round(10000)

	const slack = 8 // connections and timers that happen to be there
	settled := gateway.Poll(5*time.Second, func() bool {
		for pid, was := range before {
			if now := usageOf(t, pid); now.fds > was.fds+slack || now.threads > was.threads+slack {
				return false
			}
		}
		for label, was := range goBefore {
			if goroutines(t, g)[label] > was+slack {
				return false
			}
		}
		return true
	})
	for pid, was := range before {
		now := usageOf(t, pid)
		t.Logf("process %d: before %+v, after %+v", pid, was, now)
		if now.rss > was.rss+64<<20 {
			t.Errorf("process %d grew by %d MiB", pid, (now.rss-was.rss)>>20)
		}
	}
	t.Logf("goroutines before %v, after %v", goBefore, goroutines(t, g))
	if !settled {
		t.Error("something leaks")
	}
}
