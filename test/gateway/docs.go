package gateway

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/pages"
)

// RunPage runs the examples of a documentation page on a gateway of its own
// (see pages.Run). In objects the node 127.0.0.1:1980 is an upstream that
// answers with what it saw (see Seen), so that a page can show what reaches the
// upstream.
func RunPage(t *testing.T, path string) {
	t.Helper()
	g, upstream := Start(t, Options{}), Upstream(t)
	pages.Run(t, path, pages.Site{Do: g.Do, Admin: func(method, path, body string) {
		t.Helper()
		kind, id := resource(t, path)
		if method == "DELETE" {
			g.Delete(kind, id)
			return
		}
		g.Put(kind, id, strings.ReplaceAll(body, "127.0.0.1:1980", upstream))
	}})
}

// resource splits an Admin API path.
func resource(t *testing.T, path string) (kind conf.Kind, id string) {
	t.Helper()
	dir, id, _ := strings.Cut(path, "/")
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if k.Dir() == dir {
			kind = k
		}
	}
	switch {
	case kind == conf.KindConsumer && strings.Contains(id, "/credentials/"):
		return conf.KindCredential, id
	case kind == conf.KindNone:
		t.Fatalf("%s: no such resource", path)
	}
	return kind, id
}
