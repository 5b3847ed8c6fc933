package admin

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/embedded"
)

// TestOverEtcd runs the main paths over a real etcd, where transactions,
// revisions and leases are not ours.
func TestOverEtcd(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	server, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", NoFsync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	kv, err := store.NewEtcd(store.EtcdConfig{Hosts: server.Endpoints(), Prefix: "/apisix", Timeout: 10 * time.Second, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	b := newBench(t, func(o *Options) {
		o.Store = kv
		o.Checker = Conf{Validator: &conf.Validator{Mode: conf.ModeAdmin}}
	})
	b.run([]step{
		{"GET", "/routes", ``, 200, `{"total":0,"list":[]}`},
		{"PUT", "/upstreams/1", `{"nodes":{"127.0.0.1:1980":1}}`, 201, ``},
		{"PUT", "/upstreams/1", `{"nodes":{"127.0.0.1:1981":1}}`, 200, ``},
		{"PUT", "/routes/1?ttl=600", `{"uri":"/a","upstream_id":"1"}`, 201, ``},
		{"POST", "/routes", `{"uri":"/b","upstream_id":"1"}`, 201, `~"key":"/apisix/routes/000000000000`},
		{"PATCH", "/routes/1", `{"desc":"d"}`, 200, `~"desc":"d"`},
		{"PATCH", "/routes/1/methods", `["GET"]`, 200, `~"methods":["GET"]`},
		{"GET", "/routes", ``, 200, `~"total":2`},
		{"DELETE", "/upstreams/1", ``, 400, `~can not delete this upstream, route [`},
		{"PUT", "/consumers", `{"username":"jack"}`, 201, ``},
		{"PUT", "/consumers/jack/credentials/1", `{"plugins":{"key-auth":{"key":"k"}}}`, 201, ``},
		{"PUT", "/consumers/jack/credentials/2", `{"plugins":{"key-auth":{"key":"k2"}}}`, 201, ``},
		{"GET", "/consumers", ``, 200, `~"total":1`},
		{"GET", "/consumers/jack/credentials", ``, 200, `~"total":2`},
		{"PUT", "/secrets/vault/1", `{"uri":"http://127.0.0.1:8200","prefix":"kv","token":"t"}`, 201, ``},
		{"GET", "/secrets/vault", ``, 200, `~"total":1`},
		{"POST", "/changes", `{"changes":[
			{"path":"/routes/2","value":{"uri":"/c","upstream_id":"2"}},
			{"path":"/upstreams/2","value":{"nodes":{"a:1":1}}},
			{"method":"POST","path":"/services","value":{"upstream_id":"2"}},
			{"method":"DELETE","path":"/consumers/jack"},
			{"method":"DELETE","path":"/routes/1"}]}`, 200, `~"revision":`},
		{"GET", "/routes/1", ``, 404, ``},
		{"GET", "/consumers/jack/credentials", ``, 404, ``},
		{"DELETE", "/routes/2", ``, 200, `{"key":"/apisix/routes/2","deleted":"1"}`},
		{"DELETE", "/routes/2", ``, 404, `{"message":"Key not found"}`},
	})
	r := b.send("GET", base+"/services", "")
	if !containsText(r.text, `"key":"/apisix/services/0`) {
		t.Errorf("the service of the change set: %s", r.text)
	}
}
