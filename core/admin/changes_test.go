package admin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func TestChangeSetIsOneTransaction(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"POST", "/changes", `{"changes":[
			{"path":"/routes/1","value":{"uri":"/a","upstream_id":"u","service_id":"s"}},
			{"method":"PUT","path":"/apisix/admin/services/s","value":{}},
			{"method":"put","path":"/upstreams/u","value":{"nodes":{"a:1":1}}},
			{"method":"PATCH","path":"/upstreams/u/nodes","value":{"b:1":1}}]}`, 200,
			`{"revision":2,"results":[
			{"status":201,"action":"create","key":"/apisix/routes/1","value":{"id":"1","uri":"/a","upstream_id":"u","service_id":"s",` + times + `}},
			{"status":201,"action":"create","key":"/apisix/services/s","value":{"id":"s",` + times + `}},
			{"status":201,"action":"create","key":"/apisix/upstreams/u","value":{"id":"u","nodes":{"b:1":1},` + times + `}},
			{"status":201,"action":"create","key":"/apisix/upstreams/u","value":{"id":"u","nodes":{"b:1":1},` + times + `}}]}`},
		{"POST", "/changes", `{"changes":[
			{"method":"DELETE","path":"/upstreams/u"},
			{"path":"/routes/1","value":{"uri":"/a"}}]}`, 200, `~"action":"delete"`},
		{"GET", "/upstreams/u", ``, 404, ``},
	})
	if b.store.rev() != 3 {
		t.Errorf("revision %d: not one transaction each", b.store.rev())
	}
	if n := len(b.journal); n != 5 || b.journal[0].Rev != 2 || b.journal[4].Rev != 3 {
		t.Errorf("journal has %d changes: %v", n, b.journal)
	}
}

func TestChangeSetIsRefusedAsAWhole(t *testing.T) {
	b := newBench(t, nil)
	f := func(changes string, status int, want string) {
		t.Helper()
		before := b.store.rev()
		b.run([]step{{"POST", "/changes", `{"changes":[` + changes + `]}`, status, want}})
		if b.store.rev() != before {
			t.Errorf("%s wrote something", changes)
		}
	}
	b.run([]step{
		{"PUT", "/upstreams/u", `{}`, 201, ``},
		{"PUT", "/routes/u", `{"uri":"/","upstream_id":"u"}`, 201, ``},
	})
	const good = `{"path":"/routes/1","value":{"uri":"/a"}}`
	f(good+`,{"path":"/routes/2","value":{"uri":"/a","service_id":"x"}}`, 400,
		`{"error_msg":"change 1 (/routes/2): failed to fetch service info by service id [x], response code: 404","index":1}`)
	f(good+`,{"path":"/routes/2","value":{}}`, 400, `~change 1 (/routes/2): invalid configuration: property`)
	f(good+`,{"method":"DELETE","path":"/upstreams/u"}`, 400, `~can not delete this upstream, route [u] is still using it now`)
	f(good+`,{"method":"DELETE","path":"/routes/none"}`, 404, `~change 1 (/routes/none): Key not found`)
	f(good+`,{"method":"PATCH","path":"/routes/none","value":{}}`, 404, `~Key not found`)
	f(good+`,{"method":"GET","path":"/routes/1"}`, 400, `~none of PUT, POST, PATCH, DELETE`)
	f(good+`,{"method":"POST","path":"/consumers","value":{}}`, 405, "~not supported `POST` method for consumer")
	f(good+`,{"path":"/nix/1","value":{}}`, 404, `~Unsupported resource type: nix`)
	f(good+`,{"path":"","value":{}}`, 404, ``)
	f(good+`,{"path":"/routes/1/uri","value":{}}`, 404, ``)
	f(``, 400, `~at least one operation`)
	f(good+`,{"path":"/routes/2","value":{"uri":"/a"},"ttl":-1}`, 400, `~ttl`)
	b.run([]step{
		{"POST", "/changes", ``, 400, ``}, {"POST", "/changes", `[]`, 400, ``}, {"POST", "/changes", `{"changes":[{]}`, 400, ``},
		{"GET", "/changes", ``, 404, `{"error_msg":"Unsupported resource type: changes"}`},
	})
}

