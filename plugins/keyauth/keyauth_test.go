package keyauth_test

import (
	"net/http"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func start(t *testing.T, plugin string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","labels":{"custom_id":"id-7","team":"a"},"plugins":{"key-auth":{"key":"jack's key"}}}`)
	g.Put(conf.KindConsumer, "jill", `{"username":"jill"}`)
	g.Put(conf.KindCredential, "jill/credentials/first", `{"plugins":{"key-auth":{"key":"jill-1"}}}`)
	g.Put(conf.KindCredential, "jill/credentials/second", `{"plugins":{"key-auth":{"key":"jill-2"}}}`)
	g.Put(conf.KindConsumer, "nobody", `{"username":"nobody"}`)
	g.Route(gateway.Upstream(t), `{"key-auth":`+plugin+`}`)
	return g
}

func TestRequests(t *testing.T) {
	g := start(t, `{}`)
	f := func(name, path string, status int, body string, headers ...string) http.Header {
		t.Helper()
		resp, got := g.Get(path, headers...)
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d: %s", name, resp.StatusCode, status, got)
			return nil
		}
		if status != 200 {
			if got != body {
				t.Errorf("%s: body %q, want %q", name, got, body)
			}
			return resp.Header
		}
		seen := gateway.Saw(t, got).Header
		if seen.Get("X-Consumer-Username") != body {
			t.Errorf("%s: consumer %q, want %q", name, seen.Get("X-Consumer-Username"), body)
		}
		return seen
	}
	const missing, invalid = `{"message":"Missing API key in request"}` + "\n", `{"message":"Invalid API key in request"}` + "\n"
	f("header", "/", 200, "jack", "apikey: jack's key")
	f("header in any case", "/", 200, "jack", "APIKey: jack's key")
	f("query", "/?a=b&apikey=jack%27s+key", 200, "jack")
	f("the header comes first", "/?apikey=jill-1", 200, "jack", "apikey: jack's key")
	f("wrong header, right query", "/?apikey=jill-1", 401, invalid, "apikey: x")
	f("wrong", "/", 401, invalid, "apikey: jack's kez")
	f("prefix", "/", 401, invalid, "apikey: jack's ke")
	f("empty", "/", 401, invalid, "apikey:")
	f("flag instead of a value", "/?apikey", 401, invalid)
	f("username is no key", "/", 401, invalid, "apikey: jack")
	if h := f("none", "/", 401, missing); h.Get("WWW-Authenticate") != `apikey realm="key"` || h.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("fields of a refusal: %v", h)
	}
	h := f("labels", "/", 200, "jack", "apikey: jack's key", "X-Consumer-Username: root", "X-Credential-Identifier: forged", "X-Consumer-Custom-ID: forged")
	if h.Get("X-Consumer-Custom-Id") != "id-7" || h["X-Credential-Identifier"] != nil || len(h["X-Consumer-Username"]) != 1 {
		t.Errorf("identity fields %v", h)
	}
	if h.Get("apikey") == "" {
		t.Error("the key did not reach the upstream")
	}
	if h := f("credential", "/", 200, "jill", "apikey: jill-2"); h.Get("X-Credential-Identifier") != "second" || h["X-Consumer-Custom-Id"] != nil {
		t.Errorf("identity fields %v", h)
	}
}

func TestOtherNames(t *testing.T) {
	g := start(t, `{"header":"Authorization","query":"token","realm":"my realm"}`)
	if resp, body := g.Get("/", "Authorization: jill-1"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := g.Get("/?token=jill-1"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := g.Get("/?apikey=jill-1"); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != `apikey realm="my realm"` {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestHiddenCredentials(t *testing.T) {
	g := start(t, `{"hide_credentials":true}`)
	f := func(path, uri string, headers ...string) {
		t.Helper()
		resp, body := g.Get(path, headers...)
		if resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		seen := gateway.Saw(t, body)
		if seen.URI != uri || seen.Header["Apikey"] != nil {
			t.Errorf("the upstream saw %s %v, want %s", seen.URI, seen.Header, uri)
		}
	}
	f("/a?b=c", "/a?b=c", "apikey: jill-1")
	f("/a?apikey=jill-1", "/a")
	f("/a%20b?x=1&apikey=jill-1&y=%2B&api%6bey=again&apikeys=1", "/a%20b?x=1&y=%2B&apikeys=1")
	f("/a?apikey=jill-1&x", "/a?x")
}

func TestAnonymousConsumer(t *testing.T) {
	g := start(t, `{"anonymous_consumer":"nobody"}`)
	name := func(headers ...string) (int, string) {
		resp, body := g.Get("/", headers...)
		if resp.StatusCode != 200 {
			return resp.StatusCode, body
		}
		return 200, gateway.Saw(t, body).Header.Get("X-Consumer-Username")
	}
	if status, who := name(); status != 200 || who != "nobody" {
		t.Errorf("without a key: %d %s", status, who)
	}
	if status, who := name("apikey: wrong"); status != 200 || who != "nobody" {
		t.Errorf("with a wrong key: %d %s", status, who)
	}
	if status, who := name("apikey: jill-1"); status != 200 || who != "jill" {
		t.Errorf("with a key: %d %s", status, who)
	}
	g.Delete(conf.KindConsumer, "nobody")
	if status, body := name(); status != 401 || body != `{"message":"Invalid user authorization"}`+"\n" {
		t.Errorf("without the anonymous consumer: %d %s", status, body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(kind conf.Kind, id, value string) {
		t.Helper()
		if g.TryPut(kind, id, value) == nil {
			t.Errorf("%s was accepted", value)
		}
	}
	f(conf.KindRoute, "1", `{"uri":"/*","plugins":{"key-auth":{"header":1}}}`)
	f(conf.KindRoute, "1", `{"uri":"/*","plugins":{"key-auth":{"realm":"a\"b"}}}`)
	f(conf.KindRoute, "1", `{"uri":"/*","plugins":{"key-auth":{"anonymous_consumer":""}}}`)
	f(conf.KindConsumer, "a", `{"username":"a","plugins":{"key-auth":{}}}`)
	f(conf.KindConsumer, "a", `{"username":"a","plugins":{"key-auth":{"key":""}}}`)
	f(conf.KindConsumer, "a", `{"username":"a","plugins":{"key-auth":{"key":5}}}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/key-auth.md") }
