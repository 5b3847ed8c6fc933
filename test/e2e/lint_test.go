package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// gw lint looks at the running gateway; the Admin API warns of what concerns
// the object that was written.
func TestLintRunningGateway(t *testing.T) {
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	up := map[string]any{"nodes": map[string]int{"127.0.0.1:1980": 1}, "timeout": map[string]int{"connect": 1, "send": 1, "read": 1}}
	warned := func(path string, body map[string]any, want string) {
		t.Helper()
		a := g.Put(path, body)
		got := a.Header.Get("X-Sluice-Warnings")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("PUT %s: X-Sluice-Warnings is %q, want %q", path, got, want)
		}
	}
	warned("/routes/1", map[string]any{"uri": "/a", "upstream": up}, "")
	if out, code := run(t, g, "lint"); code != 0 || !strings.Contains(out, "0 errors, 0 warnings") {
		t.Errorf("exit code %d: %s", code, out)
	}
	warned("/routes/2", map[string]any{"uri": "/a", "upstream": up}, "shadowed: routes/2")
	warned("/routes/2?dry_run=true", map[string]any{"uri": "/a//b", "upstream": up}, "unreachable: routes/2 uri")
	warned("/routes/2", map[string]any{"uri": "/b", "upstream": up}, "")
	warned("/routes/3", map[string]any{"uri": "/c", "vars": []any{[]any{"nonsense", "==", "1"}}, "upstream": up}, "unknown-variable: routes/3 vars")
	warned("/upstreams/u", map[string]any{"nodes": map[string]int{"a.example:443": 1}, "scheme": "https"}, "verify-off: upstreams/u")

	out, code := run(t, g, "lint", "--json")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	var found []struct{ Rule, Severity, Object string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rules := map[string]string{}
	for _, f := range found {
		rules[f.Rule+" "+f.Object] = f.Severity
	}
	for what, severity := range map[string]string{
		"unknown-variable routes/3": "warning", "verify-off upstreams/u": "warning", "unused upstreams/u": "hint", "no-timeout upstreams/u": "hint",
	} {
		if rules[what] != severity {
			t.Errorf("%s: severity %q, want %s: %v", what, rules[what], severity, rules)
		}
	}
	if _, code := run(t, g, "lint", "--fail-on", "error"); code != 0 {
		t.Errorf("--fail-on error: exit code %d", code)
	}
	if out, code := run(t, g, "lint", "--fail-on", "nonsense"); code != 1 || !strings.Contains(out, "nonsense") {
		t.Errorf("--fail-on nonsense: exit code %d: %s", code, out)
	}
}

// From a file lint needs no gateway, and names lines.
func TestLintFile(t *testing.T) {
	t.Parallel()
	g := gateway.Prepare(t, gateway.Options{YAML: `
routes:
  - id: 1
    uri: /a
    upstream_id: gone
  - id: bad
    uri: /b
    methods: [NONSENSE]
    upstream: {nodes: {"127.0.0.1:1980": 1}}
`})
	file := strings.Replace(g.Config, "config.yaml", "apisix.yaml", 1)
	out, code := run(t, g, "lint", "--file", file)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"dangling", "upstreams/gone does not exist", "(line 3)", "refused", "routes/bad", "2 errors"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if out, code := run(t, g, "lint"); code == 0 || !strings.Contains(out, "--file") {
		t.Errorf("without a gateway: exit code %d: %s", code, out)
	}
}
