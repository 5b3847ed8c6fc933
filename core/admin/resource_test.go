package admin

import (
	"regexp"
	"testing"
	"time"
)

const times = `"create_time":1700000000,"update_time":1700000000`

func TestRouteLifecycle(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"GET", "/routes", "", 200, `{"total":0,"list":[]}`},
		{"PUT", "/routes/1", `{"uri":"/a","labels":{"k":"v"}}`, 201,
			`{"key":"/apisix/routes/1","value":{"id":"1","uri":"/a","labels":{"k":"v"},` + times + `}}`},
	})
	b.later(10 * time.Second)
	b.run([]step{
		{"PUT", "/routes/1", `{"uri":"/b"}`, 200,
			`{"key":"/apisix/routes/1","value":{"id":"1","uri":"/b","create_time":1700000000,"update_time":1700000010}}`},
		{"GET", "/routes/1", "", 200,
			`{"key":"/apisix/routes/1","value":{"id":"1","uri":"/b","create_time":1700000000,"update_time":1700000010},"createdIndex":2,"modifiedIndex":3}`},
		{"GET", "/routes", "", 200,
			`{"total":1,"list":[{"key":"/apisix/routes/1","value":{"id":"1","uri":"/b","create_time":1700000000,"update_time":1700000010},"createdIndex":2,"modifiedIndex":3}]}`},
		{"DELETE", "/routes/1", "", 200, `{"key":"/apisix/routes/1","deleted":"1"}`},
		{"GET", "/routes/1", "", 404, `{"message":"Key not found"}`},
		{"DELETE", "/routes/1", "", 404, `{"message":"Key not found"}`},
		{"PATCH", "/routes/1", `{"uri":"/c"}`, 404, `{"message":"Key not found"}`},
	})
}

func TestIDRules(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/routes", `{"uri":"/a"}`, 400, `{"error_msg":"missing route id"}`},
		{"PUT", "/routes", `{"id":"r","uri":"/a"}`, 201, `~"key":"/apisix/routes/r"`},
		{"PUT", "/routes", `{"id":7,"uri":"/a"}`, 201, `~"id":7`},
		{"PUT", "/routes/1", `{"id":"2","uri":"/a"}`, 400, `{"error_msg":"wrong route id"}`},
		{"PUT", "/routes/1", `{"id":1,"uri":"/a"}`, 201, `~"id":"1"`},
		{"PUT", "/routes/1", `{"id":true,"uri":"/a"}`, 400, `{"error_msg":"wrong route id"}`},
		{"POST", "/routes/1", `{"uri":"/a"}`, 400, `{"error_msg":"wrong route id, do not need it"}`},
		{"POST", "/routes", `{"id":"1","uri":"/a"}`, 400, `{"error_msg":"wrong route id, do not need it"}`},
		{"PUT", "/routes/a%20b", `{"uri":"/a"}`, 400, `~invalid configuration`},
		{"PUT", "/routes", `{"id":"a/b","uri":"/a"}`, 400, `~invalid configuration`},
		{"GET", "/routes/a%20b", ``, 404, `{"message":"Key not found"}`},
		{"DELETE", "/routes/a%20b", ``, 404, `{"message":"Key not found"}`},
		{"PATCH", "/routes/a%20b", `{}`, 404, `{"message":"Key not found"}`},
		{"GET", "/consumers/a%20b/credentials/1", ``, 404, `{"message":"Key not found"}`},
		{"PUT", "/consumers/a%20b/credentials/1", `{"plugins":{}}`, 400, `~is not a valid name`},
		{"PUT", "/routes/1", `{"uri":"/a","upstream_id":"a/b"}`, 400, `~upstream id [a/b], response code: 404`},
		{"DELETE", "/routes", "", 400, `{"error_msg":"missing route id"}`},
		{"PATCH", "/routes", `{"uri":"/a"}`, 400, `{"error_msg":"missing route id"}`},
		{"PUT", "/routes/1/uri", `{"uri":"/a"}`, 404, ``},
		{"PUT", "/routes/1", ``, 400, `{"error_msg":"missing configurations"}`},
		{"PUT", "/routes/1", `null`, 400, `{"error_msg":"missing configurations"}`},
		{"PUT", "/routes/1", `[]`, 400, `~expected object, got array`},
		{"PATCH", "/routes/1", ``, 400, `{"error_msg":"missing new configuration"}`},
		{"PATCH", "/routes/1", `"x"`, 400, `{"error_msg":"invalid configuration"}`},
	})
}

// Trap 8 of the contract: the id of a POST is a revision of 20 digits.
func TestPostMakesTwentyDigitIDs(t *testing.T) {
	b := newBench(t, nil)
	r := b.send("POST", base+"/routes", `{"uri":"/a"}`)
	if r.status != 201 || !regexp.MustCompile(`"key":"/apisix/routes/\d{20}"`).MatchString(r.text) ||
		!regexp.MustCompile(`"id":"\d{20}"`).MatchString(r.text) {
		t.Fatalf("%d %s", r.status, r.text)
	}
}

