package chain_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

// tracer is a plugin that says in a request field which phases it ran in.
type tracer struct{ name, tag string }

func (p *tracer) note(ctx *req.Ctx, phase string) req.Verdict {
	ctx.Req.AddString("X-Trace", p.name+"."+phase+"."+p.tag)
	return req.Continue
}

func (p *tracer) Rewrite(ctx *req.Ctx) req.Verdict     { return p.note(ctx, "rewrite") }
func (p *tracer) Access(ctx *req.Ctx) req.Verdict      { return p.note(ctx, "access") }
func (p *tracer) BeforeProxy(ctx *req.Ctx) req.Verdict { return p.note(ctx, "proxy") }
func (p *tracer) HeaderFilter(ctx *req.Ctx) {
	ctx.Resp.AddString("X-Trace", p.name+".header."+p.tag)
}

// stopper ends requests in the access phase.
type stopper struct{ status int }

func (p *stopper) Access(ctx *req.Ctx) req.Verdict {
	return ctx.Exit(p.status, []byte("stopped\n"), "text/plain")
}

// bomb panics in the phase that it is told.
type bomb struct{ phase string }

func (p *bomb) Rewrite(*req.Ctx) req.Verdict { return p.blow("rewrite") }
func (p *bomb) Access(*req.Ctx) req.Verdict  { return p.blow("access") }
func (p *bomb) HeaderFilter(*req.Ctx)        { p.blow("header_filter") }
func (p *bomb) Log(*req.Ctx)                 { p.blow("log") }

func (p *bomb) blow(phase string) req.Verdict {
	if p.phase == phase {
		panic("on purpose")
	}
	return req.Continue
}

func init() {
	trace := func(name string, priority int, preferRoute bool) {
		chain.Register(&chain.Plugin{
			Name: name, Priority: priority, PreferRoute: preferRoute,
			New: func(raw json.RawMessage, _ *chain.Env) (any, error) {
				p := struct{ Tag string }{}
				err := json.Unmarshal(raw, &p)
				return &tracer{name, p.Tag}, err
			},
		})
	}
	trace("test-high", 9000, false) // before authentication
	trace("test-mid", 200, false)
	trace("test-low", 100, false)
	trace("test-prefer", 50, true)
	chain.Register(&chain.Plugin{Name: "test-stop", Priority: 10, New: func(raw json.RawMessage, _ *chain.Env) (any, error) {
		p := &stopper{}
		return p, json.Unmarshal(raw, &struct{ Status *int }{&p.status})
	}})
	chain.Register(&chain.Plugin{Name: "test-bomb", Priority: 10, New: func(raw json.RawMessage, _ *chain.Env) (any, error) {
		p := &bomb{}
		return p, json.Unmarshal(raw, &struct{ Phase *string }{&p.phase})
	}})
}

// traced requests / with jack's key and returns what ran before the upstream
// and after it.
func traced(t *testing.T, g *gateway.Gateway) (before, after string) {
	t.Helper()
	resp, body := g.Get("/", "apikey: jack")
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return strings.Join(gateway.Saw(t, body).Header["X-Trace"], " "), strings.Join(resp.Header["X-Trace"], " ")
}

func jack(g *gateway.Gateway, group, plugins string) {
	if plugins != "" {
		plugins = "," + plugins
	}
	if group != "" {
		group = fmt.Sprintf(`"group_id":%q,`, group)
	}
	g.Put(conf.KindConsumer, "jack", `{"username":"jack",`+group+`"plugins":{"key-auth":{"key":"jack"}`+plugins+`}}`)
}

func tag(name, tag string) string { return fmt.Sprintf(`%q:{"tag":%q}`, name, tag) }

func TestOrderOfPhases(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{`+tag("test-low", "rule")+`}}`)
	g.Route(gateway.Upstream(t), `{"key-auth":{},`+tag("test-mid", "route")+`,`+tag("test-high", "route")+`}`)
	jack(g, "", "")
	before, after := traced(t, g)
	if want := "test-low.rewrite.rule test-high.rewrite.route test-mid.rewrite.route test-low.access.rule " +
		"test-high.access.route test-mid.access.route test-low.proxy.rule test-high.proxy.route test-mid.proxy.route"; before != want {
		t.Errorf("before the upstream\n%s\nwant\n%s", before, want)
	}
	if want := "test-low.header.rule test-high.header.route test-mid.header.route"; after != want {
		t.Errorf("after the upstream %s, want %s", after, want)
	}
}

// What only the consumer brings joins after authentication: its rewrite comes
// behind the route's whatever the priorities are, its other phases in order.
func TestConsumerPluginsJoin(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"key-auth":{},`+tag("test-mid", "route")+`}`)
	jack(g, "", tag("test-high", "consumer")+`,"test-low":{"tag":"consumer","_meta":{"priority":5000}}`)
	before, _ := traced(t, g)
	if want := "test-mid.rewrite.route test-high.rewrite.consumer test-low.rewrite.consumer " +
		"test-high.access.consumer test-low.access.consumer test-mid.access.route " +
		"test-high.proxy.consumer test-low.proxy.consumer test-mid.proxy.route"; before != want {
		t.Errorf("ran\n%s\nwant\n%s", before, want)
	}
	if g.Builder.Merged().Made() != 1 {
		t.Errorf("%d chains were merged, want 1", g.Builder.Merged().Made())
	}
	traced(t, g)
	if n := g.Builder.Merged().Made(); n != 1 {
		t.Errorf("%d chains were merged for two requests, want 1", n)
	}
}

