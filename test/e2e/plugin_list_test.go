package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/etcdserver"
	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// The list of plugins that an admin node pushes through etcd decides which run:
// an object goes on without one that is not enabled, and the Admin API does not
// know it.
func TestPushedPluginList(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	etcd := externalEtcd(t, false)
	c := etcd.Client()
	etcdserver.Put(t, c, "/apisix/routes/1", fmt.Sprintf(`{"uri":"/a","plugins":{"proxy-rewrite":{"uri":"/rewritten"}},"upstream":{"nodes":{%q:1}}}`, b.Addr))
	g := gateway.Start(t, gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}, "timeout": 1}})
	seen := func(want string) {
		t.Helper()
		last := ""
		if !gateway.Poll(10*time.Second, func() bool {
			g.Get("/a")
			last = b.Last(t).Target()
			return last == want
		}) {
			t.Fatalf("the back end sees %s, want %s", last, want)
		}
	}
	seen("/rewritten")
	etcdserver.Put(t, c, "/apisix/plugins", `[{"name":"key-auth"},{"name":"mqtt-proxy","stream":true}]`)
	seen("/a")
	a := g.Admin("PUT", "/routes/2", map[string]any{"uri": "/b", "plugins": map[string]any{"proxy-rewrite": map[string]any{"uri": "/"}}, "upstream": gateway.Nodes(b.Addr)})
	if a.Status != 400 || !strings.Contains(a.Text(), "unknown plugin [proxy-rewrite]") {
		t.Errorf("status %d: %s", a.Status, a.Body)
	}
	if a := g.Admin("GET", "/plugins/list", nil); strings.Contains(a.Text(), "proxy-rewrite") || !strings.Contains(a.Text(), "key-auth") {
		t.Errorf("the Admin API lists %s", a.Body)
	}
	// A list that cannot be read changes nothing.
	etcdserver.Put(t, c, "/apisix/plugins", `"init"`)
	g.WaitLog("the present list of plugins stays", 10*time.Second)
	seen("/a")

	// Without etcd the list that belongs to the last good configuration holds.
	etcdserver.Put(t, c, "/apisix/plugins", `[{"name":"key-auth"}]`)
	g.Stop(10 * time.Second)
	etcd.Stop()
	g.Run()
	g.WaitReady(20 * time.Second)
	seen("/a")
	etcd.Run()
	etcdserver.Delete(t, etcd.Client(), "/apisix/plugins")
	if !gateway.Poll(30*time.Second, func() bool { g.Get("/a"); return b.Last(t).Target() == "/rewritten" }) {
		t.Error("the list is gone and the plugin does not run")
	}
}

// PUT /plugins/reload pushes the list of config.yaml, when there is one.
func TestReloadPushesPluginList(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, false)
	pushed := func() string {
		resp, err := etcd.Client().Get(t.Context(), "/apisix/plugins", clientv3.WithLimit(1))
		if err != nil || len(resp.Kvs) == 0 {
			return ""
		}
		return string(resp.Kvs[0].Value)
	}
	o := gateway.Options{Etcd: map[string]any{"host": []any{etcd.Endpoint}}}
	g := gateway.Start(t, o)
	if a := g.Admin("PUT", "/plugins/reload", nil); a.Status != 200 || pushed() != "" {
		t.Errorf("status %d, pushed %s", a.Status, pushed())
	}
	o.Set = map[string]any{"plugins": []any{"key-auth", "cors"}}
	g.WriteConfig(o)
	if a := g.Admin("PUT", "/plugins/reload", nil); a.Status != 200 {
		t.Errorf("status %d: %s", a.Status, a.Body)
	}
	if got := pushed(); got != `[{"name":"key-auth"},{"name":"cors"}]` {
		t.Errorf("pushed %s", got)
	}
}

// In a file a list of plugins makes items invalid that use others.
func TestPluginListInFile(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("hello"))
	text := fmt.Sprintf(`
plugins:
  - name: key-auth
routes:
  - id: 1
    uri: /a
    plugins: {proxy-rewrite: {uri: /rewritten}}
    upstream: {nodes: {%q: 1}}
  - id: 2
    uri: /b
    upstream: {nodes: {%q: 1}}
`, b.Addr, b.Addr)
	g := gateway.Start(t, gateway.Options{YAML: text})
	g.WaitStatus("/b", 200)
	if a := g.Get("/a"); a.Status != 404 {
		t.Errorf("/a answers %d", a.Status)
	}
	g.WriteYAML(strings.Replace(text, "- name: key-auth", "- name: proxy-rewrite", 1))
	g.WaitStatus("/a", 200)
}
