package limitcount_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/state"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/limitcount"
	"github.com/sluicegw/sluice/test/gateway"
)

func quota(h http.Header) string {
	reset := h.Get("X-RateLimit-Reset")
	if reset != "" {
		// What is left of the window depends on how fast the test runs.
		reset = fmt.Sprint(strings.HasPrefix(reset, "59.") || strings.HasPrefix(reset, "5") || reset == "60")
	}
	return h.Get("X-RateLimit-Limit") + " " + h.Get("X-RateLimit-Remaining") + " " + reset
}

func TestQuota(t *testing.T) {
	g := gateway.Start(t, gateway.Options{Loops: 2})
	up := gateway.Upstream(t)
	n := 0
	// f makes requests that differ in their headers; the answers are the
	// statuses one after the other.
	f := func(name, conf, want string, headers ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			n++
			g.Route(up, `{"limit-count":`+strings.Replace(conf, "{", fmt.Sprintf(`{"rejected_code":%d,`, 500+n), 1)+`}`)
			var got []string
			for _, h := range headers {
				var hs []string
				if h != "" {
					hs = strings.Split(h, "|")
				}
				resp, _ := g.Get("/a?x=1", hs...)
				if resp.StatusCode == 500+n {
					got = append(got, "no")
				} else {
					got = append(got, fmt.Sprint(resp.StatusCode))
				}
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("answers %s, want %s", s, want)
			}
		})
	}
	f("address", `{"count":2,"time_window":60}`, "200 200 no", "", "", "")
	f("sliding", `{"count":2,"time_window":60,"window_type":"sliding"}`, "200 200 no", "", "", "")
	f("variable", `{"count":1,"time_window":60,"key":"http_a"}`, "200 200 no no", "A: 1", "A: 2", "A: 1", "A: 2")
	f("no value: address", `{"count":1,"time_window":60,"key":"http_a"}`, "200 no 200", "", "", "A: 1")
	f("combination", `{"count":1,"time_window":60,"key":"$http_a $http_b","key_type":"var_combination"}`, "200 200 no no", "A: 1|B: 1", "A: 1", "A: 1", "A: 1|B: 1")
	f("combination without a value: address", `{"count":1,"time_window":60,"key":"$http_a","key_type":"var_combination"}`, "200 no", "", "")
	f("constant", `{"count":1,"time_window":60,"key":"http_a","key_type":"constant"}`, "200 no", "A: 1", "A: 2")
	f("count from a variable", `{"count":"${http_quota ?? 1}","time_window":60,"key":"http_a"}`, "200 no 200 200 no", "A: 1", "A: 1", "A: 2|Quota: 2", "A: 2|Quota: 2", "A: 2|Quota: 2")
	f("count is no number", `{"count":"$http_quota","time_window":60}`, "500 500 500", "Quota: many", "Quota: 0", "Quota: 1.5")
	f("count is no number, degrades", `{"count":"$http_quota","time_window":60,"allow_degradation":true}`, "200 200", "Quota: many", "Quota: many")
	f("window from a variable", `{"count":1,"time_window":"$http_w","key":"http_a"}`, "200 no", "W: 60", "W: 60")
	f("rules", `{"rules":[{"count":1,"time_window":60,"key":"$http_a"},{"count":2,"time_window":60,"key":"$http_b"}]}`,
		"200 no 200 200 no", "A: 1", "A: 1", "B: 1", "B: 1", "B: 1")
	f("rules do not share counters", `{"rules":[{"count":2,"time_window":60,"key":"$http_a"},{"count":3,"time_window":60,"key":"$http_b"}]}`,
		"200 200 no", "A: 1|B: 1", "A: 1|B: 1", "A: 1|B: 1")
	f("no rule applies", `{"rules":[{"count":2,"time_window":60,"key":"$http_a"}]}`, "500", "")
	f("no rule applies, degrades", `{"allow_degradation":true,"rules":[{"count":2,"time_window":60,"key":"$http_a"}]}`, "200", "")
}

