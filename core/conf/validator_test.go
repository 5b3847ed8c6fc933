package conf

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf/schema"
)

// fewPlugins is a gateway that has only some plugins, and whose operator left
// cors out.
type fewPlugins struct{}

func (fewPlugins) Known(name string) bool {
	return name == "limit-count" || name == "key-auth" || name == "proxy-rewrite" || name == "ours"
}
func (fewPlugins) KnownStream(string) bool           { return false }
func (fewPlugins) Disabled(name string, _ bool) bool { return name == "cors" }
func (fewPlugins) Schemas(name string) *schema.Plugin {
	if name != "ours" {
		return nil
	}
	p, err := Catalogue().ParsePlugin(name, []byte(`{"schema":{"type":"object","properties":{"a":{"type":"integer","default":7}}}}`))
	if err != nil {
		panic(err)
	}
	return p
}

// The texts are those of the Admin API of APISIX for the same body.
func TestAdminMessages(t *testing.T) {
	v := Validator{
		PluginCheck: func(name string, conf []byte) error {
			if strings.Contains(string(conf), "refuse-me") {
				return errors.New("no")
			}
			return nil
		},
		ExprCheck: func(expr []byte) error {
			if strings.Contains(string(expr), "badop") {
				return errors.New("invalid operator 'badop'")
			}
			return nil
		},
	}
	f := func(kind Kind, id, value, want string) {
		t.Helper()
		_, _, err := v.Check(kind, id, []byte(value))
		got := ""
		if err != nil {
			got = AdminMessage(err)
		}
		if got != want {
			t.Errorf("%s %s\n got %s\nwant %s", kind, value, got, want)
		}
	}
	const up = `"upstream":{"nodes":{"127.0.0.1:80":1}}`

	// routes
	f(KindRoute, "1", `{"uri":"/a",`+up+`}`, "")
	f(KindRoute, "1", `{`+up+`}`, "invalid configuration: allOf 1 failed: value should match only one schema, but matches none")
	f(KindRoute, "1", `{"uri":"/a","uris":["/b"],`+up+`}`, "invalid configuration: allOf 1 failed: value should match only one schema, but matches both schemas 1 and 2")
	f(KindRoute, "1", `{"uri":"/a","host":"a.com","hosts":["b.com"],`+up+`}`, "invalid configuration: allOf 2 failed: value should match only one schema, but matches both schemas 2 and 3")
	f(KindRoute, "1", `{"uri":"/a"}`, `invalid configuration: object matches none of the required: ["plugins","uri"] or ["upstream","uri"] or ["upstream_id","uri"] or ["service_id","uri"] or ["plugins","uris"] or ["upstream","uris"] or ["upstream_id","uris"] or ["service_id","uris"] or ["script","uri"] or ["script","uris"]`)
	f(KindRoute, "1", `{"uri":"/a","unknown":1,`+up+`}`, "invalid configuration: additional properties forbidden, found unknown")
	f(KindRoute, "1", `{"uri":1,`+up+`}`, `invalid configuration: property "uri" validation failed: wrong type: expected string, got number`)
	f(KindRoute, "1", `{"uri":"/a","methods":["GETT"],`+up+`}`, `invalid configuration: property "methods" validation failed: failed to validate item 1: matches none of the enum values`)
	f(KindRoute, "1", `{"uri":"/a","methods":["GET","GET"],`+up+`}`, `invalid configuration: property "methods" validation failed: expected unique items but items 1 and 2 are equal`)
	f(KindRoute, "1", `{"uri":"/a","priority":"1",`+up+`}`, `invalid configuration: property "priority" validation failed: wrong type: expected integer, got string`)
	f(KindRoute, "1", `{"uri":"/a","host":"a b",`+up+`}`, `invalid configuration: property "host" validation failed: failed to match pattern "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$" with "a b"`)
	f(KindRoute, "1", `{"uri":"/a","hosts":[],`+up+`}`, `invalid configuration: property "hosts" validation failed: expect array to have at least 1 items`)
	f(KindRoute, "1", `{"uri":"","plugins":{}}`, `invalid configuration: property "uri" validation failed: string too short, expected at least 1, got 0`)
	f(KindRoute, "1", `{"uri":"/a","timeout":{"connect":1,"read":1},`+up+`}`, `invalid configuration: property "timeout" validation failed: property "send" is required`)
	f(KindRoute, "1", `{"uri":"/a","timeout":{"connect":0,"read":1,"send":1},`+up+`}`, `invalid configuration: property "timeout" validation failed: property "connect" validation failed: expected 0 to be greater than 0`)
	f(KindRoute, "1", `{"uri":"/a","status":2,`+up+`}`, `invalid configuration: property "status" validation failed: matches none of the enum values`)
	f(KindRoute, "1", `{"uri":"/a","labels":{"k":"a b"},`+up+`}`, `invalid configuration: property "labels" validation failed: failed to validate k (matching ".*"): failed to match pattern "^\\S+$" with "a b"`)
	f(KindRoute, "1", `{"uri":"/a","remote_addr":"1.2.3.400",`+up+`}`, `invalid configuration: property "remote_addr" validation failed: object matches none of the required`)
	f(KindRoute, "1", `{"uri":"/a","remote_addrs":["1.2.3.4","10.0.0.0/8","::1","fe80::/10"],`+up+`}`, "")
	f(KindRoute, "1", `{"uri":"/a","remote_addr":":/8",`+up+`}`, `invalid remote_addr ":/8": an IPv4 or IPv6 address or network (address/bits) is expected`)
	f(KindRoute, "1", `{"uri":"/a","upstream_id":"a b"}`, `invalid configuration: property "upstream_id" validation failed: object matches none of the required`)
	f(KindRoute, "1", `{"uri":"/a","upstream_id":0}`, `invalid configuration: property "upstream_id" validation failed: object matches none of the required`)
	f(KindRoute, "1", `{"uri":"/a","upstream_id":1.0}`, "")
	f(KindRoute, "1", `{"uri":"/a","vars":[["a","badop",1]],`+up+`}`, "failed to validate the 'vars' expression: invalid operator 'badop'")
	f(KindRoute, "1", `"x"`, "invalid configuration: wrong type: expected object, got string")
	f(KindRoute, "1", `{`, "the value is not JSON: unexpected end of JSON input")
	f(KindRoute, "", `{"id":"a b","uri":"/a",`+up+`}`, `invalid configuration: property "id" validation failed: object matches none of the required`)

	// plugins
	f(KindRoute, "1", `{"uri":"/a","plugins":{"limit-count":{"time_window":60}}}`, "failed to check the configuration of plugin limit-count err: value should match only one schema, but matches none")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"limit-count":{"count":1,"time_window":60,"policy":"redis"}}}`, "failed to check the configuration of plugin limit-count err: then clause did not match")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"limit-req":{"rate":1}}}`, `failed to check the configuration of plugin limit-req err: property "burst" is required`)
	f(KindRoute, "1", `{"uri":"/a","plugins":{"limit-count":{"count":1,"time_window":60,"rejected_code":100}}}`, `failed to check the configuration of plugin limit-count err: property "rejected_code" validation failed: expected 100 to be at least 200`)
	f(KindRoute, "1", `{"uri":"/a","plugins":{"nope":{}}}`, "unknown plugin [nope]")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"limit-count":1}}`, "invalid plugin conf 1 for plugin [limit-count]")
	f(KindRoute, "1", `{"uri":"/a","plugins":[]}`, "")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"prometheus":[]}}`, "")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"prometheus":{"_meta":{"x":1}}}}`, `failed to check the configuration of plugin prometheus err: property "_meta" validation failed: additional properties forbidden, found x`)
	f(KindRoute, "1", `{"uri":"/a","plugins":{"prometheus":{"_meta":{"filter":[["a","badop",1]]}}}}`, "failed to validate the 'vars' expression: invalid operator 'badop'")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"echo":{"body":"refuse-me"}}}`, "failed to check the configuration of plugin echo err: no")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"limit-count":{"count":"x","_meta":{"disable":true}}}}`, "")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"traffic-split":{"rules":[{"weighted_upstreams":[{"upstream":{"type":"chash","nodes":{"a:1":1}}}]}]}}}`, "failed to check the configuration of plugin traffic-split err: missing key")

	// Lua
	f(KindRoute, "1", `{"uri":"/a","filter_func":"function(vars) return true end",`+up+`}`, `filter_func holds Lua code, which this gateway cannot run: write the condition as "vars", for example [["arg_name","==","json"]]`)
	f(KindRoute, "1", `{"uri":"/a","script":"local _M = {}"}`, `script holds Lua code, which this gateway cannot run: use "plugins"; conditions go into a plugin's _meta.filter or the route's "vars"`)
	f(KindRoute, "1", `{"uri":"/a","plugins":{"serverless-pre-function":{"functions":["return function() end"]}}}`, "plugin [serverless-pre-function] runs Lua code, which this gateway cannot: use proxy-rewrite, fault-injection or traffic-split with vars, or a plugin written in Go")
	f(KindRoute, "1", `{"uri":"/a","plugins":{"echo":{"body":"x","_meta":{"pre_function":"return function() end"}}}}`, `_meta.pre_function of plugin [echo] holds Lua code, which this gateway cannot run: write the condition as _meta.filter, for example [["arg_name","==","json"]]`)

	// upstreams
	f(KindUpstream, "1", `{"nodes":{"127.0.0.1:80":1}}`, "")
	f(KindUpstream, "1", `{"nodes":[]}`, "")
	f(KindUpstream, "1", `{"type":"roundrobin"}`, "invalid configuration: value should match only one schema, but matches none")
	f(KindUpstream, "1", `{"nodes":{"127.0.0.1:80":-1}}`, `invalid configuration: property "nodes" validation failed: object matches none of the required`)
	f(KindUpstream, "1", `{"nodes":[{"host":"a","port":0,"weight":1}]}`, `invalid configuration: property "nodes" validation failed: object matches none of the required`)
	f(KindUpstream, "1", `{"nodes":{"::1:80":1}}`, `invalid node address "::1:80": an IPv6 address stands in brackets`)
	f(KindUpstream, "1", `{"nodes":{"a:99999":1}}`, `invalid node address "a:99999": the port must be 1..65535`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"retries":1e300}`, "json: cannot unmarshal number 1e+300 into Go struct field Upstream.retries of type int")
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"type":"random"}`, `unknown balancer type "random": use one of roundrobin, chash, least_conn, ewma, weighted_least_conn, emmie`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"type":"chash"}`, "missing key")
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"type":"chash","hash_on":"consumer"}`, "")
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"type":"chash","key":"arg_x"}`, "")
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"type":"chash","key":"nothing"}`, `invalid configuration: failed to match pattern "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "nothing"`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"type":"chash","hash_on":"header","key":"a b"}`, `invalid configuration: failed to match pattern "^[a-zA-Z0-9-_]+$" with "a b"`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"pass_host":"rewrite"}`, "`upstream_host` can't be empty when `pass_host` is `rewrite`")
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"checks":{"passive":{}}}`, `invalid configuration: property "checks" validation failed: object matches none of the required: ["active"] or ["active","passive"]`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"warm_up_conf":{}}`, `invalid configuration: property "warm_up_conf" validation failed: property "slow_start_time_seconds" is required`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"retry_on":{"statuses":[200]}}`, `invalid configuration: property "retry_on" validation failed: property "statuses" validation failed: failed to validate item 1: expected 200 to be at least 400`)
	f(KindUpstream, "1", `{"nodes":{"a:1":1},"tls":{"client_cert":"$env://CERT"}}`, `invalid configuration: property "tls" validation failed: failed to validate dependent schema for "client_cert": property "client_key" is required`)

	// consumers and credentials
	f(KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"k"}}}`, "")
	f(KindConsumer, "jack", `{"username":"john"}`, "wrong username")
	f(KindConsumer, "", `{"username":"a b"}`, `invalid configuration: property "username" validation failed: failed to match pattern "^[a-zA-Z0-9_\\-]+$" with "a b"`)
	f(KindConsumer, "jack", `{"plugins":{}}`, `invalid configuration: property "username" is required`)
	f(KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{}}}`, `invalid plugins configuration: failed to check the configuration of plugin key-auth err: property "key" is required`)
	f(KindCredential, "jack/credentials/1", `{"plugins":{"key-auth":{"key":"k"}}}`, "")
	f(KindCredential, "jack/credentials/1", `{"plugins":{"limit-count":{"count":1,"time_window":1}}}`, "only supports auth type plugins in consumer credential")
	f(KindCredential, "jack/credentials/1", `{"plugins":{}}`, "a credential holds exactly one auth plugin, this one has 0")
	f(KindCredential, "jack/credentials/1", `{"plugins":{"key-auth":{"key":"k"},"basic-auth":{"username":"a","password":"b"}}}`, "a credential holds exactly one auth plugin, this one has 2")

	// the rest
	f(KindGlobalRule, "1", `{"plugins":{}}`, "")
	f(KindGlobalRule, "1", `{}`, `invalid configuration: property "plugins" is required`)
	f(KindPluginConfig, "1", `{"plugins":{"nope":{}}}`, "unknown plugin [nope]")
	f(KindConsumerGroup, "1", `{"plugins":{},"x":1}`, "invalid configuration: additional properties forbidden, found x")
	f(KindService, "1", `{"upstream":{"type":"chash","nodes":{"a:1":1}}}`, "missing key")
	f(KindService, "1", `{}`, "")
	f(KindProto, "1", `{}`, `invalid configuration: property "content" is required`)
	f(KindStreamRoute, "1", `{"server_port":0}`, `invalid configuration: property "server_port" validation failed: expected 0 to be at least 1`)
	f(KindStreamRoute, "1", `{"plugins":{"limit-conn":{}}}`, `failed to check the configuration of stream plugin [limit-conn]: property "burst" is required`)
	f(KindPluginMetadata, "http-logger", `{"log_format":{"a":"$host"}}`, "")
	f(KindPluginMetadata, "http-logger", `{"log_format":1}`, `invalid configuration: property "log_format" validation failed: wrong type: expected object, got number`)
	f(KindPluginMetadata, "nope", `{}`, "invalid plugin name")
	f(KindSecret, "vault/1", `{"uri":"http://v:8200","prefix":"kv","token":"t"}`, "")
	f(KindSecret, "vault/1", `{"id":"vault/1","uri":"http://v:8200","token":"t"}`, `invalid configuration: property "prefix" is required`)
	f(KindSecret, "gcp/1", `{}`, "invalid configuration: value should match only one schema, but matches none")
	f(KindSecret, "nope/1", `{}`, "invalid secret manager: nope")
	f(KindSSL, "1", `{"sni":"a.com"}`, "invalid configuration: then clause did not match")
	f(KindSSL, "1", `{"sni":"a.com","cert":"$secret://vault/1/a/c","key":"$secret://vault/1/a/k"}`, "")
	f(KindSSL, "1", `{"sni":"a.com","cert":"$env://C","key":"$env://K","certs":["$env://C2"]}`, "mismatched number of certs and keys")
	f(KindSSL, "1", `{"sni":"a.com","cert":"`+strings.Repeat("x", 128)+`","key":"`+strings.Repeat("x", 128)+`"}`, "failed to parse cert: no PEM block found")
}

func TestUnknownPluginsByMode(t *testing.T) {
	f := func(mode Mode, plugins, wantErr, wantFilled, wantWarning string) {
		t.Helper()
		v := Validator{Plugins: fewPlugins{}, Mode: mode}
		filled, warnings, err := v.Check(KindPluginConfig, "1", []byte(`{"plugins":`+plugins+`}`))
		if got := errText(err); got != wantErr {
			t.Errorf("%s: error %q, want %q", plugins, got, wantErr)
		}
		if err == nil && string(filled) != `{"id":"1","plugins":`+wantFilled+`}` {
			t.Errorf("%s: filled %s, want %s", plugins, filled, wantFilled)
		}
		if got := strings.Join(warnings, "\n"); got != wantWarning {
			t.Errorf("%s: warnings %q, want %q", plugins, got, wantWarning)
		}
	}
	const missing = "unknown plugin [echo]: a plugin of APISIX that this gateway does not have"
	const left = "unknown plugin [cors]: the plugin list of config.yaml leaves it out"
	f(ModeAdmin, `{"echo":{"body":"x"}}`, missing, "", "")
	f(ModeFile, `{"echo":{"body":"x"}}`, missing, "", "")
	f(ModeStore, `{"echo":{"body":"x"}}`, "", `{}`, missing+"; it is skipped")
	f(ModeAdmin, `{"cors":{}}`, left, "", "")
	f(ModeStore, `{"cors":{}}`, "", `{}`, left+"; it is skipped")
	f(ModeStore, `{"custom":{}}`, "", `{}`, "unknown plugin [custom]; it is skipped")
	f(ModeStore, `{"ours":{}}`, "", `{"ours":{"a":7}}`, "")
	// A plugin that keeps people out is not skipped silently.
	f(ModeStore, `{"jwt-auth":{}}`, "unknown plugin [jwt-auth]: a plugin of APISIX that this gateway does not have; "+
		"it decides who may pass, so the object is not served without it (set its _meta.disable or take it out to serve anyway)", "", "")
	f(ModeStore, `{"jwt-auth":{"_meta":{"disable":true}}}`, "", `{}`,
		"unknown plugin [jwt-auth]: a plugin of APISIX that this gateway does not have; it is skipped")
	// Lua is refused everywhere.
	f(ModeStore, `{"serverless-post-function":{"functions":["x"]}}`, "plugin [serverless-post-function] runs Lua code, which this gateway cannot: "+
		"use response-rewrite with vars, a logger's log_format, or a plugin written in Go", "", "")
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFilled(t *testing.T) {
	f := func(kind Kind, id, value, want string) {
		t.Helper()
		var v Validator
		filled, _, err := v.Check(kind, id, []byte(value))
		if err != nil {
			t.Errorf("%s: %s", value, err)
			return
		}
		if string(filled) != want {
			t.Errorf("%s\n got %s\nwant %s", value, filled, want)
		}
	}
	// The key's id wins; integers come out as integers; empty arrays that are
	// objects come out as objects.
	f(KindRoute, "r1", `{"id":"other","uri":"/a","upstream_id":1.0,"labels":[],"plugins":{"key-auth":{}}}`,
		`{"id":"r1","labels":{},"plugins":{"key-auth":{"header":"apikey","query":"apikey","realm":"key"}},"priority":0,"status":1,"upstream_id":1,"uri":"/a"}`)
	f(KindCredential, "jack/credentials/c1", `{"plugins":{"key-auth":{"key":"k"}}}`,
		`{"id":"c1","plugins":{"key-auth":{"key":"k"}}}`)
	f(KindUpstream, "u", `{"nodes":[{"host":"a","weight":1}],"checks":{"active":{}},"keepalive_pool":{}}`,
		`{"checks":{"active":{"concurrency":10,"healthy":{"http_statuses":[200,302],"interval":1,"successes":2},`+
			`"http_method":"GET","http_path":"/","http_req_body":"","https_verify_certificate":true,"timeout":1,"type":"http",`+
			`"unhealthy":{"http_failures":5,"http_statuses":[429,404,500,501,502,503,504,505],"interval":1,"tcp_failures":2,"timeouts":3}}},`+
			`"hash_on":"vars","id":"u","keepalive_pool":{"idle_timeout":60,"requests":1000,"size":320},`+
			`"nodes":[{"host":"a","priority":0,"weight":1}],"pass_host":"pass","scheme":"http","type":"roundrobin"}`)
	f(KindPluginMetadata, "limit-count", `{"id":"limit-count"}`,
		`{"id":"limit-count","limit_header":"X-RateLimit-Limit","remaining_header":"X-RateLimit-Remaining","reset_header":"X-RateLimit-Reset"}`)
	f(KindSecret, "aws/1", `{"id":"aws/1","access_key_id":"a","secret_access_key":"b"}`,
		`{"access_key_id":"a","region":"us-east-1","secret_access_key":"b"}`)
	f(KindProto, "p", `{"content":"<\u0001 \"q\" \\ é \ud83d\ude00 &>"}`, `{"content":"<\u0001 \"q\" \\ é 😀 &>","id":"p"}`)
}

func TestWarnings(t *testing.T) {
	var v Validator
	_, warnings, err := v.Check(KindRoute, "1", []byte(`{"uris":["a","/b?c=1","*","/ok"],"upstream_id":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], `"a"`) || !strings.Contains(warnings[1], "?") {
		t.Errorf("warnings are %q", warnings)
	}
}

