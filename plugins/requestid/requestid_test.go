package requestid_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"
	_ "github.com/sluicegw/sluice/plugins/requestid"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestIdentifiers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(name, plugin, field, pattern string) {
		t.Helper()
		g.Route(up, `{"request-id":`+plugin+`}`)
		seen := map[string]bool{}
		for range 100 {
			resp, body := g.Get("/")
			id := gateway.Saw(t, body).Header.Get(field)
			if !regexp.MustCompile("^" + pattern + "$").MatchString(id) {
				t.Fatalf("%s: the upstream saw %q", name, id)
			}
			if resp.Header.Get(field) != id {
				t.Fatalf("%s: the client saw %q, the upstream %q", name, resp.Header.Get(field), id)
			}
			if seen[id] {
				t.Fatalf("%s: %s came twice", name, id)
			}
			seen[id] = true
		}
	}
	f("default", `{}`, "X-Request-Id", `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	f("header", `{"header_name":"X-Trace"}`, "X-Trace", `[0-9a-f-]{36}`)
	f("nanoid", `{"algorithm":"nanoid"}`, "X-Request-Id", `[0-9A-Za-z_-]{21}`)
	f("ksuid", `{"algorithm":"ksuid"}`, "X-Request-Id", `[0-9A-Za-z]{27}`)
	f("range_id", `{"algorithm":"range_id"}`, "X-Request-Id", `[0-9A-Za-z]{16}`)
	f("range of its own", `{"algorithm":"range_id","range_id":{"char_set":"abcdef","length":20}}`, "X-Request-Id", `[a-f]{20}`)
}

func TestKsuidsSortByTime(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-id":{"algorithm":"ksuid"}}`)
	resp, _ := g.Get("/")
	// The first characters are the time: those of November 2026 begin so.
	if id := resp.Header.Get("X-Request-Id"); id < "2" || id > "5" {
		t.Errorf("a KSUID of today is %s", id)
	}
}

func TestClientsOwn(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Answer"); id != "" {
			w.Header().Set("X-Request-Id", id)
		}
		w.Header().Set("Saw", r.Header.Get("X-Request-Id")+"|"+r.Header.Get("X-Copy"))
	})
	g := gateway.Start(t, gateway.Options{})
	g.Route(up, `{"request-id":{},"proxy-rewrite":{"headers":{"set":{"X-Copy":"$apisix_request_id"}}}}`)
	f := func(name, saw, got string, headers ...string) {
		t.Helper()
		resp, _ := g.Get("/", headers...)
		if resp.Header.Get("Saw") != saw || resp.Header.Get("X-Request-Id") != got {
			t.Errorf("%s: saw %q, got %q", name, resp.Header.Get("Saw"), resp.Header.Get("X-Request-Id"))
		}
	}
	f("given", "mine|mine", "mine", "X-Request-Id: mine")
	f("the upstream's own wins", "mine|mine", "theirs", "X-Request-Id: mine", "Answer: theirs")
	resp, _ := g.Get("/", "X-Request-Id:")
	if len(resp.Header.Get("X-Request-Id")) != 36 {
		t.Errorf("an empty one: %q", resp.Header.Get("X-Request-Id"))
	}
	g.Route(up, `{"request-id":{"include_in_response":false}}`)
	f("not told", "mine|", "", "X-Request-Id: mine")
}

func TestAnswersOfTheGateway(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"request-id":{}}`)
	resp, _ := g.Get("/", "X-Request-Id: mine")
	if resp.StatusCode != 502 || resp.Header.Get("X-Request-Id") != "mine" {
		t.Errorf("%d %q", resp.StatusCode, resp.Header.Get("X-Request-Id"))
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, plugin := range []string{
		`{"algorithm":"snowflake"}`, `{"header_name":7}`, `{"algorithm":"range_id","range_id":{"length":5}}`, `{"algorithm":"range_id","range_id":{"char_set":"abcde"}}`,
	} {
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"request-id":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin request-id err: ") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/request-id.md") }