func TestHeaders(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	g.Route(up, `{"limit-count":{"count":2,"time_window":60,"rejected_msg":"slow \"down\""}}`)
	resp, _ := g.Get("/")
	if got := quota(resp.Header); got != "2 1 true" {
		t.Errorf("first: %s", got)
	}
	resp, _ = g.Get("/")
	if got := quota(resp.Header); got != "2 0 true" {
		t.Errorf("second: %s", got)
	}
	resp, body := g.Get("/")
	if got := quota(resp.Header); got != "2 0 true" || resp.StatusCode != 503 {
		t.Errorf("third: %d %s", resp.StatusCode, got)
	}
	if want := "{\"error_msg\":\"slow \\\"down\\\"\"}\n"; body != want || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("third: %q %q", body, resp.Header.Get("Content-Type"))
	}

	g.Put(conf.KindPluginMetadata, "limit-count", `{"limit_header":"X-L","remaining_header":"X-R","reset_header":"X-S"}`)
	g.Route(up, `{"limit-count":{"count":7,"time_window":60}}`)
	resp, _ = g.Get("/")
	if h := resp.Header; h.Get("X-L") != "7" || h.Get("X-R") != "6" || h.Get("X-S") != "60" || quota(h) != "  " {
		t.Errorf("named by metadata: %v", h)
	}
	g.Delete(conf.KindPluginMetadata, "limit-count")
	resp, _ = g.Get("/")
	if got := quota(resp.Header); got != "7 5 true" {
		t.Errorf("metadata deleted: %s", got)
	}

	g.Route(up, `{"limit-count":{"count":8,"time_window":60,"show_limit_quota_header":false}}`)
	resp, _ = g.Get("/")
	if got := quota(resp.Header); got != "  " {
		t.Errorf("not to be shown: %s", got)
	}

	g.Route(up, `{"limit-count":{"rules":[{"count":4,"time_window":60,"key":"$remote_addr","header_prefix":"Jack"},{"count":5,"time_window":60,"key":"$uri"}]}}`)
	resp, _ = g.Get("/")
	if h := resp.Header; h.Get("X-Jack-RateLimit-Limit") != "4" || h.Get("X-Jack-RateLimit-Remaining") != "3" ||
		h.Get("X-2-RateLimit-Limit") != "5" || h.Get("X-2-RateLimit-Reset") != "60" {
		t.Errorf("rules: %v", h)
	}
}

func TestWhoseCounter(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	put := func(id, rest string) {
		t.Helper()
		g.Put(conf.KindRoute, id, fmt.Sprintf(`{"uri":"/%s","upstream":{"nodes":{%q:1}},%s}`, id, up, rest))
	}
	f := func(name, path string, want int, headers ...string) {
		t.Helper()
		if resp, _ := g.Get(path, headers...); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, want)
		}
	}
	put("1", `"plugins":{"limit-count":{"count":1,"time_window":60}}`)
	put("2", `"plugins":{"limit-count":{"count":1,"time_window":60}}`)
	f("first", "/1", 200)
	f("used up", "/1", 503)
	f("another route", "/2", 200)
	put("1", `"desc":"edited","plugins":{"limit-count":{"time_window":60,"count":1,"_meta":{"priority":1}}}`)
	f("the route was edited, the plugin not", "/1", 503)
	put("1", `"plugins":{"limit-count":{"count":1,"time_window":61}}`)
	f("the plugin was edited", "/1", 200)

	group := `"plugins":{"limit-count":{"count":1,"time_window":60,"group":"g"}}`
	put("3", group)
	put("4", group)
	f("of a group", "/3", 200)
	f("another of the group", "/4", 503)

	g.Put(conf.KindService, "s", fmt.Sprintf(`{"plugins":{"limit-count":{"count":1,"time_window":60}},"upstream":{"nodes":{%q:1}}}`, up))
	g.Put(conf.KindRoute, "5", `{"uri":"/5","service_id":"s"}`)
	g.Put(conf.KindRoute, "6", `{"uri":"/6","service_id":"s"}`)
	f("of a service", "/5", 200)
	f("another route of the service", "/6", 503)

	for _, name := range []string{"jack", "jill"} {
		g.Put(conf.KindConsumer, name, fmt.Sprintf(`{"username":%q,"plugins":{"key-auth":{"key":%q},"limit-count":{"count":1,"time_window":60}}}`, name, name))
	}
	put("7", `"plugins":{"key-auth":{}}`)
	f("consumer", "/7", 200, "apikey: jack")
	f("another consumer", "/7", 200, "apikey: jill")
	f("the first again", "/7", 503, "apikey: jack")
}

