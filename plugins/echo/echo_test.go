package echo_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/echo"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

// upstream answers with n bytes in two pieces.
func upstream(t *testing.T, n int) string {
	return gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT")
		io.WriteString(w, strings.Repeat("a", n/2))
		w.(http.Flusher).Flush()
		io.WriteString(w, strings.Repeat("b", n-n/2))
	})
}

func TestBodies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(size int, plugin, before, body, after string) {
		t.Helper()
		g.Route(upstream(t, size), `{"echo":`+plugin+`}`)
		resp, got := g.Get("/")
		if body == "*" {
			body = strings.Repeat("a", size/2) + strings.Repeat("b", size-size/2)
		}
		if got != before+body+after {
			t.Errorf("%s: %d bytes %.100q", plugin, len(got), got)
		}
		if resp.Header.Get("ETag") != "" || resp.Header.Get("Last-Modified") != "" {
			t.Errorf("%s: fields of the old body: %v", plugin, resp.Header)
		}
	}
	for _, size := range []int{10, 300_000} {
		f(size, `{"body":"hello"}`, "", "hello", "")
		f(size, `{"before_body":"<","after_body":">"}`, "<", "*", ">")
		f(size, `{"before_body":"<"}`, "<", "*", "")
		f(size, `{"after_body":">"}`, "", "*", ">")
		f(size, `{"before_body":"<","body":"hello","after_body":">"}`, "<", "hello", ">")
		f(size, `{"body":""}`, "", "", "")
	}
	f(0, `{"before_body":"<","after_body":">"}`, "<", "", ">")
}

func TestHeadersAndOwnAnswers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(upstream(t, 10), `{"key-auth":{},"echo":{"before_body":"<","after_body":">","headers":{"X-A":"1","x-number":2,"X-List":[1]}}}`)
	resp, body := g.Get("/")
	if resp.StatusCode != 401 || body != "<"+`{"message":"Missing API key in request"}`+"\n>" || resp.ContentLength != int64(len(body)) {
		t.Errorf("%d %q %d", resp.StatusCode, body, resp.ContentLength)
	}
	if resp.Header.Get("X-A") != "1" || resp.Header.Get("X-Number") != "2" || resp.Header["X-List"] != nil {
		t.Errorf("%v", resp.Header)
	}
	if !strings.Contains(g.Log(), "plugin echo leaves a header field out") {
		t.Error("nothing is said of the value that is a list")
	}
}

func TestGlobalRuleAndRoute(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"echo":{"before_body":"(","after_body":")"}}}`)
	g.Route(upstream(t, 10), `{"echo":{"before_body":"<","after_body":">"}}`)
	for range 3 {
		if _, body := g.Get("/"); body != "<(aaaaabbbbb)>" {
			t.Errorf("%q", body)
		}
	}
	if _, body := g.Do("HEAD", "/", ""); body != "" {
		t.Errorf("HEAD: %q", body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"echo":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin echo err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, "")
	f(`{"headers":{"X-A":"1"}}`, "")
	f(`{"body":1}`, `property "body" validation failed`)
	f(`{"body":"a","headers":{}}`, `property "headers" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/echo.md") }
