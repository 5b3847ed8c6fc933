package e2e

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// SIGTERM and SIGQUIT let requests in flight end, close idle connections and
// leave no process behind.
func TestDrain(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			b := backend.Start(t, func(c net.Conn, r backend.Request) bool {
				if r.Target() == "/slow" {
					<-release
				}
				return backend.OK("done")(c, r)
			})
			g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr)})
			idle := rawhttp.Dial(t, g.Proxy)
			idle.Send(rawhttp.Get("/", "x"))
			idle.MustRead("GET")
			busy := rawhttp.Dial(t, g.Proxy)
			busy.Send(rawhttp.Get("/slow", "x"))
			b.WaitCount(t, 2, 5*time.Second)

			g.Signal(sig)
			if rest, closed := idle.ClosedByPeer(3 * time.Second); !closed || len(rest) > 0 {
				t.Errorf("the idle connection is not closed (got %q)", rest)
			}
			if gateway.Poll(200*time.Millisecond, g.HasEnded) {
				t.Error("the gateway ended though a request was in flight")
			}
			close(release)
			r, err := busy.Read("GET")
			if err != nil || r.Status != 200 || string(r.Body) != "done" {
				t.Errorf("the request in flight got %d %q, %v", r.Status, r.Body, err)
			}
			if !r.Close {
				t.Error("its response does not say Connection: close")
			}
			if code := g.Wait(10 * time.Second); code != 0 {
				t.Errorf("the exit code is %d", code)
			}
			if !gateway.Poll(2*time.Second, func() bool { return len(g.Processes()) == 0 }) {
				t.Errorf("left over: %v", g.Processes())
			}
		})
	}
}

// A request that does not end is cut after worker_shutdown_timeout.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Silent())
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr),
		Set: map[string]any{"nginx_config.worker_shutdown_timeout": "1s"}})
	c := rawhttp.Dial(t, g.Proxy)
	c.Send(rawhttp.Get("/", "x"))
	b.WaitCount(t, 1, 5*time.Second)
	begin := time.Now()
	g.Signal(syscall.SIGTERM)
	g.Wait(10 * time.Second)
	if took := time.Since(begin); took < 900*time.Millisecond || took > 4*time.Second {
		t.Errorf("the end took %v, the timeout is 1 s", took)
	}
}

// SIGHUP and `gw reload` re-read config.yaml; no request fails, and a file
// with an error changes nothing.
func TestReloadConfig(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	g.Put("/routes/1", map[string]any{"uri": "/", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/", 200)
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4, Pause: time.Millisecond})
	data := g.DataPID()
	withKey := func(key string) gateway.Options {
		return gateway.Options{Set: map[string]any{"deployment.admin.admin_key": []any{map[string]any{"name": "a", "key": key, "role": "admin"}}}}
	}
	accepts := func(key string) bool {
		a, err := g.Do("GET", "http://"+g.AdminAddr+"/apisix/admin/routes", nil, "X-API-KEY", key)
		return err == nil && a.Status == 200
	}

	g.WriteConfig(withKey("second-key"))
	g.Signal(syscall.SIGHUP)
	if !gateway.Poll(10*time.Second, func() bool { return accepts("second-key") }) {
		t.Error("SIGHUP: the new Admin API key is not accepted")
	}
	if accepts(gateway.AdminKey) {
		t.Error("SIGHUP: the old Admin API key is still accepted")
	}

	g.WriteConfig(withKey("third-key"))
	if out, err := g.Command("reload", "-c", g.Config).CombinedOutput(); err != nil {
		t.Errorf("gw reload: %v: %s", err, out)
	}
	if !gateway.Poll(10*time.Second, func() bool { return accepts("third-key") }) {
		t.Error("gw reload: the new Admin API key is not accepted")
	}

	broken := withKey("fourth-key")
	broken.Set["apisix.node_listen"] = "not a port"
	g.WriteConfig(broken)
	g.Signal(syscall.SIGHUP)
	g.WaitLog("node_listen", 10*time.Second)
	if accepts("fourth-key") || !accepts("third-key") {
		t.Error("a config.yaml with an error was applied in part")
	}
	if g.DataPID() != data {
		t.Error("the data process was replaced")
	}
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load during the reloads: %v", rep)
	}
}

// Connections spread over all loops, each on its own listening socket.
func TestLoopsShareConnections(t *testing.T) {
	t.Parallel()
	g, _ := startHello(t, gateway.Options{Loops: 2})
	for range 64 {
		c := rawhttp.Dial(t, g.Proxy)
		c.Send(rawhttp.Get("/", "x"))
		c.MustRead("GET")
	}
	out, err := g.Command("status", "-c", g.Config).CombinedOutput()
	if err != nil {
		t.Fatalf("gw status: %v: %s", err, out)
	}
	for _, want := range []string{fmt.Sprint(g.PID()), fmt.Sprint(g.DataPID())} {
		if !strings.Contains(string(out), want) {
			t.Errorf("gw status does not show process %s:\n%s", want, out)
		}
	}
}
