package explain_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/explain"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"

	_ "github.com/sluicegw/sluice/plugins/consumerrestriction"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"
)

// gateway builds a configuration of lines such as "routes/1 {...}".
func gateway(t *testing.T, lines ...string) *explain.Gateway {
	t.Helper()
	kinds := map[string]conf.Kind{}
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		kinds[k.Dir()] = k
	}
	b := build.New(build.Options{Clock: loop.Clock})
	batch := &conf.Batch{Full: true, Rev: 7}
	v := &conf.Validator{Mode: conf.ModeAdmin}
	for i, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		dir, id, _ := strings.Cut(key, "/")
		filled, _, err := v.Check(kinds[dir], id, []byte(value))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		batch.Objects = append(batch.Objects, conf.Object{Kind: kinds[dir], ID: id, Rev: int64(i + 1), Value: filled})
	}
	for _, r := range b.Apply(batch) {
		t.Fatalf("%s %s: %v", r.Kind, r.ID, r.Err)
	}
	policy, err := guard.New(guard.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return &explain.Gateway{Builder: b, Policy: policy, Limits: h1.Limits{}}
}

func ask(t *testing.T, g *explain.Gateway, q explain.Question) *explain.Report {
	t.Helper()
	r, err := g.Ask(&q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tried writes the candidates down: "2:methods 1:SERVES 3".
func tried(list []explain.Candidate) string {
	var words []string
	for _, c := range list {
		word := c.Route
		if c.Failed != "" {
			word += ":" + c.Failed
		}
		if c.Chosen {
			word += ":SERVES"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

const up = `"upstream":{"nodes":{"127.0.0.1:1980":1}}`

func TestCandidatesInOrder(t *testing.T) {
	g := gateway(t,
		`routes/exact {"uri":"/a/b","methods":["POST"],`+up+`}`,
		`routes/exact2 {"uri":"/a/b","vars":[["arg_x","==","1"]],`+up+`}`,
		`routes/high {"uri":"/a/*","priority":9,"remote_addr":"10.0.0.0/8",`+up+`}`,
		`routes/low {"uri":"/a/*",`+up+`}`,
		`routes/host {"uri":"/a/*","host":"*.example.com",`+up+`}`,
		`routes/off {"uri":"/a/b","status":0,`+up+`}`,
		`routes/all {"uri":"/*",`+up+`}`,
	)
	f := func(method, url string, headers []string, want string) {
		t.Helper()
		r := ask(t, g, explain.Question{Method: method, URL: url, Headers: headers})
		if got := tried(r.Candidates); got != want {
			t.Errorf("%s %s: %s\nwant %s", method, url, got, want)
		}
	}
	f("GET", "http://x/a/b", nil, "exact:methods exact2:vars high:remote_addrs low:SERVES all")
	f("GET", "http://x/a/b?x=1", nil, "exact:methods exact2:SERVES high:remote_addrs low all")
	f("POST", "http://x/a/b", nil, "exact:SERVES exact2:vars high:remote_addrs low all")
	f("GET", "/a/c", []string{"Host: www.example.com"}, "host:SERVES high:remote_addrs low all")
	f("GET", "http://x/z", nil, "all:SERVES")
	f("GET", "http://x/a/../z", nil, "all:SERVES")
}

func TestRouteAskedAbout(t *testing.T) {
	g := gateway(t,
		`routes/a {"uri":"/a","host":"a.com",`+up+`}`,
		`routes/b {"uri":"/b",`+up+`}`,
		`routes/off {"uri":"/b","status":0,`+up+`}`,
	)
	f := func(route, want string) {
		t.Helper()
		r := ask(t, g, explain.Question{Method: "GET", URL: "http://b.com/a", Route: route})
		if got := tried(r.Asked); got != want {
			t.Errorf("route %s: %s, want %s", route, got, want)
		}
		if r.Route != nil || !strings.Contains(r.Outcome, "404") {
			t.Errorf("outcome %q", r.Outcome)
		}
	}
	f("a", "a:hosts")
	f("b", "b:uri")
	f("off", "off:status")
	if _, err := g.Ask(&explain.Question{Method: "GET", URL: "/", Route: "none"}); err == nil {
		t.Error("a route that does not exist is explained")
	}
}

func TestPluginsAndTheirOrigin(t *testing.T) {
	rewrite := func(uri string) string { return fmt.Sprintf(`"proxy-rewrite":{"uri":%q}`, uri) }
	restrict := `"consumer-restriction":{"whitelist":["jack"]}`
	g := gateway(t,
		`plugin_configs/p {"plugins":{`+rewrite("/p")+`,"key-auth":{}}}`,
		`services/s {"plugins":{`+rewrite("/s")+`},`+up+`}`,
		`consumer_groups/g {"plugins":{`+restrict+`}}`,
		`consumers/jack {"username":"jack","group_id":"g","plugins":{"key-auth":{"key":"k"},`+rewrite("/jack")+`}}`,
		`global_rules/1 {"plugins":{`+rewrite("/g")+`}}`,
		`routes/1 {"uri":"/*","service_id":"s","plugin_config_id":"p"}`,
	)
	describe := func(list []explain.Plugin) string {
		var words []string
		for _, p := range list {
			word := p.Name + "@" + p.Origin
			if len(p.Covers) > 0 {
				word += ">" + strings.Join(p.Covers, ",")
			}
			words = append(words, word)
		}
		return strings.Join(words, " ")
	}
	r := ask(t, g, explain.Question{Method: "GET", URL: "/x"})
	if got, want := describe(r.Plugins), "key-auth@plugin_configs/p proxy-rewrite@plugin_configs/p>services/s"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := describe(r.Global), "proxy-rewrite@global_rules/1"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if !slices.ContainsFunc(r.Notes, func(s string) bool { return strings.Contains(s, "--consumer") }) {
		t.Errorf("no note about the consumer: %q", r.Notes)
	}
	if r.Upstream == nil || r.Upstream.Object != "services/s" || r.Route.Service != "s" || r.Route.PluginConfig != "p" {
		t.Errorf("upstream %+v, route %+v", r.Upstream, r.Route)
	}
	r = ask(t, g, explain.Question{Method: "GET", URL: "/x", Consumer: "jack"})
	if got, want := describe(r.Plugins), "key-auth@plugin_configs/p consumer-restriction@consumer_groups/g proxy-rewrite@consumers/jack>plugin_configs/p,services/s"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if r.Route.Group != "g" {
		t.Errorf("%+v", r.Route)
	}
}

func TestUpstreamAndNode(t *testing.T) {
	g := gateway(t,
		`upstreams/rr {"nodes":[{"host":"127.0.0.1","port":1,"weight":1},{"host":"127.0.0.2","port":2,"weight":1}],"pass_host":"node","timeout":{"connect":1,"send":2,"read":3},"retries":5}`,
		`upstreams/hash {"type":"chash","key":"arg_user","nodes":{"127.0.0.1:1":1,"127.0.0.2:2":1}}`,
		`upstreams/empty {"nodes":[]}`,
		`routes/rr {"uri":"/rr","upstream_id":"rr","timeout":{"connect":9,"send":8,"read":7}}`,
		`routes/hash {"uri":"/hash","upstream_id":"hash"}`,
		`routes/empty {"uri":"/empty","upstream_id":"empty"}`,
		`routes/gone {"uri":"/gone","upstream_id":"no"}`,
		`routes/none {"uri":"/none","plugins":{"proxy-rewrite":{"uri":"/"}}}`,
		`routes/404 {"uri":"/404","service_id":"no"}`,
		`routes/503 {"uri":"/503","plugin_config_id":"no",`+up+`}`,
	)
	outcome := func(url string) *explain.Report {
		t.Helper()
		return ask(t, g, explain.Question{Method: "GET", URL: url})
	}
	f := func(url, want string) {
		t.Helper()
		if r := outcome(url); !strings.Contains(r.Outcome, want) {
			t.Errorf("%s: %q lacks %q", url, r.Outcome, want)
		}
	}
	f("/empty", "503: upstreams/empty has no nodes")
	f("/gone", "502: upstreams/no does not exist")
	f("/none", "503: the route has no upstream")
	f("/404", "404: ")
	f("/503", "503: ")

	// Looking takes no turn: the answer stays the same.
	first := outcome("/rr").Outcome
	for range 5 {
		f("/rr", first)
	}
	u := outcome("/rr").Upstream
	if u.Connect != 9 || u.Read != 7 || u.Retries != 5 || u.Policy != "roundrobin" {
		t.Errorf("%+v", u)
	}
	picked := slices.IndexFunc(u.Nodes, func(n explain.Node) bool { return n.Picked })
	if picked < 0 || !strings.HasPrefix(u.Host, "127.0.0.") || u.Nodes[picked].InFlight != 0 {
		t.Errorf("%+v", u)
	}
	h := outcome("/hash?user=a")
	if h.Upstream.HashKey != "a" || h.Outcome != outcome("/hash?user=a").Outcome {
		t.Errorf("%+v", h.Upstream)
	}
}

func TestRefusedRequests(t *testing.T) {
	g := gateway(t, `routes/1 {"uri":"/*",`+up+`}`)
	f := func(q explain.Question, status int) {
		t.Helper()
		r := ask(t, g, q)
		if r.Refused == nil || r.Refused.Status != status {
			t.Errorf("%+v: %+v", q, r.Refused)
		}
		var out strings.Builder
		if err := r.WriteText(&out); err != nil || !strings.Contains(out.String(), "refused with") {
			t.Errorf("%v %s", err, out.String())
		}
	}
	f(explain.Question{Method: "GET", URL: "/../../etc/passwd"}, 400)
	f(explain.Question{Method: "TRACE", URL: "/"}, 405)
	f(explain.Question{Method: "GET", URL: "/%zz"}, 400)
	f(explain.Question{Method: "GET", URL: "/", Headers: []string{"Host: a", "Host: b"}}, 400)
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	g := gateway(t, `routes/1 {"uri":"/*",`+up+`}`)
	for _, q := range []explain.Question{
		{Method: "GET", URL: "a.com/x"},
		{Method: "GET", URL: "ftp://a.com/x"},
		{Method: "GET", URL: "http:///x"},
		{Method: "GET", URL: "/a b"},
		{Method: "GET", URL: "/", Client: "nobody"},
		{Method: "GET", URL: "/", Headers: []string{"nonsense"}},
		{Method: "GET", URL: "/", Headers: []string{"A: b\r\n\r\nGET / HTTP/1.1"}},
		{Method: "GET", URL: "/", Consumer: "nobody"},
	} {
		if r, err := g.Ask(&q); err == nil {
			t.Errorf("%+v is answered: %+v", q, r)
		}
	}
}

func TestConditionsOnTheBody(t *testing.T) {
	g := gateway(t, `routes/1 {"uri":"/*","vars":[["post_arg_user","==","jack"]],`+up+`}`)
	q := explain.Question{Method: "POST", URL: "/", Body: "user=jack", Headers: []string{"Content-Type: application/x-www-form-urlencoded"}}
	if r := ask(t, g, q); r.Route == nil {
		t.Errorf("%+v", r)
	}
	q.Body = "user=joe"
	if r := ask(t, g, q); r.Route != nil || !strings.Contains(r.Candidates[0].Detail, "post_arg_user") {
		t.Errorf("%+v", r.Candidates)
	}
}

func TestReportIsJSONAndText(t *testing.T) {
	g := gateway(t, `routes/1 {"uri":"/*","name":"all",`+up+`}`)
	r := ask(t, g, explain.Question{Method: "GET", URL: "https://a.com:9443/x?y=1"})
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back explain.Report
	if err := json.Unmarshal(raw, &back); err != nil || back.Route.ID != "1" {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := back.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"https://a.com:9443/x?y=1", `route 1 "all"`, "SERVES", "127.0.0.1:1980", "revision"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, out.String())
		}
	}
}