// TestQuotaOutlivesTheGateway hands the shared memory from one gateway to the
// next, as control does when a data process ends.
func TestQuotaOutlivesTheGateway(t *testing.T) {
	memory, err := state.Create(state.Sizes{Limits: 100, Conns: 100, Breakers: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	up := gateway.Upstream(t)
	start := func() *gateway.Gateway {
		s, err := state.Open(int(memory.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) { o.State = s }})
		g.Route(up, `{"limit-count":{"count":3,"time_window":600}}`)
		return g
	}
	g := start()
	g.Get("/")
	g.Get("/")
	g = start()
	if resp, _ := g.Get("/"); resp.StatusCode != 200 || resp.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("the next gateway: %d, %s remaining", resp.StatusCode, resp.Header.Get("X-RateLimit-Remaining"))
	}
	if resp, _ := g.Get("/"); resp.StatusCode != 503 {
		t.Errorf("used up: %d", resp.StatusCode)
	}
}

func TestFullTable(t *testing.T) {
	s := state.New(state.Sizes{Limits: 7, Conns: 7, Breakers: 7})
	g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) { o.State = s }})
	up := gateway.Upstream(t)
	flood := func(plugin string) (resp *http.Response, body string) {
		g.Route(up, `{"limit-count":`+plugin+`}`)
		for i := range 8 {
			resp, body = g.Get("/", fmt.Sprintf("A: %d", i))
		}
		return resp, body
	}
	resp, body := flood(`{"count":1,"time_window":600,"key":"http_a"}`)
	if resp.StatusCode != 500 || body != "{\"error_msg\":\"failed to limit count\"}\n" {
		t.Errorf("full: %d %q", resp.StatusCode, body)
	}
	if resp, _ := flood(`{"count":1,"time_window":600,"key":"http_a","allow_degradation":true}`); resp.StatusCode != 200 {
		t.Errorf("full, degrades: %d", resp.StatusCode)
	}
	if st := s.Limits.Stats(); st.Full == 0 || st.Used != 7 {
		t.Errorf("stats %+v", st)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin, want string) {
		t.Run(name, func(t *testing.T) {
			err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"limit-count":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	const prefix = "failed to check the configuration of plugin limit-count err: "
	f("nothing", `{}`, prefix)
	f("count 0", `{"count":0,"time_window":60}`, prefix)
	f("no window", `{"count":1}`, prefix)
	f("policy", `{"count":1,"time_window":60,"policy":"memcached"}`, prefix)
	f("redis without a host", `{"count":1,"time_window":60,"policy":"redis"}`, prefix)
	f("both forms", `{"count":1,"time_window":60,"rules":[{"count":1,"time_window":1,"key":"$uri"}]}`, prefix)
	f("group and rules", `{"group":"g","rules":[{"count":1,"time_window":1,"key":"$uri"}]}`, prefix+"group and rules cannot be specified at the same time")
	f("same key", `{"rules":[{"count":1,"time_window":1,"key":"$uri"},{"count":2,"time_window":10,"key":"$uri"}]}`, prefix+"duplicate key '$uri' in rules")
	f("sync_interval too small", `{"count":1,"time_window":60,"policy":"redis","redis_host":"127.0.0.1","sync_interval":0.05}`, prefix+"sync_interval should not be smaller than 0.1")
	f("sync_interval too large", `{"count":1,"time_window":1,"policy":"redis","redis_host":"127.0.0.1","sync_interval":2}`, prefix+"sync_interval should be smaller than time_window")
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/limit-count.md") }