func TestBodyErrors(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/routes/1", `{"uri"`, 400, `~"error_msg":"invalid request body: `},
		{"PUT", "/routes/1", `{"uri"`, 400, `~"req_body":"{\"uri\""`},
		{"PUT", "/routes/1", `{"uri":"/a"} x`, 400, `~invalid request body`},
		{"PUT", "/routes/1", `{"uri":"/a","additional":1}`, 400,
			`{"error_msg":"invalid configuration: additional properties forbidden, found additional"}`},
		{"PUT", "/routes/1", `{"uri":"/a","plugins":{"nix":{}}}`, 400, `{"error_msg":"unknown plugin [nix]"}`},
		{"PUT", "/routes/1", `{"uri":"/a","create_time":1}`, 400, `{"error_msg":"the property is forbidden:  create_time"}`},
		{"PUT", "/routes/1", `{"uri":"/a","update_time":1}`, 400, `{"error_msg":"the property is forbidden:  update_time"}`},
		{"POST", "/routes", `{"uri":"/a","upstream":{"create_time":1}}`, 400, `{"error_msg":"the property is forbidden:  upstream.create_time"}`},
	})
	big := make([]byte, BodyLimit+1)
	for i := range big {
		big[i] = ' '
	}
	r := b.send("PUT", base+"/routes/1", string(big))
	want := "{\"error_msg\":\"invalid request body: request size 1572865 is greater than the maximum size 1572864 allowed\"}\n"
	if r.status != 400 || r.text != want {
		t.Fatalf("%d %s", r.status, r.text)
	}
	copy(big, `{"uri":"/a"}`)
	if r := b.send("PUT", base+"/routes/1", string(big[:BodyLimit])); r.status != 201 {
		t.Fatalf("a body of just the limit: %d %s", r.status, r.text)
	}
}

func TestRefusedVerbs(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"POST", "/consumers", `{"username":"a"}`, 405, "{\"error_msg\":\"not supported `POST` method for consumer\"}"},
		{"PATCH", "/consumers/a", `{}`, 405, "{\"error_msg\":\"not supported `PATCH` method for consumer\"}"},
		{"POST", "/consumers/a/credentials", `{}`, 405, "{\"error_msg\":\"not supported `POST` method for credential\"}"},
		{"PATCH", "/consumers/a/credentials/1", `{}`, 405, "{\"error_msg\":\"not supported `PATCH` method for credential\"}"},
		{"POST", "/global_rules", `{}`, 405, "{\"error_msg\":\"not supported `POST` method for global rule\"}"},
		{"POST", "/plugin_configs", `{}`, 405, "{\"error_msg\":\"not supported `POST` method for plugin config\"}"},
		{"POST", "/consumer_groups", `{}`, 405, "{\"error_msg\":\"not supported `POST` method for consumer group\"}"},
		{"POST", "/plugin_metadata", `{}`, 405, "{\"error_msg\":\"not supported `POST` method for plugin_metadata\"}"},
		{"PATCH", "/plugin_metadata/http-logger", `{}`, 405, "{\"error_msg\":\"not supported `PATCH` method for plugin_metadata\"}"},
		{"PATCH", "/protos/1", `{}`, 405, "{\"error_msg\":\"not supported `PATCH` method for proto\"}"},
		{"PATCH", "/stream_routes/1", `{}`, 405, "{\"error_msg\":\"not supported `PATCH` method for stream route\"}"},
		{"POST", "/secrets/vault", `{}`, 405, "{\"error_msg\":\"not supported `POST` method for secret\"}"},
		{"GET", "/nonsense", ``, 404, `{"error_msg":"Unsupported resource type: nonsense"}`},
		{"GET", "/credentials", ``, 404, `{"error_msg":"Unsupported resource type: credentials"}`},
		{"POST", "/schema/route", `{}`, 404, `{"error_msg":"not found"}`},
		{"PUT", "/plugins/limit-count", `{}`, 404, `{"error_msg":"not found"}`},
		{"GET", "/configs", ``, 404, `{"error_msg":"Unsupported resource type: configs"}`},
	})
}

func TestTTL(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/routes/1?ttl=x", `{"uri":"/a"}`, 400, `{"error_msg":"invalid argument ttl: should be a number"}`},
		{"PUT", "/routes/1?ttl=0", `{"uri":"/a"}`, 400, `~invalid argument ttl`},
		{"PUT", "/routes/1?ttl=30", `{"uri":"/a"}`, 201, ``},
		{"PATCH", "/routes/1?ttl=31", `{"uri":"/b"}`, 200, ``},
		{"POST", "/routes?ttl=1.5", `{"uri":"/a"}`, 201, ``},
	})
	var got []time.Duration
	for _, ttl := range b.store.ttls {
		got = append(got, ttl)
	}
	if len(got) != 2 || got[0]+got[1] != 33*time.Second {
		t.Fatalf("lifetimes %v", got)
	}
}

func TestStoreFaultIs503(t *testing.T) {
	b := newBench(t, nil)
	b.store.Fail(errTest("connection refused"))
	for _, s := range []step{
		{"GET", "/routes", "", 503, ""}, {"GET", "/routes/1", "", 503, ""},
		{"PUT", "/routes/1", `{"uri":"/a"}`, 503, `{"error_msg":"connection refused"}`},
		{"POST", "/routes", `{"uri":"/a"}`, 503, ""},
		{"PATCH", "/routes/1", `{"uri":"/a"}`, 503, ""},
		{"DELETE", "/routes/1", "", 503, ""},
	} {
		b.run([]step{s})
	}
}

type errTest string

func (e errTest) Error() string { return string(e) }
