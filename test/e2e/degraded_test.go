package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
)

// metric reads a figure without labels from the metrics port, -1 when it is
// not there.
func metric(t *testing.T, g *gateway.Gateway, name string) float64 {
	t.Helper()
	a, err := g.Do(http.MethodGet, "http://"+g.MetricsAddr+"/apisix/prometheus/metrics", nil)
	if err != nil {
		t.Fatalf("metrics: %v", err)
	}
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(a.Text())
	if m == nil {
		return -1
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// waitMetric waits until a figure has a value.
func waitMetric(t *testing.T, g *gateway.Gateway, name string, want float64) {
	t.Helper()
	if !gateway.Poll(20*time.Second, func() bool { return metric(t, g, name) == want }) {
		t.Errorf("%s is %v, want %v", name, metric(t, g, name), want)
	}
}

func route(uri, node string) string {
	return fmt.Sprintf(`{"uri":%q,"upstream":{"nodes":{%q:1}}}`, uri, node)
}

func statusText(g *gateway.Gateway) string {
	out, _ := g.Command("status", "-c", g.Config).CombinedOutput() // the exit code is not asked for
	return string(out)
}

// freshMetrics makes the metrics text be written anew every second.
var freshMetrics = map[string]any{"plugin_attr.prometheus.refresh_interval": 1}

// Within two seconds of a start the last good configuration serves, whether
// etcd refuses connections or swallows them. Status and metrics say so, with
// the age. When etcd returns no request notices.
func TestStartWithEtcdDown(t *testing.T) {
	t.Parallel()
	for _, down := range []string{"refuses", "swallows"} {
		t.Run(down, func(t *testing.T) {
			t.Parallel()
			startWithEtcdDown(t, down == "swallows")
		})
	}
}

func startWithEtcdDown(t *testing.T, swallowed bool) {
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	etcd := externalEtcd(t, false)
	for i := range 20 {
		etcdserver.Put(t, etcd.Client(), fmt.Sprintf("/apisix/routes/r%d", i), route(fmt.Sprintf("/r%d", i), b.Addr))
	}
	hosts := []any{etcd.Endpoint}
	if swallowed {
		// The other member's packets vanish.
		hosts = append(hosts, "http://"+backend.BlackHole(t))
	}
	// All limits of time have their defaults: 30 s to connect, two retries.
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": hosts}, Set: freshMetrics})
	g.WaitStatus("/r19", 200)
	waitMetric(t, g, "sluice_config_degraded", 0)
	g.Stop(10 * time.Second)
	etcd.Stop()

	// A machine that is busy otherwise may delay one start, not all.
	const most = 2 * time.Second
	took := most + 1
	for try := 0; try < 4 && took > most; try++ {
		if try > 0 {
			g.Stop(10 * time.Second)
		}
		begin := time.Now()
		g.Run()
		if !gateway.Poll(10*time.Second, func() bool {
			a, err := g.Do(http.MethodGet, "http://"+g.Proxy+"/r19", nil)
			return err == nil && a.Status == 200
		}) {
			t.Fatal("the last good configuration is not served")
		}
		took = time.Since(begin)
	}
	if took > most {
		t.Errorf("the last good configuration served after %v", took)
	}
	if text := statusText(g); !strings.Contains(text, "last good configuration") || !strings.Contains(text, " old") {
		t.Errorf("gw status does not tell of the last good configuration and its age:\n%s", text)
	}
	if code, err := g.ReadyStatus(); err != nil || code != 200 {
		t.Errorf("/status/ready says %d, %v while traffic is served", code, err)
	}
	waitMetric(t, g, "sluice_config_degraded", 1)
	if age := metric(t, g, "sluice_config_age_seconds"); age < 0 || age > 600 {
		t.Errorf("sluice_config_age_seconds is %v", age)
	}

	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4, Pause: time.Millisecond,
		Request: func(_, n int) string { return fmt.Sprintf("GET /r%d HTTP/1.1\r\nHost: x\r\n\r\n", n%20) }})
	run.WaitGood(t, 100, 10*time.Second)
	etcd.Run()
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/after", route("/after", b.Addr))
	if !gateway.Poll(40*time.Second, func() bool { return g.Get("/after").Status == 200 }) {
		t.Fatalf("etcd is back and a change is not live:\n%s", statusText(g))
	}
	waitMetric(t, g, "sluice_config_degraded", 0)
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load while etcd returned: %v", rep)
	}
	if text := statusText(g); strings.Contains(text, "last good configuration") {
		t.Errorf("gw status still tells of the last good configuration:\n%s", text)
	}
}

