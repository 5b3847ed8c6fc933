package admin

import (
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func TestReferencesMustExist(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/routes/1", `{"uri":"/a","upstream_id":"9"}`, 400,
			`{"error_msg":"failed to fetch upstream info by upstream id [9], response code: 404"}`},
		{"PUT", "/routes/1", `{"uri":"/a","service_id":9}`, 400,
			`{"error_msg":"failed to fetch service info by service id [9], response code: 404"}`},
		{"PUT", "/routes/1", `{"uri":"/a","plugin_config_id":"9"}`, 400,
			`{"error_msg":"failed to fetch plugin config info by plugin config id [9], response code: 404"}`},
		{"PUT", "/services/1", `{"upstream_id":"9"}`, 400,
			`{"error_msg":"failed to fetch upstream info by upstream id [9], response code: 404"}`},
		{"PUT", "/consumers/c", `{"username":"c","group_id":"9"}`, 400,
			`{"error_msg":"failed to fetch consumer group info by consumer group id [9], response code: 404"}`},
		{"PUT", "/upstreams/1", `{"tls":{"client_cert_id":9}}`, 400,
			`{"error_msg":"failed to fetch ssl info by ssl id [9], response code: 404"}`},
		{"PUT", "/routes/1", `{"uri":"/a","upstream":{"tls":{"client_cert_id":"9"}}}`, 400,
			`{"error_msg":"failed to fetch ssl info by ssl id [9], response code: 404"}`},
		{"PUT", "/ssls/s", `{"cert":"c","key":"---k"}`, 201, ``},
		{"PUT", "/ssls/c", `{"type":"client","cert":"c","key":"---k"}`, 201, ``},
		{"PUT", "/upstreams/1", `{"tls":{"client_cert_id":"s"}}`, 400,
			`{"error_msg":"failed to fetch ssl info by ssl id [s], wrong ssl type"}`},
		{"PUT", "/upstreams/1", `{"tls":{"client_cert_id":"c"}}`, 201, ``},
		{"PUT", "/stream_routes/1", `{"upstream_id":"9"}`, 400, `~upstream id [9], response code: 404`},
		{"PUT", "/stream_routes/1", `{"protocol":{"name":"redis","superior_id":"9"}}`, 400,
			`{"error_msg":"failed to fetch stream routes[9], response code: 404"}`},
		{"PUT", "/stream_routes/1", `{"protocol":{"name":"redis","superior_id":"1"}}`, 400,
			`{"error_msg":"stream route can not set itself as superior_id"}`},
		{"PUT", "/stream_routes/2", `{"protocol":{"name":"dubbo"}}`, 201, ``},
		{"PUT", "/stream_routes/1", `{"protocol":{"name":"redis","superior_id":"2"}}`, 400,
			`{"error_msg":"protocol mismatch: subordinate protocol [redis] does not match superior protocol [dubbo]"}`},
		{"PUT", "/services/1", `{"upstream_id":1}`, 201, ``},
		{"PUT", "/plugin_configs/1", `{"plugins":{}}`, 201, ``},
		{"PUT", "/routes/1", `{"uri":"/a","upstream_id":"1","service_id":"1","plugin_config_id":"1"}`, 201, ``},
		{"PATCH", "/routes/1", `{"service_id":"2"}`, 400, `~service id [2], response code: 404`},
	})
}

func TestReferenceDeletedMeanwhile(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{{"PUT", "/upstreams/1", `{}`, 201, ``}})
	b.store.beforeTxn = func() {
		if _, err := b.store.Delete(t.Context(), conf.KindUpstream, "1"); err != nil {
			t.Error(err)
		}
	}
	b.run([]step{
		{"PUT", "/routes/1", `{"uri":"/a","upstream_id":"1"}`, 400, `~upstream id [1], response code: 404`},
		{"GET", "/routes/1", ``, 404, ``},
	})
}