// A plugin of the consumer replaces the route's from the access phase on; its
// rewrite has been.
func TestConsumerReplacesTheRoutesPlugin(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"key-auth":{},`+tag("test-mid", "route")+`}`)
	jack(g, "", tag("test-mid", "consumer"))
	before, _ := traced(t, g)
	if want := "test-mid.rewrite.route test-mid.access.consumer test-mid.proxy.consumer"; before != want {
		t.Errorf("ran %s, want %s", before, want)
	}
}

func TestPrecedence(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	access := func(want string) {
		t.Helper()
		before, _ := traced(t, g)
		var got []string
		for one := range strings.SplitSeq(before, " ") {
			if _, tag, ok := strings.Cut(one, "access."); ok {
				got = append(got, tag)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s wins, want %s (%s)", got, want, before)
		}
	}
	g.Put(conf.KindService, "s", `{"plugins":{`+tag("test-mid", "service")+`}}`)
	route := func(more string) {
		g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","service_id":"s",%s"upstream":{"nodes":{%q:1}}}`, more, node))
	}
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"key-auth":{}}}`)
	jack(g, "", "")
	route("")
	access("service")
	g.Put(conf.KindPluginConfig, "p", `{"plugins":{`+tag("test-mid", "config")+`}}`)
	route(`"plugin_config_id":"p",`)
	access("config")
	route(`"plugin_config_id":"p","plugins":{` + tag("test-mid", "route") + `},`)
	access("route")
	g.Put(conf.KindConsumerGroup, "g", `{"plugins":{`+tag("test-mid", "group")+`}}`)
	jack(g, "g", "")
	access("group")
	g.Put(conf.KindConsumerGroup, "g", `{"plugins":{`+tag("test-mid", "group2")+`}}`)
	access("group2")
	jack(g, "g", tag("test-mid", "consumer"))
	access("consumer")
	jack(g, "", "")
	access("route")
}

func TestMissingGroup(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"key-auth":{}}`)
	jack(g, "g", "")
	if resp, _ := g.Get("/", "apikey: jack"); resp.StatusCode != 503 {
		t.Errorf("%d, want 503", resp.StatusCode)
	}
	g.Put(conf.KindConsumerGroup, "g", `{"plugins":{}}`)
	if resp, _ := g.Get("/", "apikey: jack"); resp.StatusCode != 200 {
		t.Errorf("%d with the group, want 200", resp.StatusCode)
	}
	g.Delete(conf.KindConsumerGroup, "g")
	if resp, _ := g.Get("/", "apikey: jack"); resp.StatusCode != 503 {
		t.Errorf("%d after the group was deleted, want 503", resp.StatusCode)
	}
}

