package lint_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/lint"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/req"
)

const up = `"upstream":{"timeout":{"connect":1,"send":1,"read":1},"nodes":{"127.0.0.1:1980":1}}`

func object(t *testing.T, line string) conf.Object {
	t.Helper()
	key, value, _ := strings.Cut(line, " ")
	dir, id, _ := strings.Cut(key, "/")
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if k.Dir() == dir {
			if k == conf.KindConsumer && strings.Contains(id, "/") {
				k = conf.KindCredential
			}
			v := &conf.Validator{Mode: conf.ModeAdmin}
			filled, _, err := v.Check(k, id, []byte(value))
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			return conf.Object{Kind: k, ID: id, Value: filled}
		}
	}
	t.Fatalf("%s: no such kind", dir)
	return conf.Object{}
}

func objects(t *testing.T, lines []string) []lint.Object {
	t.Helper()
	var list []lint.Object
	for _, line := range lines {
		list = append(list, lint.Object{Object: object(t, line)})
	}
	return list
}

// short writes findings down: "shadowed routes/2".
func short(list []lint.Finding) []string {
	var words []string
	for _, f := range list {
		word := f.Rule + " " + f.Object
		if f.Field != "" {
			word += " " + f.Field
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// check compares the findings of one rule.
func check(t *testing.T, o lint.Options, rule string, lines []string, want ...string) {
	t.Helper()
	var got []string
	for _, word := range short(lint.Run(o, objects(t, lines))) {
		if rest, ok := strings.CutPrefix(word, rule+" "); ok {
			got = append(got, rest)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s of\n  %s\nis %q, want %q", rule, strings.Join(lines, "\n  "), got, want)
	}
}

func route(id, fields string) string { return fmt.Sprintf(`routes/%s {%s,%s}`, id, fields, up) }

func TestShadowed(t *testing.T) {
	f := func(first, second string, want ...string) {
		t.Helper()
		check(t, lint.Options{}, "shadowed", []string{route("1", first), route("2", second)}, want...)
	}
	f(`"uri":"/a"`, `"uri":"/a"`, "routes/2")
	f(`"uri":"/a"`, `"uri":"/b"`)
	f(`"uri":"/a"`, `"uri":"/a","priority":1`, "routes/1")
	f(`"uri":"/a*"`, `"uri":"/a"`)
	f(`"uri":"/a"`, `"uri":"/a","methods":["GET"]`, "routes/2")
	f(`"uri":"/a","methods":["GET"]`, `"uri":"/a"`)
	f(`"uri":"/a","methods":["GET","POST"]`, `"uri":"/a","methods":["GET"]`, "routes/2")
	f(`"uri":"/a","host":"a.com"`, `"uri":"/a"`)
	f(`"uri":"/a","host":"A.com"`, `"uri":"/a","host":"a.COM"`, "routes/2")
	f(`"uri":"/a","host":"*.a.com"`, `"uri":"/a","host":"b.a.com"`)
	f(`"uri":"/a"`, `"uri":"/a","host":"*"`, "routes/1")
	f(`"uri":"/a","vars":[["arg_x","==","1"]]`, `"uri":"/a"`)
	f(`"uri":"/a","vars":[["arg_x","==","1"]]`, `"uri":"/a","vars":[["arg_x","==","1"]]`, "routes/2")
	f(`"uri":"/a","remote_addr":"10.0.0.0/8"`, `"uri":"/a","remote_addr":"10.1.0.0/16"`, "routes/2")
	f(`"uri":"/a","remote_addr":"10.1.0.0/16"`, `"uri":"/a","remote_addr":"10.0.0.0/8"`)
	f(`"uri":"/a","status":0`, `"uri":"/a"`)
	f(`"uris":["/a","/b"]`, `"uri":"/b"`, "routes/2")
	f(`"uri":"/a/*"`, `"uri":"/a/*/c"`)
	f(`"uri":"/a/*","priority":1`, `"uri":"/a/*/c"`, "routes/2")
}

func TestShadowedByPlaceWhereOnlyPathDecides(t *testing.T) {
	o := lint.Options{Match: match.Options{Mode: match.ModeURI}}
	check(t, o, "shadowed", []string{route("1", `"uri":"/a"`), route("2", `"uri":"/a","host":"a.com"`)}, "routes/2")
	check(t, o, "shadowed", []string{route("1", `"uri":"/a"`), route("2", `"uri":"/a","host":"a.com","priority":1`)})
	check(t, o, "shadowed", []string{route("1", `"uri":"/a","host":"*.a.com"`), route("2", `"uri":"/a","host":"b.a.com"`)}, "routes/2")
}

func TestHostsOfTheService(t *testing.T) {
	check(t, lint.Options{}, "shadowed", []string{
		`services/s {"hosts":["a.com"],` + up + `}`,
		route("1", `"uri":"/a","host":"a.com"`), `routes/2 {"uri":"/a","service_id":"s"}`,
	}, "routes/2")
}

func TestAmbiguous(t *testing.T) {
	f := func(first, second string, want ...string) {
		t.Helper()
		check(t, lint.Options{}, "ambiguous", []string{route("1", first), route("2", second)}, want...)
	}
	f(`"uri":"/a","vars":[["arg_x","==","1"]]`, `"uri":"/a"`, "routes/2")
	f(`"uri":"/a","vars":[["arg_x","==","1"]]`, `"uri":"/a","vars":[["arg_x","==","2"]]`)
	f(`"uri":"/a","vars":[["arg_x","==","1"]]`, `"uri":"/a","vars":[["arg_y","==","2"]]`, "routes/2")
	f(`"uri":"/a","vars":[["arg_x","==","1"]],"priority":1`, `"uri":"/a"`)
	f(`"uri":"/a","methods":["GET"]`, `"uri":"/a","methods":["POST"]`)
	f(`"uri":"/a","methods":["GET","PUT"]`, `"uri":"/a","methods":["GET","POST"]`, "routes/2")
	f(`"uri":"/a","remote_addr":"10.0.0.1"`, `"uri":"/a","remote_addr":"10.0.0.2"`)
	f(`"uri":"/a/*/x"`, `"uri":"/a/*/y"`)
	f(`"uri":"/a/*/x1"`, `"uri":"/a/*/xy"`)
	f(`"uri":"/a/*/x"`, `"uri":"/a/*b/x"`)
	f(`"uri":"/a"`, `"uri":"/a"`) // that is shadowed
	check(t, lint.Options{Match: match.Options{Mode: match.ModeURIWithParameter}}, "ambiguous",
		[]string{route("1", `"uri":"/u/:id/a"`), route("2", `"uri":"/u/:id/b"`), route("3", `"uri":"/u/:no/b"`)}, "routes/3")
}

func TestPriorityThatDoesNothing(t *testing.T) {
	f := func(first, second string, want ...string) {
		t.Helper()
		check(t, lint.Options{}, "priority-ignored", []string{route("1", first), route("2", second)}, want...)
	}
	f(`"uri":"/*","priority":9`, `"uri":"/a"`, "routes/1 priority")
	f(`"uri":"/a*","priority":9`, `"uri":"/ab*"`, "routes/1 priority")
	f(`"uri":"/ab*","priority":9`, `"uri":"/a*"`)
	f(`"uri":"/a*","priority":9`, `"uri":"/b"`)
	f(`"uri":"/a","priority":9`, `"uri":"/a","host":"a.com"`, "routes/1 priority")
	f(`"uri":"/*","priority":9`, `"uri":"/a","priority":9`)
	f(`"uri":"/*","priority":9,"methods":["GET"]`, `"uri":"/a","methods":["PUT"]`)
}

func TestUnreachable(t *testing.T) {
	f := func(fields string, o lint.Options, want ...string) {
		t.Helper()
		check(t, o, "unreachable", []string{route("1", fields)}, want...)
	}
	var o lint.Options
	f(`"uri":"/a//b"`, o, "routes/1 uri")
	f(`"uris":["/ok","/a/../b"]`, o, "routes/1 uris")
	f(`"uri":"/a/./b*"`, o, "routes/1 uri")
	f(`"uri":"/a?x=1"`, o, "routes/1 uri")
	f(`"uri":"/a%20b"`, o, "routes/1 uri")
	f(`"uri":"/a%2Fb"`, o, "routes/1 uri")
	f(`"uri":"/a%2Fb"`, lint.Options{EncodedSlash: true})
	f(`"uri":"/a/"`, o)
	f(`"uri":"/a/"`, lint.Options{Match: match.Options{DeleteTailSlash: true}}, "routes/1 uri")
	f(`"uri":"/..a/.b"`, o)
	f(`"uri":"/a","methods":["TRACE"]`, o, "routes/1 methods")
	f(`"uri":"/a","methods":["TRACE","GET"]`, o)
	check(t, o, "literal-parameter", []string{route("1", `"uri":"/u/:id"`)}, "routes/1 uri")
	check(t, lint.Options{Match: match.Options{Mode: match.ModeURIWithParameter}}, "literal-parameter", []string{route("1", `"uri":"/u/:id"`)})
}

func TestReferences(t *testing.T) {
	check(t, lint.Options{}, "dangling", []string{
		`routes/1 {"uri":"/a","upstream_id":"x","service_id":"y","plugin_config_id":"z"}`,
		`routes/2 {"uri":"/b","plugins":{"traffic-split":{"rules":[{"weighted_upstreams":[{"upstream_id":"u"},{"upstream_id":"v"}]}]}},"upstream_id":"u"}`,
		`upstreams/u {"nodes":{"a:1":1}}`,
		`consumers/jack {"username":"jack","group_id":"g","plugins":{"key-auth":{"key":"$secret://vault/1/a/b"}}}`,
		`consumers/joe/credentials/c {"plugins":{"key-auth":{"key":"k"}}}`,
	}, "routes/1 upstream_id", "routes/1 service_id", "routes/1 plugin_config_id", "routes/2 plugins.traffic-split",
		"consumers/jack group_id", "consumers/jack", "consumers/joe/credentials/c")
	check(t, lint.Options{}, "unused", []string{
		`upstreams/a {"nodes":{"a:1":1}}`, `upstreams/b {"nodes":{"a:1":1}}`, `upstreams/c {"nodes":{"a:1":1}}`,
		`services/s {"upstream_id":"a"}`,
		`routes/1 {"uri":"/a","upstream_id":"b"}`,
		`plugin_configs/p {"plugins":{}}`, `consumer_groups/g {"plugins":{}}`,
		`consumers/jack {"username":"jack"}`,
		`consumers/joe {"username":"joe"}`, `consumers/joe/credentials/c {"plugins":{"key-auth":{"key":"k"}}}`,
		`secrets/vault/1 {"uri":"http://127.0.0.1:8200","prefix":"kv/apisix","token":"t"}`,
	}, "upstreams/c", "services/s", "plugin_configs/p", "consumer_groups/g", "consumers/jack", "secrets/vault/1")
}

func TestAuthThatNobodyPasses(t *testing.T) {
	lines := []string{`routes/1 {"uri":"/a","plugins":{"key-auth":{}},` + up + `}`}
	check(t, lint.Options{}, "no-credential", lines, "routes/1 plugins.key-auth")
	check(t, lint.Options{}, "no-credential", append(lines, `consumers/jack {"username":"jack","plugins":{"key-auth":{"key":"k"}}}`))
	check(t, lint.Options{}, "no-credential", append(lines, `consumers/jack {"username":"jack","plugins":{"basic-auth":{"username":"u","password":"p"}}}`), "routes/1 plugins.key-auth")
}

// Settings that hurt, each by its rule.
func TestRisks(t *testing.T) {
	f := func(line string, want ...string) {
		t.Helper()
		o := object(t, line)
		got := short(lint.CheckObject(lint.Options{}, &o))
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	const timed = `"timeout":{"connect":1,"send":1,"read":1}`
	f(`upstreams/1 {` + timed + `,"nodes":{"a:1":1}}`)
	f(`upstreams/1 {"nodes":{"a:1":1}}`, "no-timeout upstreams/1 timeout")
	f(`routes/1 {"uri":"/a",` + timed + `,"upstream":{"nodes":{"a:1":1}}}`)
	f(`routes/1 {"uri":"/a","upstream":{"nodes":{"a:1":1}}}`, "no-timeout routes/1 upstream.timeout")
	f(`upstreams/1 {`+timed+`,"nodes":{"a:1":1,"b:1":1},"retry_on":{"methods":["GET","POST"]}}`, "retries-on-post upstreams/1 retry_on.methods")
	f(`upstreams/1 {`+timed+`,"nodes":{"a:1":1},"scheme":"https"}`, "verify-off upstreams/1 tls.verify")
	f(`upstreams/1 {` + timed + `,"nodes":{"a:1":1},"scheme":"https","tls":{"verify":true}}`)
	f(`upstreams/1 {`+timed+`,"nodes":[]}`, "no-nodes upstreams/1 nodes")
	f(`upstreams/1 {`+timed+`,"nodes":{"a:1":0,"b:1":0}}`, "no-weight upstreams/1 nodes")
	f(`upstreams/1 {`+timed+`,"nodes":[{"host":"a","port":1,"weight":1},{"host":"a","port":1,"weight":2}]}`, "node-twice upstreams/1 nodes")
	f(`upstreams/1 {`+timed+`,"nodes":{"a:1":1},"retries":2}`, "retries-without-nodes upstreams/1 retries")
	f(`upstreams/1 {`+timed+`,"nodes":{"a:1":1,"b:1":1},"retries":0}`, "no-protection upstreams/1 checks")
	f(`upstreams/1 {`+timed+`,"nodes":{"a:1":1},"type":"chash","hash_on":"vars_combinations","key":"$remote_addr $nonsense"}`, "unknown-variable upstreams/1 key")
	f(`routes/1 {"uri":"/a","vars":[["nonsense","==","1"],["arg_a","~~","^(?!x)"]],`+up+`}`, "pcre-only routes/1 vars", "unknown-variable routes/1 vars")
	f(`routes/1 {"uri":"/a","methods":["GET"],`+up+`}`, "get-without-head routes/1 methods")
	f(`routes/1 {"uri":"/a","status":0,`+up+`}`, "switched-off routes/1 status")
	f(`routes/1 {"uri":"/a","plugins":{"proxy-rewrite":{"regex_uri":["^/(?=a)(.*)","/$1"],"headers":{"set":{"X-A":"$nonsense"}}}},`+up+`}`,
		"pcre-only routes/1 plugins.proxy-rewrite.regex_uri[0]", "unknown-variable routes/1 plugins.proxy-rewrite.headers.set.X-A")
	f(`routes/1 {"uri":"/a","plugins":{"limit-count":{"count":1,"time_window":1,"key":"nonsense"}},`+up+`}`, "unknown-variable routes/1 plugins.limit-count.key")
	f(`routes/1 {"uri":"/a","plugins":{"http-logger":{"uri":"https://a","ssl_verify":false,"log_format":{"a":"$nonsense","b":"$uri"}}},`+up+`}`,
		"unknown-variable routes/1 plugins.http-logger.log_format.a", "verify-off routes/1 plugins.http-logger.ssl_verify")
	f(`routes/1 {"uri":"/a","plugins":{"key-auth":{"_meta":{"disable":true}}},`+up+`}`, "switched-off routes/1 plugins.key-auth")
	f(`routes/1 {"uri":"/a","plugins":{"proxy-rewrite":{"uri":"/","_meta":{"filter":[["nonsense","==","1"]]}}},`+up+`}`, "unknown-variable routes/1 plugins.proxy-rewrite._meta.filter")
}

func TestRefusedObjectsAndReservations(t *testing.T) {
	list := objects(t, []string{`routes/1 {"uri":"/a","upstream_id":"u"}`})
	list[0].Warnings, list[0].Line = []string{"hm"}, 7
	list = append(list, lint.Object{Object: conf.Object{Kind: conf.KindUpstream, ID: "u"}, Refused: "no"})
	got := lint.Run(lint.Options{}, list)
	if want := []string{"refused upstreams/u", "reservation routes/1"}; !slices.Equal(short(got), want) {
		t.Errorf("%q", short(got))
	}
	if got[0].Severity != lint.Error || got[1].Line != 7 {
		t.Errorf("%+v", got)
	}
	if worst, ok := lint.Worst(got); !ok || worst != lint.Error {
		t.Error("the worst is not an error")
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back []lint.Finding
	if err := json.Unmarshal(raw, &back); err != nil || back[0].Severity != lint.Error {
		t.Errorf("%v %s", err, raw)
	}
}

// The places that lint compares at are those of the routing table, and its
// order is the table's.
func TestPlacesAreThoseOfTheTable(t *testing.T) {
	uris := []string{"/a", "/a*", "/a/*", "/a/*/c", "/a/*x", "/*", "/a/*name", "*", "/u/:id", "/u/:id/x", "/u/:x/*"}
	hosts := []string{"", "a.com", "*.a.com", "*"}
	for _, mode := range []match.Mode{match.ModeHostURI, match.ModeURI, match.ModeURIWithParameter} {
		o := lint.Options{Match: match.Options{Mode: mode}}
		tx := match.New(o.Match).Edit()
		routes := map[string]*conf.Route{}
		x := lint.NewIndex(o, func(id string) *conf.Route { return routes[id] })
		var ids []string
		for i, uri := range uris {
			for j, host := range hosts {
				r := &conf.Route{URI: uri, Priority: (i + j) % 3}
				r.ID = conf.ID(fmt.Sprintf("%d-%d", i, j))
				if host != "" {
					r.Host = host
				}
				ids = append(ids, string(r.ID))
				e := &match.Entry{Route: &req.Route{ID: string(r.ID)}, URIs: r.Paths(), Hosts: r.HostPatterns(), Priority: r.Priority}
				if err := tx.Put(e); err != nil {
					t.Fatal(err)
				}
				routes[string(r.ID)] = r
				x.Put(r)
			}
		}
		together := map[string]string{} // route to the others at its place
		for p := range tx.Commit().Places() {
			var list []string
			for _, c := range p.Candidates {
				list = append(list, c.Entry.Route.ID)
			}
			for i, id := range list {
				if i > 0 && x.Before(list[i-1], id) > 0 {
					t.Errorf("mode %d: %s goes before %s", mode, id, list[i-1])
				}
				if mode == match.ModeHostURI {
					together[id] = strings.Join(slices.Sorted(slices.Values(list)), " ")
				}
			}
		}
		for _, id := range ids {
			if want, ok := together[id]; ok && strings.Join(x.Rivals(id), " ") != want {
				t.Errorf("mode %d: at the place of %s are %q, want %q", mode, id, x.Rivals(id), want)
			}
		}
		if x.Len() != len(ids) {
			t.Errorf("%d routes", x.Len())
		}
		for _, id := range ids {
			x.Delete(id)
		}
		if x.Len() != 0 || x.Places() != 0 {
			t.Errorf("%d routes at %d places are left", x.Len(), x.Places())
		}
	}
}

func TestChangedRouteIsComparedWithItsRivals(t *testing.T) {
	routes := map[string]*conf.Route{}
	x := lint.NewIndex(lint.Options{}, func(id string) *conf.Route { return routes[id] })
	put := func(id, fields string) *conf.Route {
		t.Helper()
		o := object(t, route(id, fields))
		v, err := conf.Decode(&o)
		if err != nil {
			t.Fatal(err)
		}
		r := v.(*conf.Route)
		routes[id] = r
		x.Put(r)
		return r
	}
	put("2", `"uri":"/a"`)
	put("3", `"uri":"/b"`)
	f := func(r *conf.Route, want ...string) {
		t.Helper()
		if got := short(x.CheckRoute(r)); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(put("4", `"uri":"/a"`), "shadowed routes/4")
	f(put("4", `"uri":"/a","priority":1`), "shadowed routes/2")
	f(put("1", `"uri":"/b","vars":[["arg_x","==","1"]]`), "ambiguous routes/3")
	f(put("1", `"uri":"/c"`))

	// Hosts that come with a service part the routes.
	svc := object(t, `routes/5 {"uri":"/d","service_id":"s"}`)
	v, err := conf.Decode(&svc)
	if err != nil {
		t.Fatal(err)
	}
	routes["5"] = v.(*conf.Route)
	x.Put(routes["5"])
	f(put("6", `"uri":"/d"`), "shadowed routes/6")
	x.PutService("s", []string{"a.com"})
	f(routes["6"])
	x.PutService("s", nil)
	f(routes["6"], "shadowed routes/6")
}
