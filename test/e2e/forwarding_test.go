package e2e

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// What the back end is told about the client, and what it is not told.
func TestForwardingFields(t *testing.T) {
	t.Parallel()
	// By default 127.0.0.1 may name the client, as in APISIX.
	g, b := startHello(t, gateway.Options{Set: map[string]any{"nginx_config.http.real_ip_from": []any{"192.0.2.1"}}})
	_, port, _ := strings.Cut(g.Proxy, ":")
	c := rawhttp.Dial(t, g.Proxy)
	c.Send(rawhttp.Get("/a/b?c=d&e=%20", "shop.example:8080",
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example",
		"Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9",
		"X-Consumer-Username: root", "X-Credential-Identifier: root", "X-Consumer-Custom-ID: 0",
		"Connection: keep-alive, X-Private", "X-Private: secret", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
		"Upgrade: websocket", "TE: trailers", "x_under_score: kept", "X-Mixed-Case: Kept"))
	if r := c.MustRead("GET"); r.Status != 200 || string(r.Body) != "hello" {
		t.Fatalf("status %d, body %q", r.Status, r.Body)
	}
	got := b.Last(t)
	if got.Line != "GET /a/b?c=d&e=%20 HTTP/1.1" {
		t.Errorf("request line %q", got.Line)
	}
	for name, want := range map[string]string{
		"Host":                    "shop.example:8080",
		"X-Real-IP":               "127.0.0.1",
		"X-Forwarded-For":         "203.0.113.9, 127.0.0.1",
		"X-Forwarded-Proto":       "http",
		"X-Forwarded-Port":        port,
		"Forwarded":               "",
		"X-Consumer-Username":     "",
		"X-Credential-Identifier": "",
		"X-Consumer-Custom-ID":    "",
		"X-Private":               "",
		"Keep-Alive":              "",
		"Proxy-Connection":        "",
		"Upgrade":                 "",
		"x_under_score":           "kept",
		"X-Mixed-Case":            "Kept",
	} {
		if v := got.Field(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if h := got.Field("X-Forwarded-Host"); !strings.HasPrefix(h, "shop.example") {
		t.Errorf("X-Forwarded-Host is %q", h)
	}
}

// Requests reuse upstream connections.
func TestUpstreamKeepAlive(t *testing.T) {
	t.Parallel()
	g, b := startHello(t, gateway.Options{Loops: 1})
	c := rawhttp.Dial(t, g.Proxy)
	for range 100 {
		c.Send(rawhttp.Get("/", "x"))
		c.MustRead("GET")
	}
	if n := b.Opened(); n > 2 {
		t.Errorf("100 requests in a row used %d upstream connections", n)
	}
}

// Three nodes of weights 3, 2 and 1 share the requests in that proportion
// over all loops.
func TestWeightedRoundRobin(t *testing.T) {
	t.Parallel()
	var nodes []string
	var all []*backend.Server
	for _, w := range []string{"3", "2", "1"} {
		b := backend.Start(t, backend.OK("x")).CountOnly()
		all = append(all, b)
		nodes = append(nodes, `"`+b.Addr+`": `+w)
	}
	g := gateway.Start(t, gateway.Options{YAML: "routes:\n  - {id: 1, uri: /*, upstream: {nodes: {" + strings.Join(nodes, ", ") + "}}}\n"})
	for range 10 { // connections spread over the loops
		c := rawhttp.Dial(t, g.Proxy)
		for range 60 {
			c.Send(rawhttp.Get("/", "x"))
			if r := c.MustRead("GET"); r.Status != 200 {
				t.Fatalf("status %d", r.Status)
			}
		}
	}
	for i, want := range []int{300, 200, 100} {
		if n := all[i].Count(); n < want-1 || n > want+1 {
			t.Errorf("node %d got %d requests, want %d", i, n, want)
		}
	}
}
