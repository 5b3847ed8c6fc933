package cors_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/cors"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"
)

// fields lists the CORS fields of a response, without their common prefix.
func fields(h http.Header) string {
	var out []string
	for _, name := range []string{"Origin", "Methods", "Headers", "Credentials"} {
		if v := h.Values("Access-Control-Allow-" + name); v != nil {
			out = append(out, strings.ToLower(name)+"="+strings.Join(v, "|"))
		}
	}
	if v := h.Values("Access-Control-Expose-Headers"); v != nil {
		out = append(out, "expose="+strings.Join(v, "|"))
	}
	if v := h.Values("Access-Control-Max-Age"); v != nil {
		out = append(out, "age="+strings.Join(v, "|"))
	}
	if v := h.Values("Timing-Allow-Origin"); v != nil {
		out = append(out, "timing="+strings.Join(v, "|"))
	}
	if v := h.Values("Vary"); v != nil {
		out = append(out, "vary="+strings.Join(v, "|"))
	}
	return strings.Join(out, " ")
}

func TestFields(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, plugin, origin, want string, headers ...string) {
		t.Helper()
		g.Route(up, `{"cors":`+plugin+`}`)
		if origin != "" {
			headers = append(headers, "Origin: "+origin)
		}
		resp, _ := g.Get("/", headers...)
		if got := fields(resp.Header); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	const rest = " methods=* headers=* age=5"
	f("defaults", `{}`, "https://a.com", "origin=*"+rest)
	f("defaults without origin", `{}`, "", "origin=*"+rest)
	f("one origin", `{"allow_origins":"https://a.com"}`, "https://a.com", "origin=https://a.com"+rest+" vary=Origin")
	f("another origin", `{"allow_origins":"https://a.com"}`, "https://b.com", "vary=Origin")
	f("no origin", `{"allow_origins":"https://a.com"}`, "", "vary=Origin")
	f("list", `{"allow_origins":"https://a.com,http://b.com:8080"}`, "http://b.com:8080", "origin=http://b.com:8080"+rest+" vary=Origin")
	f("list, other port", `{"allow_origins":"https://a.com,http://b.com:8080"}`, "http://b.com", "vary=Origin")
	f("null", `{"allow_origins":"null"}`, "null", "origin=null"+rest+" vary=Origin")
	f("forced", `{"allow_origins":"**"}`, "https://x.org", "origin=https://x.org"+rest+" vary=Origin")
	f("forced without origin", `{"allow_origins":"**"}`, "", "origin=*"+rest+" vary=Origin")
	f("forced methods and fields", `{"allow_methods":"**","allow_headers":"**"}`, "https://a.com",
		"origin=* methods=GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE headers=X-A,X-B age=5", "Access-Control-Request-Headers: X-A,X-B")
	f("forced fields that nobody asks for", `{"allow_headers":"**"}`, "https://a.com", "origin=* methods=* age=5")
	f("all set", `{"allow_origins":"https://a.com","allow_methods":"GET,POST","allow_headers":"X-A","expose_headers":"X-B","max_age":-1,"allow_credential":true}`,
		"https://a.com", "origin=https://a.com methods=GET,POST headers=X-A credentials=true expose=X-B age=-1 vary=Origin")
	f("regex", `{"allow_origins_by_regex":["^https://[a-z]+\\.test\\.com$","never"]}`, "https://a.test.com", "origin=https://a.test.com"+rest+" vary=Origin")
	f("regex, other", `{"allow_origins_by_regex":["^https://[a-z]+\\.test\\.com$"]}`, "https://a.test.com.evil.org", "vary=Origin")
	f("regex rules out the list", `{"allow_origins":"https://b.com","allow_origins_by_regex":["a"]}`, "https://b.com", "vary=Origin")
	f("regex without origin", `{"allow_origins_by_regex":[".*"]}`, "", "vary=Origin")
	f("timing", `{"timing_allow_origins":"https://a.com,https://b.com"}`, "https://b.com", "origin=*"+rest+" timing=https://b.com vary=Origin")
	f("timing, other", `{"timing_allow_origins":"https://a.com"}`, "https://b.com", "origin=*"+rest+" vary=Origin")
	f("timing for all", `{"timing_allow_origins":"*"}`, "https://b.com", "origin=*"+rest+" timing=*")
	f("timing by regex", `{"timing_allow_origins_by_regex":["b"]}`, "https://b.com", "origin=*"+rest+" timing=https://b.com vary=Origin")
}

