package redirect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/redirect"
)

func TestLocations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	f := func(plugin, path string, status int, location string, fields ...string) {
		t.Helper()
		g.Route(up, `{"redirect":`+plugin+`}`)
		resp, _ := g.Get(path, fields...)
		if got := resp.Header.Get("Location"); resp.StatusCode != status || got != location {
			t.Errorf("%s %s: %d %q, want %d %q", plugin, path, resp.StatusCode, got, status, location)
		}
	}
	f(`{"uri":"/test/add","ret_code":301}`, "/a?b=c", 301, "/test/add")
	f(`{"uri":"/test/add"}`, "/a", 302, "/test/add")
	f(`{"uri":"$uri/index.html"}`, "/a", 302, "/a/index.html")
	f(`{"uri":"${uri}x"}`, "/a", 302, "/ax")
	f(`{"uri":"/${bad_var}x$"}`, "/a", 302, "/x$")
	f(`{"uri":"https://$host/$arg_x"}`, "/a?x=1", 302, "https://h.example/1", "Host: h.example:80")
	f(`{"uri":"/x","ret_code":200}`, "/a", 200, "/x")
	f(`{"uri":"/x/$uri","encode_uri":true}`, "/%E6%B5%8B", 302, "/x//%E6%B5%8B")
	f(`{"uri":"/a b","encode_uri":true}`, "/", 302, "/a%20b")
	f(`{"uri":"/a%20b?c d","encode_uri":true}`, "/", 302, "/a%2520b?c d")
	f(`{"uri":"/x","append_query_string":true}`, "/a?b=c&d", 302, "/x?b=c&d")
	f(`{"uri":"/x?y=1","append_query_string":true}`, "/a?b=c", 302, "/x?y=1&b=c")
	f(`{"uri":"/x","append_query_string":true}`, "/a", 302, "/x")
	f(`{"uri":"/x y?y=1","append_query_string":true,"encode_uri":true}`, "/a?b=c", 302, "/x%20y?y=1&b=c")
	f(`{"regex_uri":["^/test/(.*)/(.*)/(.*)","/$1-$2-$3"]}`, "/test/1/2/3?q", 302, "/1-2-3")
	f(`{"regex_uri":["^/test/(.*)","http://test.com/${1}"],"ret_code":308}`, "/test/a", 308, "http://test.com/a")
	f(`{"regex_uri":["^/test/(.*)","/$1"]}`, "/other", 200, "")
	f(`{"regex_uri":["b","c"],"append_query_string":true}`, "/abab?x", 302, "/acab?x")
	f(`{"http_to_https":false}`, "/a", 200, "")
}

func TestPageBody(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"redirect":{"uri":"/x"}}`)
	resp, body := g.Get("/")
	if !strings.Contains(body, "302 Found") || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v %q", resp.Header, body)
	}
}

func TestToHTTPS(t *testing.T) {
	up := gateway.Upstream(t)
	f := func(attr string, trusted bool, method, path string, status int, location string, fields ...string) {
		t.Helper()
		o := gateway.Options{Build: func(b *build.Options) {
			if attr != "" {
				b.Attr = map[string]json.RawMessage{"redirect": json.RawMessage(attr)}
			}
		}}
		if trusted {
			o.Guard = guard.Settings{TrustedAddresses: []string{"127.0.0.1"}}
		}
		g := gateway.Start(t, o)
		g.Route(up, `{"redirect":{"http_to_https":true,"ret_code":302}}`)
		resp, _ := g.Do(method, path, "", fields...)
		if got := resp.Header.Get("Location"); resp.StatusCode != status || got != location {
			t.Errorf("%s %s %s: %d %q, want %d %q", attr, method, path, resp.StatusCode, got, status, location)
		}
	}
	f("", false, "GET", "/a%20b?c=%20", 301, "https://h.example/a%20b?c=%20", "Host: h.example:9080")
	f("", false, "HEAD", "/", 301, "https://h.example/", "Host: h.example")
	f("", false, "POST", "/", 308, "https://h.example/", "Host: h.example")
	f("", false, "GET", "/", 301, "https://[::1]/", "Host: [::1]:9080")
	f(`{"https_port":8443}`, false, "GET", "/a", 301, "https://h.example:8443/a", "Host: h.example:9080")
	f(`{"https_port":443}`, false, "GET", "/a", 301, "https://h.example/a", "Host: h.example")
	f(`{"https_port":0}`, false, "GET", "/a", 301, "https://h.example/a", "Host: h.example")
	// What a client claims does not count, what a trusted proxy says does.
	f("", false, "GET", "/", 301, "https://h.example/", "Host: h.example", "X-Forwarded-Proto: https")
	f("", true, "GET", "/", 200, "", "Host: h.example", "X-Forwarded-Proto: https")
	f("", true, "GET", "/", 301, "https://h.example/", "Host: h.example", "X-Forwarded-Proto: http")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"redirect":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin redirect err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, "")
	f(`{"uri":"/a","http_to_https":true}`, "")
	f(`{"uri":"/"}`, `property "uri" validation failed`)
	f(`{"uri":"/a","ret_code":100}`, `property "ret_code" validation failed`)
	f(`{"regex_uri":["^/("]}`, `property "regex_uri" validation failed`)
	f(`{"regex_uri":["^/(","/$1"]}`, "invalid regex_uri (^/(, /$1), err:")
	f(`{"regex_uri":["^/(.*)","/$"]}`, "invalid regex_uri (^/(.*), /$), err:")
	f(`{"http_to_https":true,"append_query_string":true}`, "only one of `http_to_https` and `append_query_string` can be configured.")
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/redirect.md") }
