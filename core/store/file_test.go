package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const twoRoutes = "routes:\n  - id: a\n    uri: /a\n  - id: b\n    uri: /b\n#END\n"

func TestFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	write(t, path, twoRoutes)
	var log logBuffer
	f := store.NewFile(store.FileConfig{Path: path, Log: log.logger()})
	b := follow(t, f)
	first := b.next()
	if !first.Full || len(first.Objects) != 2 || first.Rev == 0 {
		t.Fatalf("%+v", first)
	}
	a := b.state["routes/a"]

	write(t, path, strings.Replace(twoRoutes, "uri: /b", "uri: /c", 1))
	second := b.next()
	if o := b.state["routes/a"]; o.Rev != a.Rev {
		t.Fatalf("an unchanged object got revision %d instead of %d", o.Rev, a.Rev)
	}
	if o := b.state["routes/b"]; o.Rev <= a.Rev || o.CreateRev != a.CreateRev || !strings.Contains(string(o.Value), "/c") {
		t.Fatalf("%+v", o)
	}
	if second.Rev <= first.Rev {
		t.Fatalf("revision %d after %d", second.Rev, first.Rev)
	}

	// Half a file, and one with a mistake, change nothing and are named.
	write(t, path, "routes:\n")
	eventually(t, "the note about the missing end", func() bool { return strings.Contains(f.Status().LastError, "#END") })
	write(t, path, "routes:\n  - id: a\n  bad\n#END")
	eventually(t, "the note about the syntax", func() bool { return strings.Contains(f.Status().LastError, "line 3") })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the note about the missing file", func() bool { return strings.Contains(f.Status().LastError, "no such file") })
	if len(b.ch) != 0 {
		t.Fatalf("handed on: %+v", <-b.ch)
	}

	// An editor that replaces the file.
	tmp := path + ".tmp"
	write(t, tmp, "routes:\n  - id: a\n    uri: /a\n  - id: a\n#END")
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
	b.next()
	if len(b.state) != 1 || b.state["routes/a"].Rev != a.Rev {
		t.Fatalf("%v", b.state)
	}
	eventually(t, "the end of the fault", func() bool { s := f.Status(); return s.LastError == "" && s.Reachable && s.Keys == 1 })
	if !strings.Contains(log.String(), "routes[1] (id a): the id is taken") {
		t.Fatalf("the item left out is not named:\n%s", log.String())
	}
}

func TestFileSeenByPollingAlone(t *testing.T) {
	// A link into another directory: its changes make no event in ours.
	real := filepath.Join(t.TempDir(), "real.json")
	write(t, real, `{"routes":[{"id":"a"}]}`)
	path := filepath.Join(t.TempDir(), "apisix.json")
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	f := store.NewFile(store.FileConfig{Path: path, Log: quiet(), PollEvery: 10 * time.Millisecond})
	b := follow(t, f)
	b.next()
	write(t, real, `{"routes":[{"id":"a"},{"id":"b"}]}`)
	b.next()
	if len(b.state) != 2 || f.Status().Provider != "json" {
		t.Fatalf("%v", b.state)
	}
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(real, now, now); err != nil {
		t.Fatal(err)
	}
	write(t, real, `{"routes":[]}`)
	b.next() // the touch alone made no batch
	if len(b.state) != 0 {
		t.Fatalf("%v", b.state)
	}
}

func TestFileKeepsRevisionsOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	write(t, path, twoRoutes)
	b := follow(t, store.NewFile(store.FileConfig{Path: path, Log: quiet()}))
	first := b.next()
	b.stop()
	f := store.NewFile(store.FileConfig{Path: path, Log: quiet(), Previous: first})
	b = follow(t, f)
	again := b.next()
	if again.Rev != first.Rev || again.Objects[0].Rev != first.Objects[0].Rev {
		t.Fatalf("%+v\n%+v", first, again)
	}
	write(t, path, strings.Replace(twoRoutes, "/b", "/c", 1))
	if next := b.next(); next.Rev <= first.Rev || b.state["routes/a"].Rev != first.Objects[0].Rev {
		t.Fatalf("%+v", next)
	}
}

func TestFileWithEnvironmentAndProfile(t *testing.T) {
	if got := store.ProfilePath("conf/apisix.yaml", "dev"); got != "conf/apisix-dev.yaml" {
		t.Fatal(got)
	}
	if got := store.ProfilePath("conf/apisix.yaml", ""); got != "conf/apisix.yaml" {
		t.Fatal(got)
	}
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	write(t, path, "routes:\n  - id: a\n    uri: ${{URI}}\n#END")
	t.Setenv("URI", "/from-env")
	d, err := store.ReadDocument(path, os.LookupEnv)
	if err != nil || len(d.Items) != 1 || string(d.Items[0].Value) != `{"id":"a","uri":"/from-env"}` || d.Items[0].Kind != conf.KindRoute {
		t.Fatalf("%+v %v", d, err)
	}
	_, err = store.ReadDocument(path, func(string) (string, bool) { return "", false })
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 3") || !strings.Contains(err.Error(), "URI") {
		t.Fatal(err)
	}
}