func TestDeleteProtection(t *testing.T) {
	const split = `{"traffic-split":{"rules":[{"weighted_upstreams":[{"weight":1},{"upstream_id":"u","weight":1}]}]}}`
	f := func(userPath, user, usedPath, message string) {
		t.Helper()
		b := newBench(t, nil)
		b.run([]step{
			{"PUT", "/upstreams/u", `{}`, 201, ``},
			{"PUT", "/services/s", `{}`, 201, ``},
			{"PUT", "/plugin_configs/p", `{"plugins":{}}`, 201, ``},
			{"PUT", "/consumer_groups/g", `{"plugins":{}}`, 201, ``},
			{"PUT", "/protos/t", `{"content":"x"}`, 201, ``},
			{"PUT", "/stream_routes/b", `{"protocol":{"name":"x"}}`, 201, ``},
			{"PUT", userPath, user, 201, ``},
			{"DELETE", usedPath, "", 400, `{"error_msg":"` + message + `"}`},
			{"DELETE", usedPath + "?force=yes", "", 400, ``},
			{"DELETE", usedPath + "?force=true", "", 200, ``},
		})
	}
	const using = " is still using it now"
	f("/routes/1", `{"uri":"/","upstream_id":"u"}`, "/upstreams/u", "can not delete this upstream, route [1]"+using)
	f("/services/1", `{"upstream_id":"u"}`, "/upstreams/u", "can not delete this upstream, service [1]"+using)
	f("/routes/1", `{"uri":"/","plugins":`+split+`}`, "/upstreams/u", "can not delete this upstream, plugin in route [1]"+using)
	f("/services/1", `{"plugins":`+split+`}`, "/upstreams/u", "can not delete this upstream, plugin in service [1]"+using)
	f("/plugin_configs/1", `{"plugins":`+split+`}`, "/upstreams/u", "can not delete this upstream, plugin in plugin_config [1]"+using)
	f("/consumers/c", `{"username":"c","plugins":`+split+`}`, "/upstreams/u", "can not delete this upstream, plugin in consumer [c]"+using)
	f("/consumer_groups/1", `{"plugins":`+split+`}`, "/upstreams/u", "can not delete this upstream, plugin in consumer_group [1]"+using)
	f("/global_rules/1", `{"plugins":`+split+`}`, "/upstreams/u", "can not delete this upstream, plugin in global_rules [1]"+using)
	f("/routes/1", `{"uri":"/","service_id":"s"}`, "/services/s", "can not delete this service directly, route [1]"+using)
	f("/stream_routes/1", `{"service_id":"s"}`, "/services/s", "can not delete this service directly, stream_route [1]"+using)
	f("/routes/1", `{"uri":"/","plugin_config_id":"p"}`, "/plugin_configs/p", "can not delete this plugin config, route [1]"+using)
	f("/consumers/c", `{"username":"c","group_id":"g"}`, "/consumer_groups/g", "can not delete this consumer group, consumer [c]"+using)
	f("/routes/1", `{"uri":"/","plugins":{"grpc-transcode":{"proto_id":"t"}}}`, "/protos/t", "can not delete this proto, route [1]"+using)
	f("/services/1", `{"plugins":{"grpc-transcode":{"proto_id":"t"}}}`, "/protos/t", "can not delete this proto, service [1]"+using)
	f("/stream_routes/1", `{"protocol":{"name":"x","superior_id":"b"}}`, "/stream_routes/b",
		"can not delete this stream route directly, stream route [1] is still using it as superior_id")
}

func TestGlobalRulesDoNotShareAPlugin(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/global_rules/1", `{"plugins":{"limit-count":{}}}`, 201, `~"id":"1"`},
		{"PUT", "/global_rules/1", `{"plugins":{"limit-count":{},"key-auth":{}}}`, 200, ``},
		{"PUT", "/global_rules/2", `{"plugins":{"limit-count":{}}}`, 400,
			`{"error_msg":"plugin 'limit-count' already exists in global rule with id '1'"}`},
		{"PUT", "/global_rules/2", `{"plugins":{"jwt-auth":{}}}`, 201, ``},
		{"PATCH", "/global_rules/2", `{"plugins":{"key-auth":{}}}`, 400, `~already exists in global rule with id '1'`},
		{"PUT", "/global_rules/3", `{}`, 400, `{"error_msg":"invalid configuration: property \"plugins\" is required"}`},
	})
}

