package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// Reference and duplicate checks see what was written a moment before, by
// whomever, broken objects included.
func TestReferencesSeeTheNewestWrites(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, false)
	c := etcd.Client()
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}}})
	refused := func(path, why string) {
		t.Helper()
		if a := g.Admin("DELETE", path, nil); a.Status != 400 || !strings.Contains(a.Text(), why) {
			t.Errorf("DELETE %s: status %d, want 400 with %q: %s", path, a.Status, why, a.Body)
		}
	}
	deleted := func(path string) {
		t.Helper()
		if a := g.Admin("DELETE", path, nil); a.Status != 200 {
			t.Errorf("DELETE %s: status %d: %s", path, a.Status, a.Body)
		}
	}
	g.Put("/upstreams/u", gateway.Nodes("127.0.0.1:1"))
	for i := range 20 {
		key := fmt.Sprintf("/apisix/routes/%d", i)
		etcdserver.Put(t, c, key, `{"uri":"/x","upstream_id":"u"}`)
		etcdserver.Put(t, c, "/elsewhere", "x") // a shared etcd has other users
		refused("/upstreams/u", fmt.Sprintf("route [%d] is still using it", i))
		etcdserver.Delete(t, c, key)
	}
	etcdserver.Put(t, c, "/apisix/routes/broken", `{"uri":"/x","upstream_id":"u","nonsense":1}`)
	refused("/upstreams/u", "route [broken] is still using it")
	etcdserver.Delete(t, c, "/apisix/routes/broken")
	deleted("/upstreams/u")

	key := map[string]any{"key-auth": map[string]any{"key": "k"}}
	g.Put("/consumers/jack", map[string]any{"username": "jack", "plugins": key})
	a := g.Admin("PUT", "/consumers/joe", map[string]any{"username": "joe", "plugins": key})
	if a.Status != 400 || !strings.Contains(a.Text(), "duplicate key found with consumer: jack") {
		t.Errorf("status %d: %s", a.Status, a.Body)
	}
	g.Put("/consumers/jack", map[string]any{"username": "jack", "plugins": key})
	deleted("/consumers/jack")
	g.Put("/consumers/joe", map[string]any{"username": "joe", "plugins": key})
}
