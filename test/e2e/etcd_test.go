package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
)

func externalEtcd(t *testing.T, withTLS bool) *etcdserver.Server {
	t.Helper()
	return etcdserver.Start(t, strconv.Itoa(gateway.FreePort(t)), strconv.Itoa(gateway.FreePort(t)), withTLS)
}

// A data plane node reads an external etcd over TLS with a password and a
// prefix of its own; it has no Admin API and starts no etcd.
func TestDataPlaneOnExternalEtcd(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, true)
	etcd.EnableAuth("secret")
	c := etcd.Client()
	route := fmt.Sprintf(`{"uri":"/hello","upstream":{"nodes":{"%s":1}}}`, b.Addr)
	etcdserver.Put(t, c, "/edge/one/routes/r", route)
	etcdserver.Put(t, c, "/apisix/routes/r", strings.ReplaceAll(route, "/hello", "/other-prefix"))

	g := gateway.Start(t, gateway.Options{Role: "data_plane", Etcd: map[string]any{
		"host": []any{etcd.Endpoint}, "prefix": "/edge/one", "user": "root", "password": "secret",
		"tls": map[string]any{"verify": true, "ca": etcd.CA},
	}, Env: []string{"SSL_CERT_FILE=" + etcd.CA}})
	if a := g.Get("/hello"); a.Status != 200 {
		t.Errorf("status %d", a.Status)
	}
	if a := g.Get("/other-prefix"); a.Status != 404 {
		t.Errorf("a route below another prefix answers %d", a.Status)
	}
	if gateway.Listens(g.AdminAddr) {
		t.Error("a data plane node offers the Admin API")
	}
	if gateway.Listens(g.EtcdAddr) {
		t.Error("an embedded etcd runs beside the external one")
	}
	rev := etcdserver.Put(t, c, "/edge/one/routes/r", strings.ReplaceAll(route, "/hello", "/changed"))
	g.WaitStatus("/changed", 200)
	resp, err := c.Get(t.Context(), "/edge", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		if kv.ModRevision > rev || string(kv.Key) != "/edge/one/routes/r" {
			t.Errorf("the data plane node wrote %s", kv.Key)
		}
	}
}

// A traditional node with an external etcd offers the Admin API on it.
func TestAdminOnExternalEtcd(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}}})
	g.Put("/routes/1", map[string]any{"uri": "/hello", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/hello", 200)
	resp, err := etcd.Client().Get(t.Context(), "/apisix/routes/1")
	if err != nil || len(resp.Kvs) != 1 || !strings.Contains(string(resp.Kvs[0].Value), "/hello") {
		t.Errorf("etcd holds %v, error %v", resp, err)
	}
}

// With etcd unreachable at start there is a line for every attempt; the
// gateway is not ready, and becomes it when etcd comes.
func TestEtcdUnreachableAtStart(t *testing.T) {
	t.Parallel()
	clientPort, peerPort := gateway.FreePort(t), gateway.FreePort(t)
	endpoint := fmt.Sprintf("http://127.0.0.1:%d", clientPort)
	g := gateway.Start(t, gateway.Options{NoWait: true, Etcd: map[string]any{
		"host": []any{endpoint}, "timeout": 1, "startup_retry": 100,
	}})
	host := strings.TrimPrefix(endpoint, "http://")
	if !gateway.Poll(20*time.Second, func() bool { return strings.Count(g.Log(), host) >= 3 }) {
		t.Fatalf("the log does not name %s at each of three attempts", host)
	}
	if code, err := g.ReadyStatus(); err == nil && code != 503 {
		t.Errorf("/status/ready says %d without a configuration", code)
	}
	etcdserver.Start(t, strconv.Itoa(clientPort), strconv.Itoa(peerPort), false)
	g.WaitReady(gateway.ReadyTimeout)
}

// When the allowed attempts are used up, the start fails and says why.
func TestEtcdStartupRetryHonoured(t *testing.T) {
	t.Parallel()
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Options{NoWait: true, Etcd: map[string]any{
		"host": []any{fmt.Sprintf("http://127.0.0.1:%d", port)}, "timeout": 1, "startup_retry": 2,
	}})
	if code := g.Wait(30 * time.Second); code == 0 {
		t.Error("the exit code is 0")
	}
	if !strings.Contains(g.Log(), strconv.Itoa(port)) {
		t.Error("the log does not name the etcd endpoint")
	}
}

// etcd stops and comes back under load: no request fails, and changes flow
// again.
func TestEtcdRestartUnderLoad(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	etcd := externalEtcd(t, false)
	node := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, b.Addr)
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/load", `{"uri":"/","id":"load",`+node+`}`)
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2}})
	g.WaitStatus("/", 200)
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 8, Pause: time.Millisecond})

	run.WaitGood(t, 500, 10*time.Second)
	etcd.Stop()
	// Long enough for the watch to notice and to try again.
	run.WaitGood(t, 4000, 30*time.Second)
	etcd.Run()
	etcdserver.Put(t, etcd.Client(), "/apisix/routes/after", `{"uri":"/after",`+node+`}`)
	if !gateway.Poll(15*time.Second, func() bool { return g.Get("/after").Status == 200 }) {
		t.Error("a change made after the restart is not live after 15 s")
	}
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load during the outage: %v", rep)
	} else {
		t.Logf("load during the outage: %v", rep)
	}
}

// A compaction that overtakes the watch loses nothing.
func TestEtcdCompaction(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	c := etcd.Client()
	node := fmt.Sprintf(`"upstream":{"nodes":{"%s":1}}`, b.Addr)
	etcdserver.Put(t, c, "/apisix/routes/r", `{"uri":"/first",`+node+`}`)
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 2}})
	g.WaitStatus("/first", 200)

	// While the gateway is cut off, the store moves on and forgets.
	etcd.Stop()
	etcd.Run()
	c = etcd.Client()
	etcdserver.Delete(t, c, "/apisix/routes/r")
	for i := range 50 {
		etcdserver.Put(t, c, "/apisix/routes/s", fmt.Sprintf(`{"uri":"/second%d",%s}`, i, node))
	}
	rev := etcdserver.Put(t, c, "/elsewhere", "x")
	if _, err := c.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if !gateway.Poll(15*time.Second, func() bool { return g.Get("/second49").Status == 200 && g.Get("/first").Status == 404 }) {
		t.Errorf("after the compaction: /second49 answers %d, /first %d", g.Get("/second49").Status, g.Get("/first").Status)
	}
	etcdserver.Put(t, c, "/apisix/routes/s", `{"uri":"/third",`+node+`}`)
	g.WaitStatus("/third", 200)
}

// A port that somebody else holds ends the start at once, and the message
// names it.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"proxy", "admin"} {
		g := gateway.Prepare(t, gateway.Options{})
		taken := map[string]string{"proxy": g.Proxy, "admin": g.AdminAddr}[which]
		ln, err := net.Listen("tcp", taken)
		if err != nil {
			t.Fatal(err)
		}
		g.Run()
		if code := g.Wait(20 * time.Second); code == 0 {
			t.Errorf("%s port: the exit code is 0", which)
		}
		_, port, _ := net.SplitHostPort(taken)
		if !strings.Contains(g.Log(), port) || !strings.Contains(g.Log(), "in use") {
			t.Errorf("%s port: the log names no port %s in use", which, port)
		}
		ln.Close()
	}
}
