package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
)

// Without etcd the gateway serves apisix.yaml and follows its changes, while
// requests run.
func TestYAMLProvider(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	route := func(id, uri string) string {
		return fmt.Sprintf("  - {id: %s, uri: %s, upstream: {nodes: {\"%s\": 1}}}\n", id, uri, b.Addr)
	}
	g := gateway.Start(t, gateway.Options{YAML: "routes:\n" + route("keep", "/keep") + route("old", "/old")})
	if gateway.Listens(g.EtcdAddr) {
		t.Error("an etcd listens beside the yaml provider")
	}
	if a := g.Get("/old"); a.Status != 200 || a.Text() != "hello" {
		t.Fatalf("status %d, body %q", a.Status, a.Body)
	}
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4, Pause: time.Millisecond,
		Request: func(int, int) string { return "GET /keep HTTP/1.1\r\nHost: x\r\n\r\n" }})

	g.WriteYAML("routes:\n" + route("keep", "/keep") + route("new", "/new"))
	g.WaitStatus("/new", 200)
	g.WaitStatus("/old", 404)

	// One broken item is dropped, the rest loads.
	g.WriteYAML("routes:\n" + route("keep", "/keep") + "  - {id: broken, uri: 7}\n" + route("newer", "/newer"))
	g.WaitStatus("/newer", 200)
	g.WaitStatus("/new", 404)
	g.WaitLog("broken", time.Second)

	// A file that is still being written has no #END and is left alone.
	path := filepath.Join(filepath.Dir(g.Config), "apisix.yaml")
	if err := os.WriteFile(path, []byte("routes:\n"+route("keep", "/keep")), 0o644); err != nil {
		t.Fatal(err)
	}
	g.WaitLog("#END", 5*time.Second)
	if a := g.Get("/newer"); a.Status != 200 {
		t.Errorf("a half-written file took effect: status %d", a.Status)
	}
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("load during the changes: %v", rep)
	}
}
