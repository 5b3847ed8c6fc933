package e2e

import "fmt"

// rest are the kinds that every installation has a few of, and the keys that
// are no objects.
func (d *dump) rest() {
	for i := range 10 {
		d.put(fmt.Sprintf("plugin_configs/%d", i+1), object{"desc": "shared", "plugins": object{
			"proxy-rewrite": object{"headers": object{"X-Config": fmt.Sprint(i + 1)}}, // the form of 2.x
		}})
	}
	d.put("global_rules/1", object{"plugins": object{"cors": object{"allow_origins": "https://a.example.com", "allow_methods": "GET,POST"}}})
	d.put("global_rules/2", object{"plugins": object{"ip-restriction": object{"blacklist": []string{"203.0.113.0/24"}}}})
	d.put("global_rules/3", object{"plugins": object{"prometheus": object{}}})
	for _, name := range []string{"http-logger", "syslog", "tcp-logger"} {
		d.put("plugin_metadata/"+name, object{"id": name, "log_format": object{"host": "$host", "@timestamp": "$time_iso8601", "client_ip": "$remote_addr"}})
	}
	for i := range 5 {
		d.put(fmt.Sprintf("protos/%d", i+1), object{"content": `syntax = "proto3"; package helloworld; service Greeter { rpc SayHello (HelloRequest) returns (HelloReply) {} } message HelloRequest { string name = 1; } message HelloReply { string message = 1; }`})
	}
	for i := range 5 {
		d.put(fmt.Sprintf("stream_routes/%d", i+1), object{"server_port": 9100 + i, "remote_addr": "127.0.0.1", "upstream": object{"type": "roundrobin", "nodes": object{"127.0.0.1:3306": 1}}})
	}
	d.put("secrets/vault/1", object{"id": "vault/1", "uri": "http://127.0.0.1:1", "prefix": "kv/apisix", "token": "root"})
	d.put("secrets/aws/1", object{"id": "aws/1", "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"})

	d.raw("gen_id", "1")
	d.raw("plugins", `[{"name":"key-auth"},{"name":"basic-auth"},{"name":"cors"},{"name":"ip-restriction"},{"name":"proxy-rewrite"},{"name":"limit-count"},{"name":"prometheus"},{"name":"wolf-rbac"},{"name":"serverless-pre-function"},{"name":"mqtt-proxy","stream":true}]`)
	d.raw("data_plane/server_info/5b7f8c2e", `{"id":"5b7f8c2e","version":"3.8.0","hostname":"apisix-1","boot_time":1700000000,"etcd_version":"3.5.0"}`)
	d.raw("services/1/graphql_cost_decorations/1", `{"id":"1","field":"users","cost":2}`)
	d.raw("node_status/apisix-1", `{"status":"up"}`) // of 1.x
}

// luaAndBroken are objects that cannot be honoured, and ones that nobody could.
func (d *dump) luaAndBroken() {
	d.refuse("routes/filter-func", "filter_func", object{"uri": "/lua1", "upstream_id": "1", "filter_func": "function(vars) return vars['arg_name'] == 'json' end"})
	d.refuse("routes/script", "script", object{"uri": "/lua2", "upstream_id": "1", "script": "local _M = {} return _M"})
	d.refuse("routes/serverless", "serverless-pre-function", object{"uri": "/lua3", "upstream_id": "1", "plugins": object{
		"serverless-pre-function": object{"phase": "rewrite", "functions": []string{"return function() end"}}}})
	d.refuse("routes/pre-function", "pre_function", object{"uri": "/lua4", "upstream_id": "1", "plugins": object{
		"proxy-rewrite": object{"uri": "/", "_meta": object{"pre_function": "return function() end"}}}})
	d.refuse("services/script", "script", object{"upstream_id": "1", "script": "return {}"})
	for _, path := range []string{"/lua1", "/lua2", "/lua3", "/lua4"} {
		d.expect(404, "GET", path)
	}
	d.refuse("routes/two-hosts", "allOf 2", object{"uri": "/x1", "host": "a.com", "hosts": []string{"b.com"}, "upstream_id": "1"})
	d.refuse("routes/no-uri", "allOf 1", object{"upstream_id": "1"})
	d.refuse("routes/unknown-field", "additional properties", object{"uri": "/x2", "upstream_id": "1", "nonsense": true})
	d.refuse("routes/bad-vars", "vars", object{"uri": "/x3", "upstream_id": "1", "vars": []any{[]any{"arg_a", "~~", "("}}})
	d.refuse("upstreams/bad-type", "nodes", object{"type": "roundrobin", "nodes": "nobody"})
	d.refuse("upstreams/passive-only", "active", object{"nodes": d.nodes(), "checks": object{"passive": object{"type": "http"}}})
	d.refuse("consumers/bad name", "username", object{"username": "bad name"})
	d.refuse("routes/guarded", "wolf-rbac", object{"uri": "/guarded", "upstream_id": "1", "plugins": object{"wolf-rbac": object{}}})
	d.expect(404, "GET", "/guarded")

	d.raw("routes/no-json", `{"uri": "/x4",`)
	d.refused["routes/no-json"] = "JSON"
	d.raw("upstreams/no-object", `"init"`)
	d.refused["upstreams/no-object"] = "object"
	// What is no guard and not built in is left out; the object serves.
	d.put("routes/left-out", object{"uri": "/left-out", "upstream_id": "1", "plugins": object{"inspect": object{}, "proxy-rewrite": object{"uri": "/"}}})
	d.expect(200, "GET", "/left-out")
}