// Trap 10 of the contract: consumers and credentials share a prefix.
func TestConsumersAndCredentials(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/consumers", `{"username":"jack"}`, 201,
			`{"key":"/apisix/consumers/jack","value":{"username":"jack",` + times + `}}`},
		{"PUT", "/consumers/jack", `{"username":"jack","desc":"d"}`, 200, ``},
		{"PUT", "/consumers/jack", `{"username":"jill"}`, 400, `{"error_msg":"wrong username"}`},
		{"PUT", "/consumers/jack", `{}`, 400, `{"error_msg":"invalid configuration: property \"username\" is required"}`},
		{"GET", "/consumers/jack/credentials", "", 404, `{"message":"Key not found"}`},
		{"PUT", "/consumers/jack/credentials/k1", `{"plugins":{"key-auth":{"key":"s1"}}}`, 201,
			`{"key":"/apisix/consumers/jack/credentials/k1","value":{"id":"k1","plugins":{"key-auth":{"key":"s1"}},` + times + `}}`},
		{"PUT", "/consumers/jack/credentials", `{"plugins":{}}`, 400, `{"error_msg":"missing credential id"}`},
		{"PUT", "/consumers/jack/credentials/k1", `{"id":"k2","plugins":{}}`, 400, `{"error_msg":"wrong credential id"}`},
		{"PUT", "/consumers/nobody/credentials/k1", `{"plugins":{}}`, 404, `{"error_msg":"consumer not found"}`},
		{"GET", "/consumers/jack/credentials/k1", "", 200, `~"key":"/apisix/consumers/jack/credentials/k1"`},
		{"GET", "/consumers/jack/credentials", "", 200, `~"total":1`},
		{"GET", "/consumers", "", 200, `~"total":1`},
		{"GET", "/consumers", "", 200, `~"key":"/apisix/consumers/jack"`},
		{"DELETE", "/consumers/jack/credentials", "", 400, `{"error_msg":"missing credential id"}`},
		{"DELETE", "/consumers", "", 400, `{"error_msg":"missing consumer id"}`},
		{"DELETE", "/consumers/jack", "", 200, `{"key":"/apisix/consumers/jack","deleted":"1"}`},
		{"GET", "/consumers/jack/credentials/k1", "", 404, ``},
	})
	last := b.journal[len(b.journal)-2:]
	if last[0].ID != "jack/credentials/k1" || last[0].Action != "delete" || last[1].ID != "jack" {
		t.Errorf("the journal of a consumer's removal: %v", last)
	}
}

func TestDuplicateKeys(t *testing.T) {
	b := newBench(t, nil)
	const jack = `{"error_msg":"duplicate key found with consumer: jack"}`
	b.run([]step{
		{"PUT", "/consumers/jack", `{"username":"jack","plugins":{"key-auth":{"key":"k"},"basic-auth":{"username":"u","password":"p"}}}`, 201, ``},
		{"PUT", "/consumers/jack", `{"username":"jack","plugins":{"key-auth":{"key":"k"},"basic-auth":{"username":"u","password":"p"}}}`, 200, ``},
		{"PUT", "/consumers/jill", `{"username":"jill","plugins":{"key-auth":{"key":"k"}}}`, 400, jack},
		{"PUT", "/consumers/jill", `{"username":"jill","plugins":{"basic-auth":{"username":"u"}}}`, 400, jack},
		{"PUT", "/consumers/jill", `{"username":"jill","plugins":{"jwt-auth":{"key":"k"}}}`, 201, ``},
		{"PUT", "/consumers/jill/credentials/1", `{"plugins":{"key-auth":{"key":"k"}}}`, 400, jack},
		{"PUT", "/consumers/jack/credentials/1", `{"plugins":{"key-auth":{"key":"k"}}}`, 400, jack},
		{"PUT", "/consumers/jack/credentials/1", `{"plugins":{"key-auth":{"key":"c"}}}`, 201, ``},
		{"PUT", "/consumers/jack/credentials/1", `{"plugins":{"key-auth":{"key":"c"}}}`, 200, ``},
		{"PUT", "/consumers/jack/credentials/2", `{"plugins":{"key-auth":{"key":"c"}}}`, 400, jack},
		{"PUT", "/consumers/jill", `{"username":"jill","plugins":{"key-auth":{"key":"c"}}}`, 400, jack},
		{"PUT", "/consumers/jill", `{"username":"jill","plugins":{"key-auth":{"key":"$env://KEY"}}}`, 200, ``},
		{"PUT", "/consumers/joan", `{"username":"joan","plugins":{"key-auth":{"key":"$env://KEY"}}}`, 201, ``},
	})
}