// An etcd restored from a backup has lost changes: they serve on, the alarm
// is raised, and the operator's word takes the older state.
func TestEtcdRestoredOlder(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	etcd := externalEtcd(t, false)
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/old", route("/old", b.Addr))
	backup := etcd.Backup()
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2}, Set: freshMetrics})
	for i := range 20 {
		etcdserver.Put(t, etcd.Client(), fmt.Sprintf("/apisix/routes/r%d", i), route(fmt.Sprintf("/r%d", i), b.Addr))
	}
	g.WaitStatus("/r19", 200)
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4, Pause: time.Millisecond,
		Request: func(_, n int) string { return fmt.Sprintf("GET /r%d HTTP/1.1\r\nHost: x\r\n\r\n", n%20) }})
	run.WaitGood(t, 100, 10*time.Second)

	etcd.Restore(backup)
	if !gateway.Poll(20*time.Second, func() bool { return strings.Contains(statusText(g), "gw sync --accept") }) {
		t.Fatalf("gw status does not ask for `gw sync --accept`:\n%s", statusText(g))
	}
	waitMetric(t, g, "sluice_store_regress", 1)
	// The older store is written to. That does not make it the one we know,
	// not even when its revisions have caught up.
	for i := range 40 {
		etcdserver.Put(t, etcd.Client(), "/apisix/routes/new", route(fmt.Sprintf("/new%d", i), b.Addr))
	}
	run.WaitGood(t, 2000, 20*time.Second)
	if a := g.Get("/new39"); a.Status != 404 {
		t.Errorf("the older store is followed before it was accepted: /new39 answers %d", a.Status)
	}
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load while etcd was restored: %v", rep)
	}

	if out, err := g.Command("sync", "--accept", "-c", g.Config).CombinedOutput(); err != nil {
		t.Fatalf("gw sync --accept: %v: %s", err, out)
	}
	if !gateway.Poll(20*time.Second, func() bool { return g.Get("/new39").Status == 200 }) {
		t.Fatalf("the accepted state does not serve:\n%s", statusText(g))
	}
	g.WaitStatus("/r0", 404)
	g.WaitStatus("/old", 200)
	waitMetric(t, g, "sluice_store_regress", 0)
	// A second word has nothing to accept.
	if out, err := g.Command("sync", "--accept", "-c", g.Config).CombinedOutput(); err == nil {
		t.Errorf("gw sync --accept with nothing to accept: %s", out)
	}
}

// With store_regress: accept the new state is taken without a word.
func TestEtcdWipedAndAcceptedBySetting(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	for i := range 5 {
		etcdserver.Put(t, etcd.Client(), fmt.Sprintf("/apisix/routes/r%d", i), route(fmt.Sprintf("/r%d", i), b.Addr))
	}
	g := gateway.Start(t, gateway.Options{
		Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2},
		Set:  map[string]any{"sluice.store_regress": "accept"},
	})
	g.WaitStatus("/r4", 200)
	etcd.Wipe()
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/new", route("/new", b.Addr))
	if !gateway.Poll(20*time.Second, func() bool { return g.Get("/new").Status == 200 && g.Get("/r0").Status == 404 }) {
		t.Errorf("the wiped state is not taken:\n%s", statusText(g))
	}
}

// An etcd that was wiped while the gateway was down is noticed at the next
// start: the last good configuration serves until the operator decides.
func TestEtcdWipedWhileStopped(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	for i := range 5 {
		etcdserver.Put(t, etcd.Client(), fmt.Sprintf("/apisix/routes/r%d", i), route(fmt.Sprintf("/r%d", i), b.Addr))
	}
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2}})
	g.WaitStatus("/r4", 200)
	g.Stop(10 * time.Second)
	etcd.Wipe()
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/new", route("/new", b.Addr))

	g.Run()
	g.WaitReady(20 * time.Second)
	g.WaitStatus("/r4", 200)
	if a := g.Get("/new"); a.Status != 404 {
		t.Errorf("the wiped store is followed before it was accepted: /new answers %d", a.Status)
	}
	if !gateway.Poll(10*time.Second, func() bool { return strings.Contains(statusText(g), "gw sync --accept") }) {
		t.Fatalf("gw status does not ask for `gw sync --accept`:\n%s", statusText(g))
	}
	if out, err := g.Command("sync", "--accept", "-c", g.Config).CombinedOutput(); err != nil {
		t.Fatalf("gw sync --accept: %v: %s", err, out)
	}
	if !gateway.Poll(20*time.Second, func() bool { return g.Get("/new").Status == 200 && g.Get("/r4").Status == 404 }) {
		t.Errorf("the accepted state does not serve:\n%s", statusText(g))
	}
}

// Deleting the last objects one by one is a change like any other and no
// loss: an empty collection is taken without an alarm.
func TestEtcdEmptiedByDeletes(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	for _, name := range []string{"a", "b"} {
		etcdserver.Put(t, etcd.Client(), "/apisix/routes/"+name, route("/"+name, b.Addr))
	}
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2}})
	g.WaitStatus("/b", 200)
	etcdserver.Delete(t, etcd.Client(), "/apisix/routes/a")
	etcdserver.Delete(t, etcd.Client(), "/apisix/routes/b")
	g.WaitStatus("/a", 404)
	g.WaitStatus("/b", 404)
	if text := statusText(g); strings.Contains(text, "--accept") {
		t.Errorf("an alarm where there is none:\n%s", text)
	}
}
