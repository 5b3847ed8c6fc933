package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

func TestMain(m *testing.M) {
	if os.Getenv(shellVar) == "1" {
		fmt.Fprintln(os.Stderr, "the replay's shell:", becomeShell())
		os.Exit(1)
	}
	code := m.Run()
	gateway.Finish()
	os.Exit(code)
}

// acceptance tells whether the long runs and the assertions on time are asked
// for: a busy machine must not fail the everyday run.
var acceptance = os.Getenv("GW_ACCEPTANCE") == "1"

// yamlRoute is an apisix.yaml with one route over the given node.
func yamlRoute(uri, node string) string {
	return fmt.Sprintf(`
upstreams:
  - id: u1
    type: roundrobin
    nodes: {"%s": 1}
routes:
  - id: r1
    uri: %s
    upstream_id: u1
`, node, uri)
}

// start runs a gateway from files with one route for everything over a back
// end that says "hello".
func startHello(t *testing.T, o gateway.Options) (*gateway.Gateway, *backend.Server) {
	t.Helper()
	b := backend.Start(t, backend.OK("hello"))
	o.YAML = yamlRoute("/*", b.Addr)
	return gateway.Start(t, o), b
}