func TestMetadata(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindPluginMetadata, "cors", `{"allow_origins":{"A":"https://a.com,https://aa.com","ALL":"*"}}`)
	g.Route(gateway.Upstream(t), `{"cors":{"allow_origins":"https://own.com","allow_origins_by_metadata":["NONE","A"]}}`)
	f := func(origin, want string) {
		t.Helper()
		resp, _ := g.Get("/", "Origin: "+origin)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: %q, want %q", origin, got, want)
		}
	}
	f("https://own.com", "https://own.com")
	f("https://aa.com", "https://aa.com")
	f("https://b.com", "")
	g.Put(conf.KindPluginMetadata, "cors", `{"allow_origins":{"A":"https://b.com"}}`)
	f("https://b.com", "https://b.com")
	f("https://aa.com", "")
	g.Delete(conf.KindPluginMetadata, "cors")
	f("https://b.com", "")
}

func TestPreflight(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"cors":{},"key-auth":{}}`)
	resp, body := g.Do("OPTIONS", "/", "", "Origin: https://a.com", "Access-Control-Request-Method: PUT")
	if resp.StatusCode != 200 || body != "" || fields(resp.Header) != "origin=* methods=* headers=* age=5" {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
	// What another plugin refuses carries the fields too: the page may read why.
	resp, _ = g.Get("/", "Origin: https://a.com")
	if resp.StatusCode != 401 || fields(resp.Header) != "origin=* methods=* headers=* age=5" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// The browser is told of the origin it has, not of the one that the upstream
// sees.
func TestOriginChangedForTheUpstream(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"cors":{"allow_origins":"https://a.com"},"proxy-rewrite":{"headers":{"set":{"Origin":"https://inside"}}}}`)
	resp, body := g.Get("/", "Origin: https://a.com")
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "https://a.com" || gateway.Saw(t, body).Header.Get("Origin") != "https://inside" {
		t.Errorf("%q %s", got, body)
	}
}

func TestUpstreamsOwnFields(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://from-upstream")
		w.Header().Set("Access-Control-Allow-Methods", "BREW")
		w.Header().Set("Vary", "Accept")
	})
	g := gateway.Start(t, gateway.Options{})
	g.Route(up, `{"cors":{"allow_origins":"https://a.com"}}`)
	resp, _ := g.Get("/", "Origin: https://a.com")
	if got := fields(resp.Header); got != "origin=https://a.com methods=* headers=* age=5 vary=Accept|Origin" {
		t.Error(got)
	}
	resp, _ = g.Get("/", "Origin: https://b.com")
	if got := fields(resp.Header); got != "origin=https://from-upstream methods=BREW vary=Accept|Origin" {
		t.Error(got)
	}
}

func TestGlobalRuleAndRoute(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"cors":{"allow_origins":"https://a.com","max_age":1}}}`)
	g.Route(gateway.Upstream(t), `{"cors":{"allow_origins":"https://b.com","max_age":2}}`)
	f := func(origin, want string) {
		t.Helper()
		resp, _ := g.Get("/", "Origin: "+origin)
		if got := fields(resp.Header); got != want {
			t.Errorf("%s: %s, want %s", origin, got, want)
		}
	}
	f("https://a.com", "origin=https://a.com methods=* headers=* age=1 vary=Origin|Origin")
	f("https://b.com", "origin=https://b.com methods=* headers=* age=2 vary=Origin|Origin")
	f("https://c.com", "vary=Origin|Origin")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"cors":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin cors err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	const star = "you can not set '*' for other option when 'allow_credential' is true"
	f(`{"allow_credential":true}`, star)
	f(`{"allow_credential":true,"allow_origins":"https://a.com","allow_methods":"GET","allow_headers":"X","expose_headers":"*"}`, star)
	f(`{"allow_credential":true,"allow_origins":"https://a.com","allow_methods":"GET","allow_headers":"X","timing_allow_origins":"*"}`, star)
	f(`{"allow_origins":"a.com"}`, `property "allow_origins" validation failed`)
	f(`{"allow_origins_by_regex":["("]}`, "allow_origins_by_regex: ")
	f(`{"timing_allow_origins_by_regex":["("]}`, "timing_allow_origins_by_regex: ")
	f(`{"max_age":"x"}`, `property "max_age" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/cors.md") }
