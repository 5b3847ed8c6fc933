package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// kill -9 of the data process under load: nobody is refused a connection, and
// service is back within a second with the whole configuration.
func TestDataProcessKilled(t *testing.T) {
	t.Parallel()
	const conns = 8
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	g := gateway.Start(t, gateway.Options{})
	g.Put("/routes/1", map[string]any{"uri": "/", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/", 200)

	const kills = 3
	for i := range kills {
		run := load.Start(t, load.Config{Addr: g.Proxy, Conns: conns, Pause: time.Millisecond})
		run.WaitGood(t, 300, 10*time.Second)
		old := g.DataPID()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if !gateway.Poll(5*time.Second, func() bool { return !gateway.Alive(old) }) {
			t.Fatal("the data process survives SIGKILL")
		}
		run.WaitGood(t, 300, 10*time.Second)
		rep := run.Stop()
		t.Logf("kill %d: %v", i+1, rep)
		if rep.DialRefused > 0 {
			t.Errorf("%d connection attempts failed", rep.DialRefused)
		}
		// A connection that was open may lose its one request; no request
		// of a new connection fails, not even by an early 404.
		if rep.Failed > conns {
			t.Errorf("%d requests failed on %d connections", rep.Failed, conns)
		}
		if rep.Longest > time.Second {
			t.Errorf("no answer for %v", rep.Longest)
		}
		if g.DataPID() == old {
			t.Error("the data process is still the old one")
		}
	}
	g.Put("/routes/2", map[string]any{"uri": "/after", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/after", 200)
}

// kill -9 of the control process: no request fails, and the successor adopts
// the data process and its configuration.
func TestControlProcessKilled(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	g := gateway.Start(t, gateway.Options{})
	g.Put("/routes/1", map[string]any{"uri": "/", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/", 200)
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 8, Pause: time.Millisecond})
	run.WaitGood(t, 300, 10*time.Second)
	data := g.DataPID()

	g.Kill9()
	run.WaitGood(t, 2000, 10*time.Second)
	c := rawhttp.Dial(t, g.Proxy) // a new connection, not only those that were open
	c.Send(rawhttp.Get("/", "x"))
	if r := c.MustRead("GET"); r.Status != 200 {
		t.Errorf("without a control process: status %d", r.Status)
	}

	g.Run()
	g.WaitReady(gateway.ReadyTimeout)
	if now := g.DataPID(); now != data {
		t.Errorf("the data process was %d and is %d: it was replaced, not adopted", data, now)
	}
	g.Put("/routes/2", map[string]any{"uri": "/after", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/after", 200)
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load during the change of control: %v", rep)
	}

	// The successor looks after the adopted process as if it were its own.
	if err := syscall.Kill(data, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !gateway.Poll(5*time.Second, func() bool {
		pids := g.DataPIDs()
		return len(pids) == 1 && pids[0] != data
	}) {
		t.Fatalf("the adopted data process was not replaced; there are %v", g.DataPIDs())
	}
	g.WaitStatus("/after", 200)
}

// Control process dead, then the data process too: the next start serves.
func TestBothProcessesKilled(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	g.Put("/routes/1", map[string]any{"uri": "/", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/", 200)
	data := g.DataPID()
	g.Kill9()
	if err := syscall.Kill(data, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !gateway.Poll(5*time.Second, func() bool { return !gateway.Alive(data) }) {
		t.Fatal("the data process survives SIGKILL")
	}
	g.Run()
	g.WaitReady(gateway.ReadyTimeout)
	g.WaitStatus("/", 200)
}

// A data process that dies at once, again and again, is restarted with
// growing pauses and said loudly; it does not spin.
func TestDataProcessDiesAgainAndAgain(t *testing.T) {
	t.Parallel()
	g, _ := startHello(t, gateway.Options{Loops: 1})
	seen := map[int]bool{}
	begin := time.Now()
	for len(seen) < 8 {
		if time.Since(begin) > 60*time.Second {
			t.Fatalf("only %d restarts in a minute", len(seen))
		}
		for _, pid := range g.DataPIDs() {
			seen[pid] = true
			syscall.Kill(pid, syscall.SIGKILL)
		}
		gateway.Poll(10*time.Millisecond, func() bool { return false })
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("8 data processes were started within %v: no back-off", took)
	}
	if !gateway.Poll(60*time.Second, func() bool {
		a, err := g.Do("GET", "http://"+g.Proxy+"/", nil)
		return err == nil && a.Status == 200
	}) {
		t.Error("the gateway does not come back after the killing ends")
	}
	if log := g.Log(); !strings.Contains(log, "level=ERROR") && !strings.Contains(log, `"level":"ERROR"`) {
		t.Error("nothing is logged as an error")
	}
}

// A second gateway on the same directory is refused and disturbs nothing.
func TestSecondStartRefused(t *testing.T) {
	t.Parallel()
	g, _ := startHello(t, gateway.Options{})
	out, err := g.Command("run", "-c", g.Config).CombinedOutput()
	if err == nil {
		t.Errorf("a second `gw run` ended without an error: %s", out)
	}
	if want := fmt.Sprint(g.PID()); !strings.Contains(string(out), want) {
		t.Errorf("the message does not name the running process %s: %s", want, out)
	}
	if a := g.Get("/"); a.Status != 200 {
		t.Errorf("the running gateway answers %d", a.Status)
	}
}