func TestOwnChecksBySection(t *testing.T) {
	var calls []string
	note := func(section string) func(string, []byte) error {
		return func(name string, conf []byte) error {
			calls = append(calls, section+" "+name+" "+string(conf))
			return nil
		}
	}
	v := Validator{PluginCheck: note("instance"), ConsumerCheck: note("consumer"), MetadataCheck: note("metadata")}
	check := func(kind Kind, id, value string) {
		t.Helper()
		if _, _, err := v.Check(kind, id, []byte(value)); err != nil {
			t.Error(err)
		}
	}
	check(KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"k"},"echo":{"body":"b"}}}`)
	check(KindPluginMetadata, "error-page", `{"enable":true}`)
	want := []string{`instance echo {"body":"b"}`, `consumer key-auth {"key":"k"}`, `metadata error-page {"enable":true}`}
	if strings.Join(calls, "\n") != strings.Join(want, "\n") {
		t.Errorf("calls are %q, want %q", calls, want)
	}
}

func TestCheckSchemaOnly(t *testing.T) {
	var v Validator
	f := func(kind Kind, value, want string) {
		t.Helper()
		if got := errText(v.CheckSchema(kind, "", []byte(value))); got != want {
			t.Errorf("%s %s: got %q, want %q", kind, value, got, want)
		}
	}
	f(KindRoute, `{"uri":"/a","plugins":{"nope":{}}}`, "")
	f(KindRoute, `{"uri":1,"plugins":{}}`, `property "uri" validation failed: wrong type: expected string, got number`)
	f(KindSecret, `{"id":"vault/1","uri":"http://v","prefix":"p","token":"t"}`, "")
	f(KindSecret, `{"id":"vault/1"}`, `property "prefix" is required`)
	f(KindSecret, `{}`, "invalid secret manager: ")
}

// What Check fills in is a fixed point: checking it again changes nothing.
func FuzzCheck(f *testing.F) {
	f.Add(uint8(KindRoute), "1", typicalRoute)
	f.Add(uint8(KindUpstream), "u", `{"nodes":[{"host":"[::1]","port":80,"weight":1}],"type":"chash","key":"uri"}`)
	f.Add(uint8(KindConsumer), "jack", `{"username":"jack","plugins":{"key-auth":{"key":"$env://K"}}}`)
	f.Add(uint8(KindRoute), "1", `{"uri":"/a","priority":1e300,"upstream":{"nodes":{"a:1":1e18},"retries":9007199254740993}}`)
	f.Add(uint8(KindSSL), "1", `{"sni":"a","cert":"$env://C","key":"$env://K"}`)
	f.Add(uint8(KindSecret), "vault/1", `{"uri":"http://v","prefix":"p","token":"t"}`)
	f.Add(uint8(KindPluginMetadata), "http-logger", `{"log_format":{}}`)
	f.Add(uint8(KindRoute), "1", `{"uri":"/a","plugins":{"traffic-split":{"rules":[{}]},"limit-count":{"count":"$x","time_window":1}}}`)
	f.Fuzz(func(t *testing.T, kind uint8, id, text string) {
		if kind == 0 || Kind(kind) >= NumKinds {
			return
		}
		v := Validator{Mode: ModeStore}
		value := []byte(text)
		filled, _, err := v.Check(Kind(kind), id, value)
		if string(value) != text {
			t.Fatal("the value was changed")
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Text == "" {
				t.Errorf("%v is no Error", err)
			}
			return
		}
		if !json.Valid(filled) {
			t.Fatalf("filled is not JSON: %s", filled)
		}
		if _, err := Decode(&Object{Kind: Kind(kind), ID: id, Value: filled}); err != nil {
			t.Fatalf("%s\npasses and does not decode: %s", filled, err)
		}
		again, _, err := v.Check(Kind(kind), id, filled)
		if err != nil {
			t.Fatalf("%s\npasses, but its filled form\n%s\ndoes not: %s", text, filled, err)
		}
		if string(again) != string(filled) {
			t.Fatalf("not a fixed point:\n%s\n%s", filled, again)
		}
	})
}
