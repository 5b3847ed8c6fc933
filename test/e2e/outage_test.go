package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
)

// A start without etcd serves the last good configuration within two seconds,
// says that it is degraded, and catches up without a failed request.
func TestLastGoodConfiguration(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	node := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, b.Addr)
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/r", `{"uri":"/r",`+node+`}`)
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 1, "startup_retry": 0}})
	g.WaitStatus("/r", 200)
	g.Stop(10 * time.Second)
	etcd.Stop()

	begin := time.Now()
	g.Run()
	if !gateway.Poll(10*time.Second, func() bool {
		a, err := g.Do("GET", "http://"+g.Proxy+"/r", nil)
		return err == nil && a.Status == 200
	}) {
		t.Fatal("without etcd the last good configuration is not served")
	}
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	out, err := g.Command("status", "-c", g.Config).CombinedOutput()
	if err != nil || !strings.Contains(strings.ToLower(string(out)), "degraded") {
		t.Errorf("gw status: error %v, does not say degraded:\n%s", err, out)
	}
	etcd.Run()
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/s", `{"uri":"/s",`+node+`}`)
	if !gateway.Poll(20*time.Second, func() bool { return g.Get("/s").Status == 200 }) {
		t.Error("etcd is back and a change is not live")
	}
	if a := g.Get("/r"); a.Status != 200 {
		t.Errorf("/r answers %d", a.Status)
	}
}

// An etcd that comes back wiped does not empty a running gateway: it goes on
// with what it has until the operator says otherwise.
func TestWipedEtcd(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	etcd := externalEtcd(t, false)
	node := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, b.Addr)
	for i := range 20 {
		etcdserver.Put(t, etcd.Client(), fmt.Sprintf("/apisix/routes/r%d", i), fmt.Sprintf(`{"uri":"/r%d",%s}`, i, node))
	}
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2}})
	g.WaitStatus("/r19", 200)
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4, Pause: time.Millisecond,
		Request: func(_, n int) string { return fmt.Sprintf("GET /r%d HTTP/1.1\r\nHost: x\r\n\r\n", n%20) }})
	run.WaitGood(t, 200, 10*time.Second)

	etcd.Wipe()
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/new", `{"uri":"/new",`+node+`}`)
	if !gateway.Poll(20*time.Second, func() bool {
		out, _ := g.Command("status", "-c", g.Config).CombinedOutput()
		return strings.Contains(string(out), "wiped")
	}) {
		out, _ := g.Command("status", "-c", g.Config).CombinedOutput()
		t.Fatalf("gw status does not say that etcd was wiped:\n%s", out)
	}
	run.WaitGood(t, 1000, 10*time.Second)
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load while etcd was wiped: %v", rep)
	}

	if out, err := g.Command("sync", "--accept", "-c", g.Config).CombinedOutput(); err != nil {
		t.Fatalf("gw sync --accept: %v: %s", err, out)
	}
	g.WaitStatus("/new", 200)
	g.WaitStatus("/r0", 404)
}

// Who changed what can be read, compared and taken back.
func TestHistoryDiffRollback(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	gw := func(args ...string) string {
		t.Helper()
		out, err := g.Command(append(args, "-c", g.Config)...).CombinedOutput()
		if err != nil {
			t.Fatalf("gw %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	rev := func() string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^configuration\s+revision (\d+)`).FindStringSubmatch(gw("status"))
		if m == nil {
			t.Fatalf("gw status shows no revision:\n%s", gw("status"))
		}
		return m[1]
	}
	g.Put("/upstreams/u", gateway.Nodes(b.Addr))
	g.Put("/routes/1", map[string]any{"uri": "/one", "upstream_id": "u"})
	g.WaitStatus("/one", 200)
	before := rev()
	g.Put("/routes/1", map[string]any{"uri": "/uno", "upstream_id": "u"})
	g.Put("/routes/2", map[string]any{"uri": "/two", "upstream_id": "u"})
	g.WaitStatus("/uno", 200)

	// The journal is written in batches.
	var history string
	gateway.Poll(5*time.Second, func() bool { history = gw("history"); return strings.Contains(history, "routes/2") })
	for _, want := range []string{"routes/1", "routes/2", "upstreams/u", "admin"} {
		if !strings.Contains(history, want) {
			t.Errorf("gw history does not show %s:\n%s", want, history)
		}
	}
	diff := gw("diff", before)
	for _, want := range []string{"/one", "/uno", "routes/2"} {
		if !strings.Contains(diff, want) {
			t.Errorf("gw diff does not show %s:\n%s", want, diff)
		}
	}
	gw("rollback", before, "--dry-run")
	if a := g.Get("/uno"); a.Status != 200 {
		t.Errorf("a dry run changed something: status %d", a.Status)
	}
	gw("rollback", before)
	g.WaitStatus("/one", 200)
	g.WaitStatus("/uno", 404)
	g.WaitStatus("/two", 404)

	var status map[string]any
	if err := json.Unmarshal([]byte(gw("status", "--json")), &status); err != nil {
		t.Errorf("gw status --json: %v", err)
	}
}
