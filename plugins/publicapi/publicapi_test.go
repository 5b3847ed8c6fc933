package publicapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/publicapi"
)

// A plugin with an endpoint for GET and one for POST on the same path.
func init() {
	say := func(text string) func(*chain.Env) (func(*req.Ctx) req.Verdict, error) {
		return func(*chain.Env) (func(*req.Ctx) req.Verdict, error) {
			return func(ctx *req.Ctx) req.Verdict { return ctx.Exit(200, []byte(text), "text/x") }, nil
		}
	}
	chain.Register(&chain.Plugin{
		Name: "test-api", New: func(json.RawMessage, *chain.Env) (any, error) { return struct{}{}, nil },
		APIs: []chain.API{
			{Path: "/apisix/test", Methods: h1.MethodGet.Bit(), New: say("got")},
			{Path: "/apisix/test", Methods: h1.MethodPost.Bit(), New: say("posted")},
		},
	})
}

func TestEndpoints(t *testing.T) {
	enabled := true
	g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) {
		o.Enabled = func(name string) bool { return enabled || name != "test-api" }
	}})
	put := func(plugins string) {
		g.Put(conf.KindRoute, "1", `{"uri":"/*","plugins":{`+plugins+`}}`)
	}
	f := func(method, path string, status int, body string) {
		t.Helper()
		resp, got := g.Do(method, path, "")
		if resp.StatusCode != status || !strings.Contains(got, body) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, resp.StatusCode, got, status, body)
		}
	}
	put(`"public-api":{}`)
	f("GET", "/apisix/test", 200, "got")
	f("POST", "/apisix/test", 200, "posted")
	f("PUT", "/apisix/test", 404, "404 Not Found")
	f("GET", "/apisix/tes", 404, "")
	f("GET", "/apisix/test/", 404, "")
	put(`"public-api":{"uri":"/apisix/test"}`)
	f("GET", "/anything", 200, "got")
	put(`"public-api":{"uri":"/apisix/none"}`)
	f("GET", "/apisix/test", 404, "")
	if !strings.Contains(g.Log(), "leads nowhere") {
		t.Error("the log does not say that the endpoint does not exist")
	}
	put(`"public-api":{},"key-auth":{}`)
	f("GET", "/apisix/test", 401, "Missing API key")
	enabled = false
	put(`"public-api":{}`)
	f("GET", "/apisix/test", 404, "")
	// Without the plugin nothing leads there.
	g.Delete(conf.KindRoute, "1")
	f("GET", "/apisix/test", 404, "404 Route Not Found")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"public-api":%s}}`, `{"uri":1}`))
	if err == nil || !strings.Contains(err.Error(), `property "uri" validation failed`) {
		t.Error(err)
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/public-api.md") }
