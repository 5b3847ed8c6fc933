package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// AdminKey is the key that the harness configures for the Admin API.
const AdminKey = "e2e-admin-key"

// Options say how the gateway under test is configured. The zero value is a
// traditional node with an embedded etcd, two loops and free ports.
type Options struct {
	// Loops is nginx_config.worker_processes, 2 when it is 0.
	Loops int
	// Role is deployment.role, "traditional" when empty.
	Role string
	// YAML, when not empty, selects config_provider: yaml and is the content
	// of apisix.yaml; the #END line is added.
	YAML string
	// Etcd is deployment.etcd; nil means the embedded etcd.
	Etcd map[string]any
	// Set overrides single values of config.yaml by dotted path, such as
	// "nginx_config.worker_shutdown_timeout". A nil value removes the key.
	Set map[string]any
	// Env is added to the environment.
	Env []string
	// Bin is the binary, Binary's when empty.
	Bin string
	// NoWait returns from Start without waiting for readiness.
	NoWait bool
}

// layout is where one gateway's ports and files are.
type layout struct {
	dir, config                                      string
	proxy, admin, control, metrics, status, etcdPort int
}

func newLayout(t testing.TB, dir string) layout {
	return layout{
		dir:      dir,
		config:   filepath.Join(dir, "conf", "config.yaml"),
		proxy:    FreePort(t),
		admin:    FreePort(t),
		control:  FreePort(t),
		metrics:  FreePort(t),
		status:   FreePort(t),
		etcdPort: FreePort(t),
	}
}

func (l layout) tree(o Options) map[string]any {
	loops := o.Loops
	if loops == 0 {
		loops = 2
	}
	role := o.Role
	if role == "" {
		role = "traditional"
	}
	provider := "etcd"
	if o.YAML != "" {
		provider = "yaml"
	}
	local := func(port int) map[string]any { return map[string]any{"ip": "127.0.0.1", "port": port} }
	deployment := map[string]any{
		"role":         role,
		"role_" + role: map[string]any{"config_provider": provider},
		"admin": map[string]any{
			"admin_listen": local(l.admin),
			"admin_key":    []any{map[string]any{"name": "admin", "key": AdminKey, "role": "admin"}},
		},
	}
	sluice := map[string]any{}
	if e := os.Getenv("GW_ENGINE"); e != "" {
		sluice["engine"] = e
	}
	if o.Etcd != nil {
		deployment["etcd"] = o.Etcd
	} else if provider == "etcd" {
		// The disk of the test machine is not what is under test.
		sluice["embedded_etcd"] = map[string]any{"listen": addr(l.etcdPort), "fsync": false}
	}
	tree := map[string]any{
		"apisix": map[string]any{
			"node_listen":    []any{local(l.proxy)},
			"enable_control": true,
			"control":        local(l.control),
			"status":         local(l.status),
			"ssl":            map[string]any{"enable": false},
			// Sixteen bytes that are not the published default.
			"data_encryption": map[string]any{"keyring": []any{"e2e-tests-secret"}},
		},
		"nginx_config": map[string]any{
			"worker_processes":        loops,
			"worker_shutdown_timeout": "5s",
		},
		"deployment":  deployment,
		"sluice":      sluice,
		"plugin_attr": map[string]any{"prometheus": map[string]any{"export_addr": local(l.metrics)}},
	}
	for path, v := range o.Set {
		setPath(tree, strings.Split(path, "."), v)
	}
	return tree
}

func setPath(tree map[string]any, path []string, v any) {
	for _, name := range path[:len(path)-1] {
		sub, ok := tree[name].(map[string]any)
		if !ok {
			sub = map[string]any{}
			tree[name] = sub
		}
		tree = sub
	}
	last := path[len(path)-1]
	if v == nil {
		delete(tree, last)
		return
	}
	tree[last] = v
}

// write puts config.yaml, and apisix.yaml when asked for, below l.dir.
func (l layout) write(t testing.TB, o Options) {
	t.Helper()
	text, err := yaml.Marshal(l.tree(o))
	if err != nil {
		t.Fatalf("config.yaml: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(l.config), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if o.YAML != "" {
		l.writeYAML(t, o.YAML)
	}
}

func (l layout) writeYAML(t testing.TB, text string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(l.config), "apisix.yaml")
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(strings.TrimRight(text, "\n")+"\n#END\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}
