package admin

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/conf/schema"
)

// TestWithTheRealChecks sends what operators send, through the real schemas.
func TestWithTheRealChecks(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Checker = Conf{Validator: &conf.Validator{Mode: conf.ModeAdmin}} })
	b.run([]step{
		{"PUT", "/upstreams/1", `{"type":"roundrobin","nodes":{"127.0.0.1:1980":1}}`, 201,
			`{"key":"/apisix/upstreams/1","value":{"id":"1","type":"roundrobin","nodes":{"127.0.0.1:1980":1},` + times + `}}`},
		{"PUT", "/routes/1", `{"uri":"/hello","upstream_id":1}`, 201,
			`{"key":"/apisix/routes/1","value":{"id":"1","uri":"/hello","upstream_id":1,` + times + `}}`},
		{"PUT", "/routes/2", `{"uri":"/hello"}`, 400, `~{"error_msg":"invalid configuration: `},
		{"PUT", "/routes/2", `{"uri":7,"upstream_id":"1"}`, 400, `~property \"uri\" validation failed: wrong type: expected string, got number`},
		{"PUT", "/routes/2", `{"uri":"/a","upstream_id":"1","nonsense":1}`, 400, `~additional properties forbidden, found nonsense`},
		{"PUT", "/routes/a%20b", `{"uri":"/a","upstream_id":"1"}`, 400, `~invalid configuration: property \"id\" validation failed`},
		{"PUT", "/routes/2", `{"uri":"/a","upstream_id":"1","plugins":{"limit-count":{"count":2}}}`, 400, `~failed to check the configuration of plugin limit-count err: `},
		{"PUT", "/routes/2", `{"uri":"/a","upstream_id":"1","plugins":{"nix":{}}}`, 400, `{"error_msg":"unknown plugin [nix]"}`},
		{"PUT", "/routes/2", `{"uri":"/a","upstream_id":"1","filter_func":"function(vars) return true end"}`, 400, `~\"vars\"`},
		{"PATCH", "/upstreams/1", `{"nodes":{"127.0.0.1:1980":null,"127.0.0.1:1981":1}}`, 200, `~"nodes":{"127.0.0.1:1981":1}`},
		{"PATCH", "/upstreams/1/nodes", `{"127.0.0.1:1982":-1}`, 400, `~invalid configuration`},
		{"PATCH", "/routes/1/plugins", `{"proxy-rewrite":{"uri":"/x"}}`, 200, `~"plugins":{"proxy-rewrite":{"uri":"/x"}}`},
		{"PATCH", "/routes/1", `{"plugins":{}}`, 200, `~"plugins":{}`},
		{"POST", "/services", `{"upstream_id":"1","plugins":{"limit-count":{"count":2,"time_window":60,"key":"remote_addr"}}}`, 201, ``},
		{"PUT", "/consumers", `{"username":"jack","plugins":{"key-auth":{"key":"auth-one"}}}`, 201, ``},
		{"PUT", "/consumers/jack/credentials/c1", `{"plugins":{"basic-auth":{"username":"u","password":"p"}}}`, 201, ``},
		{"PUT", "/consumers/jack/credentials/c2", `{"plugins":{"limit-count":{"count":1,"time_window":1}}}`, 400, `~auth`},
		{"PUT", "/global_rules/1", `{"plugins":{"prometheus":{}}}`, 201, ``},
		{"PUT", "/plugin_configs/1", `{"plugins":{"cors":{}}}`, 201, ``},
		{"PUT", "/consumer_groups/1", `{"plugins":{"limit-count":{"count":1,"time_window":1}}}`, 201, ``},
		{"PUT", "/plugin_metadata/http-logger", `{"log_format":{"host":"$host"}}`, 201, ``},
		{"PUT", "/plugin_metadata/nix", `{}`, 400, `{"error_msg":"invalid plugin name"}`},
		{"PUT", "/protos/1", `{"content":"syntax = \"proto3\"; package a; message M {}"}`, 201, ``},
		{"PUT", "/stream_routes/1", `{"server_port":9100,"upstream_id":"1"}`, 201, ``},
		{"PUT", "/secrets/vault/1", `{"uri":"http://127.0.0.1:8200","prefix":"kv/apisix","token":"t"}`, 201, ``},
		{"PATCH", "/secrets/vault/1", `{"token":"u"}`, 200, `~"token":"u"`},
		{"PUT", "/secrets/vault/1", `{"prefix":"kv"}`, 400, `~invalid configuration`},
		{"PUT", "/ssls/1", `{"sni":"a.com","cert":"x","key":"y"}`, 400, ``},
		{"POST", "/schema/validate/routes", `{"uri":"/a","upstream_id":"nowhere"}`, 200, ``},
		{"POST", "/schema/validate/routes", `{"uri":1}`, 400, `~error_msg`},
		{"GET", "/schema/route", ``, 200, `~"uri"`},
		{"GET", "/plugins/list", ``, 200, `~"limit-count"`},
		{"GET", "/plugins/key-auth?schema_type=consumer", ``, 200, `~"key"`},
		{"POST", "/configs/validate", `{"routes":[{"id":"1","uri":"/a","upstream":{"type":"roundrobin","nodes":{"a:1":1}},"modifiedIndex":3}],"consumers":[{"username":"c"},{"id":"c/credentials/k","plugins":{"key-auth":{"key":"k"}}}],"secrets":[{"id":"vault/1","uri":"http://v","prefix":"p","token":"t"}],"plugin_metadata":[{"id":"http-logger","log_format":{}}]}`, 200, `{}`},
	})
	r := b.send("GET", base+"/plugins/list", "")
	if !strings.HasPrefix(r.text, `["real-ip",`) {
		t.Errorf("plugins do not begin with the highest priority: %.60s", r.text)
	}
	r = b.send("PUT", base+"/routes/3?dry_run=true", `{"uri":"/a?b=1","upstream_id":"1"}`)
	if !strings.Contains(r.header.Get("X-Sluice-Warnings"), "query") {
		t.Errorf("warnings: %q, body %s", r.header.Get("X-Sluice-Warnings"), r.text)
	}
}