func TestPluginMetadata(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/plugin_metadata/http-logger", `{"log_format":{}}`, 201,
			`{"key":"/apisix/plugin_metadata/http-logger","value":{"id":"http-logger","log_format":{}}}`},
		{"PUT", "/plugin_metadata/nix", `{}`, 400, `{"error_msg":"invalid plugin name"}`},
		{"PUT", "/plugin_metadata", `{}`, 400, `{"error_msg":"missing plugin name"}`},
		{"GET", "/plugin_metadata/http-logger", ``, 200, ``},
		{"GET", "/plugin_metadata", ``, 200, `~"total":1`},
		{"DELETE", "/plugin_metadata/http-logger", ``, 200, ``},
	})
}

func TestSecrets(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/secrets/vault/1", `{"uri":"http://v","prefix":"p","token":"t"}`, 201,
			`{"key":"/apisix/secrets/vault/1","value":{"id":"vault/1","uri":"http://v","prefix":"p","token":"t",` + times + `}}`},
		{"PUT", "/secrets/aws/1", `{"id":"aws/1"}`, 201, ``},
		{"PUT", "/secrets/aws/1", `{"id":"vault/1"}`, 400, `{"error_msg":"wrong secret id"}`},
		{"PUT", "/secrets/foo/1", `{}`, 400, `{"error_msg":"invalid secret manager: foo"}`},
		{"PUT", "/secrets/vault", `{}`, 400, `{"error_msg":"missing secret id"}`},
		{"PUT", "/secrets", `{}`, 400, `{"error_msg":"missing secret type"}`},
		{"PATCH", "/secrets/vault/1", `{"token":"x"}`, 200, `~"token":"x"`},
		{"PATCH", "/secrets/vault/1/token", `"y"`, 200, `~"token":"y"`},
		{"PATCH", "/secrets/vault", `{}`, 400, `{"error_msg":"no secret id"}`},
		{"GET", "/secrets/vault/1", ``, 200, `~"id":"vault/1"`},
		{"GET", "/secrets", ``, 200, `~"total":2`},
		{"GET", "/secrets/vault", ``, 200, `~"total":1`},
		{"DELETE", "/secrets/vault/1", ``, 200, `{"key":"/apisix/secrets/vault/1","deleted":"1"}`},
	})
}

func TestStreamRoutesNeedStreamMode(t *testing.T) {
	b := newBench(t, func(o *Options) { o.StreamEnabled = false })
	for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
		b.run([]step{{method, "/stream_routes/1", ``, 400, `{"error_msg":"stream mode is disabled, can not add stream routes"}`}})
	}
}

func TestSSLNeverShowsKeys(t *testing.T) {
	b := newBench(t, nil)
	const body = `{"sni":"a.com","cert":"C","key":"---K","certs":["C2"],"keys":["---K2"]}`
	b.run([]step{{"PUT", "/ssls/1", body, 201, ``}})
	for _, s := range []step{
		{"PUT", "/ssls/1", body, 200, ``}, {"GET", "/ssls/1", ``, 200, ``}, {"GET", "/ssls", ``, 200, ``},
		{"PATCH", "/ssls/1", `{"sni":"b.com"}`, 200, ``}, {"PATCH", "/ssls/1/key", `"---K3"`, 200, ``},
		{"PUT", "/ssls/1?dry_run=true", body, 200, ``}, {"POST", "/ssls", body, 201, ``},
	} {
		r := b.send(s.method, base+s.path, s.body)
		if r.status != s.status {
			t.Errorf("%s %s: %d %s", s.method, s.path, r.status, r.text)
		}
		for _, secret := range []string{`"key":"---`, `"keys"`, "---K"} {
			if containsText(r.text, secret) {
				t.Errorf("%s %s shows a key: %s", s.method, s.path, r.text)
			}
		}
	}
	o, err := b.store.Get(t.Context(), conf.KindSSL, "1")
	if err != nil || !containsText(string(o.Value), "---K3") && !containsText(string(o.Value), `"key":"---K"`) {
		t.Errorf("the key was lost: %s", o.Value)
	}
}
