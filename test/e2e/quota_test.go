package e2e

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// The data process is killed in the middle of a window: the quota goes on where
// it was, to the very request.
func TestQuotaOutlivesTheDataProcess(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello")).CountOnly()
	g := gateway.Start(t, gateway.Options{})
	const count = 50
	g.Put("/routes/1", map[string]any{
		"uri": "/limited", "upstream": gateway.Nodes(b.Addr),
		"plugins": map[string]any{"limit-count": map[string]any{"count": count, "time_window": 600, "rejected_code": 429}},
	})
	g.Put("/routes/2", map[string]any{"uri": "/free", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/free", 200)
	if !gateway.Poll(5*time.Second, func() bool { return status(t, g, "/limited") == 200 }) {
		t.Fatal("the limited route does not serve")
	}
	used := 1
	for range 3 {
		for range 10 {
			if s := status(t, g, "/limited"); s != 200 {
				t.Fatalf("request %d of %d: %d", used+1, count, s)
			}
			used++
		}
		old := g.DataPID()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if !gateway.Poll(5*time.Second, func() bool { return !gateway.Alive(old) }) {
			t.Fatal("the data process survives SIGKILL")
		}
		g.WaitStatus("/free", 200)
	}
	for used < count {
		if s := status(t, g, "/limited"); s != 200 {
			t.Fatalf("request %d of %d: %d", used+1, count, s)
		}
		used++
	}
	if s := status(t, g, "/limited"); s != 429 {
		t.Errorf("request %d of %d: %d, want 429", used+1, count, s)
	}
}

func status(t *testing.T, g *gateway.Gateway, path string) int {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s%s", g.Proxy, path))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
