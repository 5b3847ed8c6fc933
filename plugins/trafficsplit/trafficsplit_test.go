package trafficsplit_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/trafficsplit"
	"github.com/sluicegw/sluice/test/gateway"
)

// named is an upstream that answers with its name.
func named(t testing.TB, name string) string {
	return gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) })
}

type world struct {
	*gateway.Gateway
	t                *testing.T
	own, blue, green string
}

func start(t *testing.T) *world {
	w := &world{Gateway: gateway.Start(t, gateway.Options{Loops: 2}), t: t, own: named(t, "own"), blue: named(t, "blue"), green: named(t, "green")}
	w.Put(conf.KindUpstream, "blue", fmt.Sprintf(`{"nodes":{%q:1}}`, w.blue))
	return w
}

// split puts the route; BLUE and GREEN stand for the addresses.
func (w *world) split(rules string) {
	w.t.Helper()
	r := strings.NewReplacer("BLUE", w.blue, "GREEN", w.green)
	w.Route(w.own, `{"traffic-split":{"rules":`+r.Replace(rules)+`}}`)
}

func (w *world) tally(n int, path string, headers ...string) string {
	w.t.Helper()
	count := map[string]int{}
	for range n {
		resp, body := w.Get(path, headers...)
		if resp.StatusCode != 200 {
			body = fmt.Sprint(resp.StatusCode)
		}
		count[body]++
	}
	return strings.TrimPrefix(fmt.Sprint(count), "map")
}

func TestWeights(t *testing.T) {
	w := start(t)
	f := func(name, upstreams, want string) {
		t.Helper()
		w.split(`[{"weighted_upstreams":` + upstreams + `}]`)
		if got := w.tally(20, "/"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f("inline", `[{"upstream":{"nodes":{"GREEN":1}},"weight":1},{"weight":1}]`, "[green:10 own:10]")
	f("by id", `[{"upstream_id":"blue","weight":3},{"weight":1}]`, "[blue:15 own:5]")
	f("three ways", `[{"upstream_id":"blue","weight":20},{"upstream":{"nodes":{"GREEN":1}},"weight":20},{"weight":60}]`, "[blue:4 green:4 own:12]")
	f("weight 0", `[{"upstream_id":"blue","weight":0},{"weight":1}]`, "[own:20]")
	f("all of it", `[{"upstream_id":"blue"}]`, "[blue:20]")
	f("the route's own only", `[{"weight":1}]`, "[own:20]")
	f("unknown id", `[{"upstream_id":"nobody"}]`, "[502:20]")
	f("default", `[{"weight":2}]`, "[own:20]")
}

func TestLongRound(t *testing.T) {
	w := start(t)
	w.split(`[{"weighted_upstreams":[{"upstream_id":"blue","weight":99991},{"weight":100003}]}]`)
	got := 0
	for range 400 {
		if _, body := w.Get("/"); body == "blue" {
			got++
		}
	}
	if got < 120 || got > 280 {
		t.Errorf("%d of 400 at one half", got)
	}
}

func TestMatch(t *testing.T) {
	w := start(t)
	f := func(name, rules, path, want string, headers ...string) {
		t.Helper()
		w.split(rules)
		if got := w.tally(2, path, headers...); got != "["+want+":2]" {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	const blue = `"weighted_upstreams":[{"upstream_id":"blue"}]`
	const green = `"weighted_upstreams":[{"upstream":{"nodes":{"GREEN":1}}}]`
	const jack = `"match":[{"vars":[["arg_name","==","jack"]]}]`
	f("fits", `[{`+jack+`,`+blue+`}]`, "/?name=jack", "blue")
	f("does not fit", `[{`+jack+`,`+blue+`}]`, "/?name=jill", "own")
	f("all of one", `[{"match":[{"vars":[["arg_name","==","jack"],["http_id","==","7"]]}],`+blue+`}]`, "/?name=jack", "own")
	f("one of several", `[{"match":[{"vars":[["arg_name","==","jill"]]},{"vars":[["http_id","==","7"]]}],`+blue+`}]`, "/?name=jack", "blue", "Id: 7")
	f("the first rule that fits", `[{`+jack+`,`+blue+`},{`+green+`}]`, "/?name=jack", "blue")
	f("the next rule", `[{`+jack+`,`+blue+`},{`+green+`}]`, "/?name=jill", "green")
	f("no rules", `[]`, "/", "own")
}

// TestEdits holds that what requests are divided among changes with the
// configuration, and that what is no longer used goes.
func TestEdits(t *testing.T) {
	w := start(t)
	w.split(`[{"weighted_upstreams":[{"upstream_id":"later"},{"upstream":{"nodes":{"GREEN":1}},"weight":0}]}]`)
	if got := w.tally(1, "/"); got != "[502:1]" {
		t.Errorf("not defined yet: %s", got)
	}
	w.Put(conf.KindUpstream, "later", fmt.Sprintf(`{"nodes":{%q:1}}`, w.blue))
	if got := w.tally(2, "/"); got != "[blue:2]" {
		t.Errorf("defined: %s", got)
	}
	w.Put(conf.KindUpstream, "later", fmt.Sprintf(`{"nodes":{%q:1}}`, w.green))
	if got := w.tally(2, "/"); got != "[green:2]" {
		t.Errorf("edited: %s", got)
	}
	w.Delete(conf.KindUpstream, "later")
	if got := w.tally(1, "/"); got != "[502:1]" {
		t.Errorf("deleted: %s", got)
	}
	for range 3 {
		w.split(`[{"weighted_upstreams":[{"upstream":{"nodes":{"BLUE":1}}}]}]`)
		w.split(`[{"weighted_upstreams":[{"upstream":{"nodes":{"GREEN":1}}}]}]`)
	}
	if got := w.tally(2, "/"); got != "[green:2]" {
		t.Errorf("inline, edited: %s", got)
	}
	w.Delete(conf.KindRoute, "1")
	w.Put(conf.KindUpstream, "blue", fmt.Sprintf(`{"nodes":{%q:1}}`, w.blue))
	if resp, _ := w.Get("/"); resp.StatusCode != 404 {
		t.Errorf("route deleted: %d", resp.StatusCode)
	}
}

func TestServiceAndConsumerUpstreams(t *testing.T) {
	w := start(t)
	w.Put(conf.KindService, "s", fmt.Sprintf(`{"upstream":{"nodes":{%q:1}},"plugins":{"traffic-split":{"rules":[{"weighted_upstreams":[{"upstream":{"nodes":{%q:1},"pass_host":"rewrite","upstream_host":"h"}},{"weight":1}]}]}}}`, w.own, w.green))
	w.Put(conf.KindRoute, "1", `{"uri":"/*","service_id":"s"}`)
	if got := w.tally(10, "/"); got != "[green:5 own:5]" {
		t.Errorf("of a service: %s", got)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, rules := range []string{
		`[{"match":[{"vars":[["a","unknown","b"]]}]}]`,
		`[{"weighted_upstreams":[{"weight":-1}]}]`,
		`[{"weighted_upstreams":[{"upstream":{}}]}]`,
		`[{"weighted_upstreams":[{"upstream":{"nodes":{"127.0.0.1:1":1},"type":"chash"}}]}]`,
		`[{"weighted_upstreams":[{"upstream":{"nodes":{"127.0.0.1:1":1},"pass_host":"rewrite"}}]}]`,
	} {
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"traffic-split":{"rules":`+rules+`}},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin traffic-split err: ") {
			t.Errorf("%s: %v", rules, err)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/traffic-split.md") }