// ownSet has one plugin of the catalogue and one of our own.
type ownSet struct{ own *schema.Plugin }

func (s ownSet) Known(name string) bool        { return name == "limit-count" || name == "ours" }
func (s ownSet) KnownStream(string) bool       { return false }
func (s ownSet) Disabled(string, bool) bool    { return false }
func (s ownSet) OwnPlugins(Subsystem) []string { return []string{"ours"} }

func (s ownSet) Schemas(name string) *schema.Plugin {
	if name == "ours" {
		return s.own
	}
	return nil
}

func TestOnlyEnabledPluginsAreOffered(t *testing.T) {
	own, err := conf.Catalogue().ParsePlugin("ours", []byte(`{"priority":5000,"schema":{"type":"object","properties":{"a":{"type":"string"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *Options) {
		o.Checker = Conf{Validator: &conf.Validator{Mode: conf.ModeAdmin, Plugins: ownSet{own}}}
	})
	b.run([]step{
		{"GET", "/plugins/list", ``, 200, `["ours","limit-count"]`},
		{"GET", "/plugins/list?subsystem=stream", ``, 200, `[]`},
		{"GET", "/plugins/ours", ``, 200, `~"a":{"type":"string"}`},
		{"GET", "/plugins/key-auth", ``, 404, `{"error_msg":"plugin not found in subsystem http"}`},
		{"PUT", "/global_rules/1", `{"plugins":{"ours":{"a":"x"}}}`, 201, ``},
		{"PUT", "/global_rules/1", `{"plugins":{"ours":{"a":1}}}`, 400, `~failed to check the configuration of plugin ours err: `},
		{"PUT", "/global_rules/1", `{"plugins":{"key-auth":{}}}`, 400, `~unknown plugin [key-auth]`},
	})
}
