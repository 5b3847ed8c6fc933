package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// run returns the output and the exit code of a gw command.
func run(t *testing.T, g *gateway.Gateway, args ...string) (string, int) {
	t.Helper()
	out, err := g.Command(append(args, "-c", g.Config)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("gw %s: %v", strings.Join(args, " "), err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(out), code
}

// gw explain says what the running gateway then does.
func TestExplainRunningGateway(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	g.Put("/upstreams/u", gateway.Nodes(b.Addr))
	g.Put("/services/s", map[string]any{"upstream_id": "u", "plugins": map[string]any{"proxy-rewrite": map[string]any{"uri": "/"}}})
	g.Put("/routes/post", map[string]any{"uri": "/a", "methods": []string{"POST"}, "service_id": "s"})
	g.Put("/routes/get", map[string]any{"uri": "/a*", "service_id": "s"})
	if a := g.Get("/a"); a.Status != 200 {
		t.Fatalf("status %d", a.Status)
	}
	out, code := run(t, g, "explain", "GET", "/a", "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	var r struct {
		Candidates []struct {
			Route, Failed string
			Chosen        bool
		}
		Plugins []struct{ Name, Origin string }
		Route   struct{ ID string }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(r.Candidates) != 2 || r.Candidates[0].Failed != "methods" || !r.Candidates[1].Chosen || r.Route.ID != "get" ||
		len(r.Plugins) != 1 || r.Plugins[0].Origin != "services/s" {
		t.Errorf("%+v", r)
	}
	if out, _ := run(t, g, "explain", "GET", "/a"); !strings.Contains(out, b.Addr) || !strings.Contains(out, "SERVES") {
		t.Errorf("the node is not named:\n%s", out)
	}
	if out, code := run(t, g, "explain", "GET", "/nothing"); code != 1 || !strings.Contains(out, "404") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := run(t, g, "explain", "GET", "nonsense"); code != 1 || !strings.Contains(out, "URL") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// The same without a gateway, from a file.
func TestExplainFile(t *testing.T) {
	t.Parallel()
	g := gateway.Prepare(t, gateway.Options{YAML: `
routes:
  - id: 1
    uri: /a
    upstream: {nodes: {"127.0.0.1:1980": 1}}
  - id: bad
    uri: /b
    methods: [NONSENSE]
    upstream: {nodes: {"127.0.0.1:1980": 1}}
`})
	file := strings.Replace(g.Config, "config.yaml", "apisix.yaml", 1)
	out, code := run(t, g, "explain", "GET", "http://x/a", "--file", file)
	if code != 0 || !strings.Contains(out, "127.0.0.1:1980") || !strings.Contains(out, "route bad is refused") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := run(t, g, "explain", "GET", "http://x/a"); code == 0 || !strings.Contains(out, "--file") {
		t.Errorf("without a gateway: exit code %d: %s", code, out)
	}
}
