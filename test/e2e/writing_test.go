package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// docs/writing-a-plugin.md as its reader follows it: the module, the build, the
// route.
func TestWritingAPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("links a gateway")
	}
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(gateway.Root(), "docs", "writing-a-plugin.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(lang string) string {
		m := regexp.MustCompile("(?s)```" + regexp.QuoteMeta(lang) + "\n(.*?)```").FindSubmatch(page)
		if m == nil {
			t.Fatalf("the page has no block of %s", lang)
		}
		return string(m[1])
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", block("go.mod"))
	write("hello.go", block("go"))
	bin := filepath.Join(t.TempDir(), "gw")
	cmd := exec.Command(gateway.Binary(t), "build", "--with", "example.com/gw-hello="+dir, "--source", gateway.Root(), "-o", bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gw build: %v\n%s", err, out)
	}
	b := backend.Start(t, backend.OK("from the back end"))
	g := gateway.Start(t, gateway.Options{Bin: bin})
	g.Put("/routes/1", strings.ReplaceAll(block("json"), "127.0.0.1:1980", b.Addr))
	g.WaitStatus("/other", 200)
	if r := g.Get("/hello"); string(r.Body) != "hello, world\n" || r.Header.Get("X-Hello") != "world" {
		t.Errorf("/hello: %d %q, X-Hello %q", r.Status, r.Body, r.Header.Get("X-Hello"))
	}
	if r := g.Get("/other"); string(r.Body) != "from the back end" || r.Header.Get("X-Hello") != "world" {
		t.Errorf("/other: %d %q, X-Hello %q", r.Status, r.Body, r.Header.Get("X-Hello"))
	}
}