func TestChangeSetLimit(t *testing.T) {
	b := newBench(t, nil)
	set := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"path":"/routes/%d","value":{"uri":"/%d"}}`, i, i)
		}
		return `{"changes":[` + strings.Join(list, ",") + `]}`
	}
	b.run([]step{
		{"POST", "/changes", set(MaxChanges), 200, ``},
		{"POST", "/changes", set(MaxChanges + 1), 400, `~may hold 128 operations, this one has 129`},
	})
}

func TestChangeSetMakesIDs(t *testing.T) {
	b := newBench(t, nil)
	r := b.send("POST", base+"/changes", `{"changes":[
		{"method":"POST","path":"/routes","value":{"uri":"/a"}},{"method":"POST","path":"/routes","value":{"uri":"/b"}}]}`)
	if r.status != 200 || len(regexp.MustCompile(`/apisix/routes/\d{20}"`).FindAllString(r.text, -1)) != 2 {
		t.Fatalf("%d %s", r.status, r.text)
	}
	b.run([]step{{"GET", "/routes", ``, 200, `~"total":2`}})
}

func TestChangeSetRemovesAConsumerWithCredentials(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/consumers/c", `{"username":"c"}`, 201, ``},
		{"PUT", "/consumers/c/credentials/1", `{"plugins":{}}`, 201, ``},
		{"PUT", "/consumers/c/credentials/2", `{"plugins":{}}`, 201, ``},
		{"POST", "/changes", `{"changes":[{"method":"DELETE","path":"/consumers/c"},{"path":"/routes/1","value":{"uri":"/"}}]}`, 200, ``},
		{"GET", "/consumers/c/credentials", ``, 404, ``},
		{"POST", "/changes", `{"changes":[{"path":"/consumers/d","value":{"username":"d"}},{"path":"/consumers/d/credentials/1","value":{"plugins":{}}}]}`, 200, ``},
		{"POST", "/changes", `{"changes":[{"method":"DELETE","path":"/routes/1"},{"method":"DELETE","path":"/consumers/d"},{"path":"/consumers/d/credentials/2","value":{"plugins":{}}}]}`, 404, `~consumer not found`},
		{"GET", "/routes/1", ``, 200, ``},
	})
}

func TestChangeSetHandsAKeyOn(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{
		{"PUT", "/consumers/a", `{"username":"a","plugins":{"basic-auth":{"username":"u"}}}`, 201, ``},
		{"PUT", "/consumers/a/credentials/1", `{"plugins":{"key-auth":{"key":"k"}}}`, 201, ``},
		{"POST", "/changes", `{"changes":[
			{"path":"/consumers/b","value":{"username":"b","plugins":{"key-auth":{"key":"k"},"basic-auth":{"username":"u"}}}},
			{"method":"DELETE","path":"/consumers/a"}]}`, 200, ``},
		{"POST", "/changes", `{"changes":[
			{"path":"/consumers/c","value":{"username":"c","plugins":{"key-auth":{"key":"n"}}}},
			{"path":"/consumers/d","value":{"username":"d","plugins":{"key-auth":{"key":"n"}}}}]}`, 400, `~duplicate key found with consumer: d`},
	})
}

func TestChangeSetIsPlannedAgainAfterARace(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{{"PUT", "/routes/1", `{"uri":"/a"}`, 201, ``}})
	b.store.beforeTxn = func() { b.store.put(conf.KindRoute, "1", `{"id":"1","uri":"/other"}`) }
	b.run([]step{{"POST", "/changes", `{"changes":[{"method":"PATCH","path":"/routes/1","value":{"desc":"d"}}]}`, 200, `~"uri":"/other"`}})
}