func TestMeta(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	jack(g, "", "")
	f := func(name, plugins, want string) {
		t.Helper()
		g.Route(node, `{"key-auth":{},`+plugins+`}`)
		before, _ := traced(t, g)
		var got []string
		for one := range strings.SplitSeq(before, " ") {
			if n, _, ok := strings.Cut(one, ".access."); ok {
				got = append(got, strings.TrimPrefix(n, "test-"))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s ran, want %s", name, got, want)
		}
	}
	f("by default", `"test-mid":{},"test-low":{}`, "mid low")
	f("disable", `"test-mid":{"_meta":{"disable":true}},"test-low":{}`, "low")
	f("priority", `"test-mid":{},"test-low":{"_meta":{"priority":300}}`, "low mid")
	f("negative priority", `"test-mid":{"_meta":{"priority":-1}},"test-low":{}`, "low mid")
	f("filter that holds", `"test-mid":{"_meta":{"filter":[["uri","==","/"]]}}`, "mid")
	f("filter that does not", `"test-mid":{"_meta":{"filter":[["uri","==","/x"]]}},"test-low":{}`, "low")
	f("filter by consumer", `"test-mid":{"_meta":{"filter":[["consumer_name","==","jack"]]}}`, "mid")
}

func TestErrorResponse(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	f := func(plugin, body, ctype string) {
		t.Helper()
		g.Route(node, `{"test-stop":`+plugin+`}`)
		resp, got := g.Get("/")
		if got != body || resp.Header.Get("Content-Type") != ctype {
			t.Errorf("%s: %q (%s), want %q (%s)", plugin, got, resp.Header.Get("Content-Type"), body, ctype)
		}
	}
	f(`{"status":403}`, "stopped\n", "text/plain")
	f(`{"status":403,"_meta":{"error_response":"no"}}`, "no", "text/plain; charset=utf-8")
	f(`{"status":403,"_meta":{"error_response":{"a":1}}}`, `{"a":1}`+"\n", "application/json")
	f(`{"status":302,"_meta":{"error_response":"no"}}`, "stopped\n", "text/plain")
}

func TestErrorResponseOfAuthentication(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"key-auth":{"_meta":{"error_response":{"error":"who are you?"}}}}`)
	resp, body := g.Get("/")
	if resp.StatusCode != 401 || body != `{"error":"who are you?"}`+"\n" || resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestGlobalRules(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	jack(g, "", "")
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{`+tag("test-prefer", "rule")+`,`+tag("test-mid", "rule")+`}}`)
	node := gateway.Upstream(t)
	f := func(name, plugins, want string) {
		t.Helper()
		g.Route(node, `{"key-auth":{}`+plugins+`}`)
		_, after := traced(t, g)
		if after != want {
			t.Errorf("%s: %s, want %s", name, after, want)
		}
	}
	f("alone", "", "test-mid.header.rule test-prefer.header.rule")
	f("with the route's own", ","+tag("test-mid", "route")+","+tag("test-prefer", "route"),
		"test-mid.header.rule test-mid.header.route test-prefer.header.route")
	f("with a disabled one", `,"test-prefer":{"_meta":{"disable":true}}`, "test-mid.header.rule test-prefer.header.rule")
	g.Put(conf.KindGlobalRule, "2", `{"plugins":{`+tag("test-mid", "other")+`}}`)
	f("in two rules", "", "test-prefer.header.rule")
	if !strings.Contains(g.Log(), "plugin stands in two global rules") {
		t.Error("the log does not say why")
	}
	g.Delete(conf.KindGlobalRule, "2")
	f("in one again", "", "test-mid.header.rule test-prefer.header.rule")
}

// Global rules run for requests that no route fits.
func TestGlobalRuleWithoutRoute(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"key-auth":{}}}`)
	jack(g, "", tag("test-mid", "consumer"))
	if resp, _ := g.Get("/nowhere"); resp.StatusCode != 401 {
		t.Errorf("%d, want 401", resp.StatusCode)
	}
	if resp, _ := g.Get("/nowhere", "apikey: jack"); resp.StatusCode != 404 {
		t.Errorf("%d, want 404", resp.StatusCode)
	}
}

func TestPanicsAreContained(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	for _, phase := range []string{"rewrite", "access", "header_filter"} {
		g.Route(node, fmt.Sprintf(`{"test-bomb":{"phase":%q}}`, phase))
		if resp, _ := g.Get("/"); resp.StatusCode != 500 {
			t.Errorf("panic in %s: %d, want 500", phase, resp.StatusCode)
		}
	}
	g.Route(node, `{"test-bomb":{"phase":"log"}}`)
	if resp, _ := g.Get("/"); resp.StatusCode != 200 {
		t.Errorf("panic after the answer: %d, want 200", resp.StatusCode)
	}
	// A consumer's plugin and a global rule are no different.
	g.Route(node, `{"key-auth":{}}`)
	jack(g, "", `"test-bomb":{"phase":"rewrite"}`)
	if resp, _ := g.Get("/", "apikey: jack"); resp.StatusCode != 500 {
		t.Errorf("panic in a consumer's plugin: %d, want 500", resp.StatusCode)
	}
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"test-bomb":{"phase":"access"}}}`)
	if resp, _ := g.Get("/", "apikey: jack"); resp.StatusCode != 500 {
		t.Errorf("panic in a global rule: %d, want 500", resp.StatusCode)
	}
	g.Delete(conf.KindGlobalRule, "1")
	jack(g, "", "")
	if resp, _ := g.Get("/", "apikey: jack"); resp.StatusCode != 200 {
		t.Errorf("afterwards: %d, want 200", resp.StatusCode)
	}
	if !strings.Contains(g.Log(), "stage=test-bomb") || !strings.Contains(g.Log(), "route=1") {
		t.Error("the log does not name the plugin and the route")
	}
}
