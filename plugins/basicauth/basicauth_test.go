package basicauth_test

import (
	"encoding/base64"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/basicauth"
)

func start(t *testing.T, plugin string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"basic-auth":{"username":"jack.s","password":"pass:word"}}}`)
	g.Put(conf.KindConsumer, "jill", `{"username":"jill"}`)
	g.Put(conf.KindCredential, "jill/credentials/1", `{"plugins":{"basic-auth":{"username":"jill","password":"two words"}}}`)
	g.Put(conf.KindConsumer, "nobody", `{"username":"nobody"}`)
	g.Route(gateway.Upstream(t), `{"basic-auth":`+plugin+`}`)
	return g
}

func basic(s string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s))
}

const (
	missing   = `{"message":"Missing authorization in request"}` + "\n"
	malformed = `{"message":"Invalid authorization in request"}` + "\n"
	invalid   = `{"message":"Invalid user authorization"}` + "\n"
)

func TestRequests(t *testing.T) {
	g := start(t, `{}`)
	f := func(header string, status int, want string) {
		t.Helper()
		var headers []string
		if header != "" {
			headers = append(headers, header)
		}
		resp, body := g.Get("/", headers...)
		if resp.StatusCode == 200 {
			body = gateway.Saw(t, body).Header.Get("X-Consumer-Username")
		} else if got := resp.Header.Get("WWW-Authenticate"); got != `Basic realm="basic"` {
			t.Errorf("%q: challenge %q", header, got)
		}
		if resp.StatusCode != status || body != want {
			t.Errorf("%q: %d %q, want %d %q", header, resp.StatusCode, body, status, want)
		}
	}
	f(basic("jack.s:pass:word"), 200, "jack")
	f(basic("jill:two words"), 200, "jill")
	f(basic("jack.s:pass:word\n"), 200, "jack") // echo jack.s:pass:word | base64
	f("Authorization: basic amFjay5zOnBhc3M6d29yZA==", 200, "jack")
	f("Authorization: Basic   amFjay5zOnBhc3M6d29yZA", 200, "jack")
	f("", 401, missing)
	f("Authorization: Bearer abc", 401, malformed)
	f("Authorization: Basic", 401, malformed)
	f("Authorization: Basicamphora", 401, malformed)
	f("Authorization: Basic !!!", 401, malformed)
	f(basic("no colon"), 401, malformed)
	f(basic("jack.s:pass:wore"), 401, invalid)
	f(basic("jack.s:pass"), 401, invalid)
	f(basic("jack.s:"), 401, invalid)
	f(basic("jack.s:a password of usual length"), 401, invalid)
	f(basic("jack:pass:word"), 401, invalid)
	f(basic("nobody:a password of usual length"), 401, invalid)
	f(basic(":"), 401, invalid)
}

func TestHiddenCredentials(t *testing.T) {
	for _, plugin := range []string{`{}`, `{"hide_credentials":true}`} {
		g := start(t, plugin)
		_, body := g.Get("/", basic("jack.s:pass:word"))
		seen := gateway.Saw(t, body).Header
		if hidden := seen["Authorization"] == nil; hidden != (plugin != `{}`) {
			t.Errorf("%s: the upstream saw %v", plugin, seen)
		}
	}
}

func TestAnonymousConsumer(t *testing.T) {
	g := start(t, `{"anonymous_consumer":"nobody","realm":"mine"}`)
	for _, headers := range [][]string{nil, {basic("jack.s:wrong")}, {"Authorization: Bearer x"}} {
		resp, body := g.Get("/", headers...)
		if resp.StatusCode != 200 || gateway.Saw(t, body).Header.Get("X-Consumer-Username") != "nobody" {
			t.Errorf("%v: %d %s", headers, resp.StatusCode, body)
		}
	}
	g.Delete(conf.KindConsumer, "nobody")
	if resp, body := g.Get("/"); resp.StatusCode != 401 || body != invalid || resp.Header.Get("WWW-Authenticate") != `Basic realm="mine"` {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(kind conf.Kind, value string) {
		t.Helper()
		if g.TryPut(kind, "a", value) == nil {
			t.Errorf("%s was accepted", value)
		}
	}
	f(conf.KindRoute, `{"uri":"/*","plugins":{"basic-auth":{"hide_credentials":"yes"}}}`)
	f(conf.KindConsumer, `{"username":"a","plugins":{"basic-auth":{"username":"a"}}}`)
	f(conf.KindConsumer, `{"username":"a","plugins":{"basic-auth":{"password":"a"}}}`)
	f(conf.KindConsumer, `{"username":"a","plugins":{"basic-auth":{"username":"","password":"a"}}}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/basic-auth.md") }
