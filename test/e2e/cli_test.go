package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// `gw test` accepts a good file and names what is wrong with a bad one.
func TestConfigCheckCommand(t *testing.T) {
	t.Parallel()
	g := gateway.Prepare(t, gateway.Options{})
	if out, err := g.Command("test", "-c", g.Config).CombinedOutput(); err != nil {
		t.Errorf("a good file: %v: %s", err, out)
	}
	f := func(text, says string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := g.Command("test", "-c", path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("%q: error %v, want %q in: %s", text, err, says, out)
		}
	}
	f("apisix: [", "yaml")
	f("apisix: {node_listen: nine}", "node_listen")
	f("nginx_config: {worker_processes: -3}", "worker_processes")
	f("deployment: {role: dictator}", "role")
	f("deployment: {etcd: {host: ['${{NO_SUCH_VARIABLE}}']}}", "NO_SUCH_VARIABLE")
	if out, err := g.Command("test", "-c", "/does/not/exist.yaml").CombinedOutput(); err == nil || !strings.Contains(string(out), "/does/not/exist.yaml") {
		t.Errorf("a missing file: error %v: %s", err, out)
	}
}

// An APISIX config.yaml is accepted; what has no meaning here is named once.
func TestForeignConfigKeysAreNamed(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr), Set: map[string]any{
		"nginx_config.http.lua_shared_dict.my_cache": "10m",
		"nginx_config.main_configuration_snippet":    "daemon on;",
		"apisix.extra_lua_path":                      "/opt/lua/?.lua",
	}})
	log := g.Log()
	for _, key := range []string{"main_configuration_snippet", "extra_lua_path"} {
		if n := strings.Count(log, key); n != 1 {
			t.Errorf("%s is named %d times in the log, want once", key, n)
		}
	}
	if a := g.Get("/"); a.Status != 200 {
		t.Errorf("status %d", a.Status)
	}
}

// Environment variables stand for values of config.yaml.
func TestConfigFromEnvironment(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{
		YAML: strings.ReplaceAll(yamlRoute("/*", b.Addr), `"`+b.Addr+`"`, `"${{BACK_END}}"`),
		Set:  map[string]any{"nginx_config.worker_processes": "${{LOOPS:=1}}"},
		Env:  []string{"BACK_END=" + b.Addr},
	})
	if a := g.Get("/"); a.Status != 200 {
		t.Errorf("status %d", a.Status)
	}
}

func TestStatusCommand(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	g := gateway.Start(t, gateway.Options{})
	g.Put("/routes/1", map[string]any{"uri": "/", "upstream": gateway.Nodes(b.Addr)})
	g.WaitStatus("/", 200)
	out, err := g.Command("status", "-c", g.Config).CombinedOutput()
	if err != nil {
		t.Fatalf("gw status: %v: %s", err, out)
	}
	for _, want := range []string{"loop", "etcd", "route"} {
		if !strings.Contains(strings.ToLower(string(out)), want) {
			t.Errorf("gw status does not mention %q:\n%s", want, out)
		}
	}
	out, err = g.Command("status", "-c", g.Config, "--json").CombinedOutput()
	if err != nil || !json.Valid(out) {
		t.Errorf("gw status --json: %v: %s", err, out)
	}
}

// stop and quit end the gateway; status then says that none runs.
func TestStopAndQuitCommands(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"stop", "quit"} {
		g, _ := startHello(t, gateway.Options{})
		if out, err := g.Command(verb, "-c", g.Config).CombinedOutput(); err != nil {
			t.Errorf("gw %s: %v: %s", verb, err, out)
		}
		g.Wait(15 * time.Second)
		if out, err := g.Command("status", "-c", g.Config).CombinedOutput(); err == nil {
			t.Errorf("gw status after gw %s ended without an error: %s", verb, out)
		}
	}
}

// Every command explains itself with an example.
func TestHelpTexts(t *testing.T) {
	t.Parallel()
	g := gateway.Prepare(t, gateway.Options{})
	for _, verb := range []string{"run", "test", "reload", "stop", "quit", "version", "status", "sample-upstream"} {
		out, err := g.Command(verb, "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "gw "+verb) {
			t.Errorf("gw %s --help: %v: %s", verb, err, out)
		}
		if !strings.Contains(string(out), "Example") {
			t.Errorf("gw %s --help shows no example", verb)
		}
	}
	if out, err := g.Command("version").CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) == 0 {
		t.Errorf("gw version: %v: %q", err, out)
	}
	if out, err := g.Command("frobnicate").CombinedOutput(); err == nil || !strings.Contains(string(out), "frobnicate") {
		t.Errorf("an unknown command: %v: %s", err, out)
	}
}

// The status, control and metrics servers answer where they are configured.
func TestOperatorPorts(t *testing.T) {
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	g.Put("/routes/7", map[string]any{"uri": "/", "upstream": gateway.Nodes("127.0.0.1:1")})
	g.WaitStatus("/", 502)
	f := func(url string, status int, says string) {
		t.Helper()
		a, err := g.Do("GET", url, nil)
		if err != nil || a.Status != status || !strings.Contains(a.Text(), says) {
			t.Errorf("%s: status %d, error %v, want %q in %.300s", url, a.Status, err, says, a.Body)
		}
	}
	f("http://"+g.StatusAddr+"/status", 200, `"ok"`)
	f("http://"+g.StatusAddr+"/status/ready", 200, "")
	f("http://"+g.ControlAddr+"/v1/routes", 200, `/apisix/routes/7`)
	f("http://"+g.ControlAddr+"/v1/route/7", 200, `"uri"`)
	f("http://"+g.ControlAddr+"/v1/route/8", 404, "not found")
	f("http://"+g.ControlAddr+"/v1/healthcheck", 200, "[")
	f("http://"+g.ControlAddr+"/v1/schema", 200, `"plugins"`)
	f("http://"+g.MetricsAddr+"/apisix/prometheus/metrics", 200, "apisix_")
}
