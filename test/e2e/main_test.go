package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

func TestMain(m *testing.M) {
	if os.Getenv(shellVar) == "1" {
		fmt.Fprintln(os.Stderr, "the replay's shell:", becomeShell())
		os.Exit(1)
	}
	keepOffTheDisk()
	code := m.Run()
	gateway.Finish()
	os.Exit(code)
}

// keepOffTheDisk puts the tests' directories into memory where that is to be
// had: on a disk that builds keep busy an etcd takes seconds for a write, and
// every test with it. The acceptance run measures with the disk.
func keepOffTheDisk() {
	const shm = "/dev/shm"
	var st syscall.Statfs_t
	const tmpfs, noexec = 0x01021994, 0x8
	if acceptance || os.Getenv("TMPDIR") != "" || syscall.Statfs(shm, &st) != nil || st.Type != tmpfs || st.Flags&noexec != 0 {
		return
	}
	if st.Bavail*uint64(st.Bsize) < 4<<30 {
		return
	}
	dir, err := os.MkdirTemp(shm, "e2e-writable-")
	if err != nil {
		return
	}
	os.Remove(dir)
	os.Setenv("TMPDIR", shm)
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

// startHello runs a gateway from files with one route for everything over a back
// end that says "hello".
func startHello(t *testing.T, o gateway.Options) (*gateway.Gateway, *backend.Server) {
	t.Helper()
	b := backend.Start(t, backend.OK("hello"))
	o.YAML = yamlRoute("/*", b.Addr)
	return gateway.Start(t, o), b
}
