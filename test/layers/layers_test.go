// Package layers holds the direction of imports.
package layers

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluicegw/sluice/"

// allowed lists, for each package (or tree, with /...), what it may import of
// this module besides the standard library and dependencies. What is not
// listed is forbidden: the reason stands beside the rule.
var allowed = []struct {
	pkg     string
	imports string // separated by blanks; tree/... covers all below
	why     string
}{
	{"core/h1", "", "the wire format knows nothing of connections or configuration"},
	{"core/loop/...", "core/loop/...", "the event loop is below everything that runs on it"},
	{"core/regex", "", "patterns are compiled for whoever needs them"},
	{"core/state/...", "", "shared tables hold words, not requests"},
	{"core/secure", "core/loop", "TLS sits on a loop's socket"},
	{"core/req", "core/h1 core/loop core/index lb/...", "the few types that both build and the path need"},
	{"core/vars", "core/h1 core/req core/regex", "variables read requests"},
	{"core/expr", "core/regex core/req core/vars core/h1", "expressions read variables"},
	{"core/match", "core/expr core/h1 core/req core/regex core/vars core/index", "matching reads requests, and nothing of configuration"},
	{"core/guard/...", "core/h1 core/req", "guard comes before matching and may not know routes"},
	{"core/index", "", "a data structure"},
	{"core/chain", "core/h1 core/index core/req core/state", "the plugin engine knows requests, not what runs them"},
	{"core/relay", "core/h1 core/loop core/req core/secure lb/...", "the relay may not look back at client connections"},
	{"core/listen/...", "core/guard core/h1 core/loop core/relay core/req core/secure core/listen/... core/match core/chain", "stage n never imports stage n-1"},
	{"core/conf/...", "core/conf/...", "what the user writes is independent of what runs"},
	{"core/atrest", "core/conf", "encryption of stored fields"},
	{"core/store/...", "core/conf core/store/...", "stores hold objects and do not judge them"},
	{"core/admin/...", "core/admin/... core/atrest core/conf/... core/store/...", "the APIs write to the store, never to the data path"},
	{"core/build/...", "core/build/... core/chain core/conf/... core/expr core/h1 core/match core/req core/vars core/state core/index core/meter core/secure lb/...", "build alone turns configuration into what runs"},
	{"core/lint", "core/conf/... core/expr core/h1 core/match core/regex core/req core/vars", "judges what is written; the data path knows nothing of it"},
	{"core/explain", "core/build core/guard core/h1 core/match core/req lb/...", "looks at what build made; nothing on the path knows it"},
	{"core/meter/...", "core/meter/... core/loop core/req core/vars lb/node", "an engine that plugins use"},
	{"core/logs/...", "core/logs/... core/loop core/req core/vars core/expr core/state core/h1", "an engine that plugins use"},
	{"core/cache/...", "core/cache/... core/req core/h1", "an engine that plugins use"},
	{"core/proc/...", "core/proc/... core/conf/... core/store/...", "processes and their protocol; what they run is injected"},
	{"lb/...", "lb/... core/state", "balancing is usable without the gateway"},
	{"plugins/all", "plugins/...", "the one list"},
	{"plugins/multiauth", "core/chain core/conf/... core/req core/h1", "it checks the configurations of the methods it holds"},
	{"plugins/requestvalidation", "core/chain core/conf/schema core/req core/h1", "it checks requests by the schemas that configuration is checked by"},
	{"plugins/batchrequests", "core/chain core/conf/schema core/req core/h1 plugins/internal/...", "it checks the batch by a schema"},
	{"plugins/...", "core/chain core/req core/vars core/expr core/regex core/h1 core/loop core/state core/meter/... core/logs/... core/cache/... plugins/internal/...", "plugins see the engines and nothing else of the gateway, above all not each other"},
	{"cmd/...", "...", "wiring: the only place that knows everyone"},
	{"bench/...", "...", "measures from outside and from inside"},
	{"test/...", "...", "tests"},
	{"sysctl/...", "sysctl/...", "the host's settings"},
}

func TestImportsFlowOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "testdata" || name == "data") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(rel))
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen++
		for _, im := range f.Imports {
			target, ours := strings.CutPrefix(strings.Trim(im.Path.Value, `"`), module)
			if ours {
				check(t, file, pkg, target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d files were looked at: the walk is broken", seen)
	}
}

func check(t *testing.T, file, pkg, target string) {
	t.Helper()
	for _, rule := range allowed {
		if !covers(rule.pkg, pkg) {
			continue
		}
		if !slices.ContainsFunc(strings.Fields(rule.imports), func(p string) bool { return covers(p, target) }) {
			t.Errorf("%s: %s may not import %s: %s", file, pkg, target, rule.why)
		}
		return
	}
	t.Errorf("%s: package %s stands in no rule: add one with its reason", file, pkg)
}

// covers tells whether a pattern, a package or a tree ending in /..., has pkg.
func covers(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return pattern == pkg || isTree && (pkg == tree || strings.HasPrefix(pkg, tree+"/"))
}

func TestCovers(t *testing.T) {
	f := func(pattern, pkg string, want bool) {
		if got := covers(pattern, pkg); got != want {
			t.Errorf("covers(%q, %q) = %v", pattern, pkg, got)
		}
	}
	f("core/h1", "core/h1", true)
	f("core/h1", "core/h1/x", false)
	f("lb/...", "lb/pick", true)
	f("lb/...", "lb", true)
	f("lb/...", "lbx", false)
	f("...", "anything", true)
}
