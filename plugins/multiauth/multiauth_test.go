package multiauth_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/basicauth"
	_ "github.com/sluicegw/sluice/plugins/consumerrestriction"
	_ "github.com/sluicegw/sluice/plugins/hmacauth"
	_ "github.com/sluicegw/sluice/plugins/jwtauth"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/multiauth"
)

func start(t testing.TB, methods string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "basic", `{"username":"basic","plugins":{"basic-auth":{"username":"b","password":"p"}}}`)
	g.Put(conf.KindConsumer, "key", `{"username":"key","plugins":{"key-auth":{"key":"k"}}}`)
	g.Put(conf.KindConsumer, "jwt", `{"username":"jwt","plugins":{"jwt-auth":{"key":"jacks-key","secret":"a secret of thirty-two characters"}}}`)
	g.Put(conf.KindConsumer, "nobody", `{"username":"nobody"}`)
	g.Route(gateway.Upstream(t), `{"multi-auth":{"auth_plugins":`+methods+`}}`)
	return g
}

const (
	all = `[{"basic-auth":{}},{"key-auth":{"hide_credentials":true}},{"jwt-auth":{}}]`
	jwt = "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqYWNrcy1rZXkifQ.8JSbdxKvLvF5e3GmmCI6r2LpFfkO2zWdju-5CC97hv8"
)

func basic(s string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s))
}

func TestAnyMethodWillDo(t *testing.T) {
	g := start(t, all)
	f := func(want string, headers ...string) http.Header {
		t.Helper()
		resp, body := g.Get("/", headers...)
		if want == "" {
			if resp.StatusCode != 401 || body != `{"message":"Authorization Failed"}`+"\n" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%q: %d %s", headers, resp.StatusCode, body)
			}
			return resp.Header
		}
		if resp.StatusCode != 200 {
			t.Errorf("%q: %d %s, want %s", headers, resp.StatusCode, body, want)
			return nil
		}
		if c := resp.Header.Get("WWW-Authenticate"); c != "" {
			t.Errorf("%q: a challenge %q with a good answer", headers, c)
		}
		h := gateway.Saw(t, body).Header
		if h.Get("X-Consumer-Username") != want {
			t.Errorf("%q: %s, want %s", headers, h.Get("X-Consumer-Username"), want)
		}
		return h
	}
	f("basic", basic("b:p"))
	if h := f("key", "apikey: k"); h["Apikey"] != nil {
		t.Errorf("the key was not hidden: %v", h)
	}
	f("jwt", jwt)
	f("basic", basic("b:p"), "apikey: wrong")
	f("key", basic("b:wrong"), "apikey: k")
	f("", basic("b:wrong"), "apikey: wrong")
	if h := f(""); h.Get("WWW-Authenticate") != `Bearer realm="jwt"` {
		t.Errorf("challenge %q", h.Get("WWW-Authenticate"))
	}
}

func TestAnonymousConsumerOfAMethod(t *testing.T) {
	g := start(t, `[{"basic-auth":{}},{"key-auth":{"anonymous_consumer":"nobody"}}]`)
	resp, body := g.Get("/")
	if resp.StatusCode != 200 || gateway.Saw(t, body).Header.Get("X-Consumer-Username") != "nobody" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// A body that cannot be read ends the request: no other method may go on.
func TestBodyThatIsTooLong(t *testing.T) {
	g := start(t, `[{"hmac-auth":{"validate_request_body":true,"max_req_body_size":5,"clock_skew":1000000000}},{"key-auth":{}}]`)
	g.Put(conf.KindConsumer, "hmac", `{"username":"hmac","plugins":{"hmac-auth":{"key_id":"jack","secret_key":"jacks-secret"}}}`)
	resp, _ := g.Do("POST", "/orders?limit=5", "longer than that", "apikey: k", "Date: Tue, 24 Nov 2026 12:00:00 GMT",
		`Authorization: Signature keyId="jack",algorithm="hmac-sha256",headers="@request-target date",signature="ORGKzA/nEa350nXQx3tqCXZrtUuxosLQVSZw0vQr1y4="`)
	if resp.StatusCode != 413 {
		t.Errorf("%d, want 413", resp.StatusCode)
	}
}

func TestPluginsOfOneObject(t *testing.T) {
	g := start(t, `[{"basic-auth":{},"key-auth":{}},{"jwt-auth":{}}]`)
	for _, header := range []string{basic("b:p"), "apikey: k", jwt} {
		if resp, body := g.Get("/", header); resp.StatusCode != 200 {
			t.Errorf("%q: %d %s", header, resp.StatusCode, body)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"multi-auth":`+plugin+`}}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", plugin, err, want)
		}
	}
	f(`{}`, `property "auth_plugins" is required`)
	f(`{"auth_plugins":[{"key-auth":{}}]}`, "auth_plugins")
	f(`{"auth_plugins":[{"key-auth":{}},{"no-auth":{}}]}`, "no-auth plugin did not found")
	f(`{"auth_plugins":[{"key-auth":{}},{"consumer-restriction":{"whitelist":["a"]}}]}`, "consumer-restriction plugin is not supported")
	f(`{"auth_plugins":[{"key-auth":{"header":5}},{"basic-auth":{}}]}`, "plugin key-auth check schema failed: ")
	f(`{"auth_plugins":[{"key-auth":{}},5]}`, "")
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/multi-auth.md") }
