package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/load"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// proxy-rewrite changes what the back end sees.
func TestProxyRewrite(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("x"))
	routes := ""
	add := func(id, uri, conf string) {
		routes += fmt.Sprintf("  - {id: %s, uri: %s, plugins: {proxy-rewrite: %s}, upstream: {nodes: {\"%s\": 1}}}\n", id, uri, conf, b.Addr)
	}
	add("uri", "/uri", `{uri: /other}`)
	add("method", "/method", `{method: PUT}`)
	add("host", "/host", `{host: inner.example}`)
	add("regex", "/regex/*", `{regex_uri: ["^/regex/(.*)/(.*)", "/$2/$1"]}`)
	add("fields", "/fields", `{headers: {set: {X-Set: new, X-Twice: one}, add: {X-Add: more}, remove: [X-Gone]}}`)
	g := gateway.Start(t, gateway.Options{YAML: "routes:\n" + routes})
	c := rawhttp.Dial(t, g.Proxy)
	send := func(target string, fields ...string) backend.Request {
		t.Helper()
		c.Send(rawhttp.Get(target, "outer.example", fields...))
		if r := c.MustRead("GET"); r.Status != 200 {
			t.Fatalf("%s: status %d: %s", target, r.Status, r.Body)
		}
		return b.Last(t)
	}
	if r := send("/uri?a=b"); r.Target() != "/other?a=b" {
		t.Errorf("uri: target %q", r.Target())
	}
	if r := send("/method"); r.Line != "PUT /method HTTP/1.1" {
		t.Errorf("method: %q", r.Line)
	}
	if r := send("/host"); r.Field("Host") != "inner.example" {
		t.Errorf("host: %q", r.Field("Host"))
	}
	if r := send("/regex/one/two?q=1"); r.Target() != "/two/one?q=1" {
		t.Errorf("regex_uri: target %q", r.Target())
	}
	r := send("/fields", "X-Set: old", "X-Gone: here", "X-Add: first")
	for name, want := range map[string]string{"X-Set": "new", "X-Twice": "one", "X-Add": "first, more", "X-Gone": ""} {
		if got := r.Field(name); got != want {
			t.Errorf("headers: %s is %q, want %q", name, got, want)
		}
	}
}

// A plugin that panics costs its own request a 500 and nobody else anything.
func TestPluginPanicIsContained(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.OK("fine")).CountOnly()
	bin := gateway.BinaryWith(t, "github.com/sluicegw/sluice/test/e2e/paniconpurpose")
	routes := fmt.Sprintf("  - {id: good, uri: /, upstream: {nodes: {\"%s\": 1}}}\n", b.Addr)
	early, late := []string{"rewrite", "access", "before_proxy", "header_filter"}, []string{"body_filter", "log"}
	for _, phase := range append(slices.Clone(early), late...) {
		routes += fmt.Sprintf("  - {id: %s, uri: /%s, plugins: {panic-on-purpose: {phase: %s}}, upstream: {nodes: {\"%s\": 1}}}\n", phase, phase, phase, b.Addr)
	}
	g := gateway.Start(t, gateway.Options{Bin: bin, YAML: "routes:\n" + routes,
		Set: map[string]any{"plugins": []any{"panic-on-purpose", "proxy-rewrite"}}})
	data := g.DataPID()
	run := load.Start(t, load.Config{Addr: g.Proxy, Conns: 4, Pause: time.Millisecond})
	for range 20 {
		for _, phase := range early {
			if a := g.Get("/" + phase); a.Status != 500 {
				t.Fatalf("a panic in %s is answered by %d", phase, a.Status)
			}
		}
		for _, phase := range late {
			// The head may be out: what counts is that the client is not
			// left hanging and the next request goes well.
			raw := rawhttp.Exchange(t, g.Proxy, rawhttp.Get("/"+phase, "x", "Connection: close"), 5*time.Second)
			if len(raw) == 0 && phase == "log" {
				t.Errorf("a panic in %s took the response away", phase)
			}
		}
	}
	if rep := run.Stop(); rep.Failed > 0 || rep.DialRefused > 0 {
		t.Errorf("other requests suffered: %v", rep)
	}
	if now := g.DataPID(); now != data {
		t.Errorf("the data process was %d and is %d", data, now)
	}
	g.WaitLog("panic", time.Second)
}
