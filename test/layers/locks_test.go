package layers

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var declaration = regexp.MustCompile(`(?m)^\s*(\w+\s+)?sync\.(RW)?Mutex\b`)

// Every mutex stands in docs/locks.md, with its order.
func TestEveryMutexIsDocumented(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "locks.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, dir := range []string{"cmd", "core", "lb", "plugins"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasSuffix(filepath.Dir(file), "test") {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil || !declaration.Match(text) {
				return err
			}
			seen++
			name, err := filepath.Rel(root, file)
			if err == nil && !bytes.Contains(page, []byte("`"+filepath.ToSlash(name)+"`")) {
				t.Errorf("%s declares a mutex that docs/locks.md does not name", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 10 {
		t.Errorf("only %d files with a mutex were found: the search is broken", seen)
	}
	for _, m := range regexp.MustCompile("`([a-z/_]+\\.go)`").FindAllSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, string(m[1]))); err != nil {
			t.Errorf("docs/locks.md names a file that is not there: %v", err)
		}
	}
}
