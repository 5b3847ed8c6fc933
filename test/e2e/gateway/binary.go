package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var build struct {
	once sync.Once
	path string
	dir  string
	err  error
}

// Binary returns the path of the gateway binary under test: the environment's
// GW_BIN, or one built from this tree the first time it is asked for.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		if p := os.Getenv("GW_BIN"); p != "" {
			build.path, build.err = filepath.Abs(p)
			return
		}
		build.dir, build.err = os.MkdirTemp("", "gw-e2e-")
		if build.err != nil {
			return
		}
		build.path = filepath.Join(build.dir, "gw")
		cmd := exec.Command("go", goBuild("-o", build.path, "./cmd/gw")...)
		cmd.Dir = Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("building ./cmd/gw: %v\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatalf("no gateway binary to test: %v", build.err)
	}
	return build.path
}

// goBuild adds the environment's GW_BUILDFLAGS ("-race", say) to a build.
func goBuild(args ...string) []string {
	return append(append([]string{"build"}, strings.Fields(os.Getenv("GW_BUILDFLAGS"))...), args...)
}

// Finish deletes what Binary built and ends the watch over left-over
// processes. TestMain calls it last.
func Finish() {
	if reaperInput != nil {
		reaperInput.Close()
	}
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
}

// Root returns the repository's top directory.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			panic("no go.mod above the working directory")
		}
		dir = up
	}
}

// BinaryWith builds a gateway that links one more package of this module, by
// an overlay: nothing in the product knows of it.
func BinaryWith(t testing.TB, pkg string) string {
	t.Helper()
	dir := t.TempDir()
	extra := filepath.Join(dir, "extra.go")
	if err := os.WriteFile(extra, fmt.Appendf(nil, "package main\n\nimport _ %q\n", pkg), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(Root(), "cmd", "gw", "extra_for_tests.go"): extra,
	}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "gw")
	cmd := exec.Command("go", goBuild("-overlay", list, "-o", bin, "./cmd/gw")...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building a gateway with %s: %v\n%s", pkg, err, out)
	}
	return bin
}