func TestDryRunWritesNothing(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Lint = func(c []Change) []string { return []string{c[0].Action + " seen"} } })
	b.run([]step{
		{"PUT", "/upstreams/u", `{"nodes":{"a:1":1},"hosts":[1,2],"t":1.0}`, 201, ``},
		{"PUT", "/routes/1", `{"uri":"/a","upstream_id":"u"}`, 201, ``},
	})
	rev, journal := b.store.rev(), len(b.journal)
	b.later(60e9)
	b.run([]step{
		{"PUT", "/routes/2?dry_run=true", `{"uri":"/b"}`, 200,
			`{"dry_run":true,"changes":[{"action":"create","key":"/apisix/routes/2","value":{"id":"2","uri":"/b","create_time":1700000060,"update_time":1700000060}}]}`},
		{"POST", "/routes?dry_run=true", `{"uri":"/b"}`, 200, `~"key":"/apisix/routes/<generated>"`},
		{"PUT", "/upstreams/u?dry_run=true", `{"nodes":{"a:1":1},"hosts":[1,2],"t":1}`, 200, `~"action":"none"`},
		{"PUT", "/upstreams/u?dry_run=true", `{"nodes":{"a:1":2,"b/c:1":1},"hosts":[1,3]}`, 200,
			`~"differences":[{"path":"/hosts/1","from":2,"to":3},{"path":"/nodes/a:1","from":1,"to":2},{"path":"/nodes/b~1c:1","to":1},{"path":"/t","from":1.0}]`},
		{"PATCH", "/routes/1?dry_run=true", `{"uri":"/z"}`, 200, `~"differences":[{"path":"/uri","from":"/a","to":"/z"}]`},
		{"PATCH", "/routes/9?dry_run=true", `{"uri":"/z"}`, 404, ``},
		{"DELETE", "/routes/1?dry_run=true", ``, 200, `{"dry_run":true,"changes":[{"action":"delete","key":"/apisix/routes/1"}]}`},
		{"DELETE", "/upstreams/u?dry_run=true", ``, 400, `~still using it`},
		{"PUT", "/routes/2?dry_run=true", `{"uri":"/b","service_id":"x"}`, 400, `~response code: 404`},
		{"POST", "/changes?dry_run=true", `{"changes":[{"path":"/routes/3","value":{"uri":"/"}},{"method":"DELETE","path":"/routes/1"}]}`, 200, `~"action":"delete"`},
	})
	if b.store.rev() != rev || len(b.journal) != journal {
		t.Errorf("revision %d, before %d; journal %d, before %d", b.store.rev(), rev, len(b.journal), journal)
	}
	r := b.send("PUT", base+"/routes/2?dry_run=true", `{"uri":"/b"}`)
	if r.header.Get("X-Sluice-Warnings") != "create seen" {
		t.Errorf("warnings %q", r.header.Get("X-Sluice-Warnings"))
	}
}

func TestJournalAndWarnings(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Lint = func([]Change) []string { return []string{"no timeout", "line\r\nbreak é"} }
	})
	r := b.send("PUT", base+"/routes/1", `{"uri":"/a"}`)
	if got := r.header.Get("X-Sluice-Warnings"); got != "no timeout; line??break ?" {
		t.Errorf("warnings %q", got)
	}
	r = b.send("PATCH", base+"/routes/1?dry_run=true", `{"desc":"a warning"}`)
	if got := r.header.Get("X-Sluice-Warnings"); !strings.HasPrefix(got, "the check warns; no timeout") {
		t.Errorf("warnings %q", got)
	}
	b.run([]step{{"PATCH", "/routes/1", `{"uri":"/b"}`, 200, ``}, {"DELETE", "/routes/1", ``, 200, ``}})
	actions := ""
	for _, c := range b.journal {
		actions += c.Action + " "
		if c.Admin != "admin" || c.Address != "127.0.0.1" || c.Kind != conf.KindRoute || c.ID != "1" || c.Rev == 0 {
			t.Errorf("%+v", c)
		}
		if (c.Before == nil) != (c.Action == "create") || (c.After == nil) != (c.Action == "delete") {
			t.Errorf("%+v", c)
		}
	}
	if actions != "create update delete " {
		t.Error(actions)
	}
}
