package errorpage_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/errorpage"
	_ "github.com/sluicegw/sluice/plugins/uriblocker"
)

func TestPages(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/x-upstream")
		w.WriteHeader(404)
		w.Write([]byte("the upstream's own"))
	})
	g := gateway.Start(t, gateway.Options{})
	f := func(path string, status int, body, ctype string) {
		t.Helper()
		resp, got := g.Get(path)
		if resp.StatusCode != status || !strings.Contains(got, body) || resp.Header.Get("Content-Type") != ctype || resp.ContentLength != int64(len(got)) {
			t.Errorf("%s: %d %q %v", path, resp.StatusCode, got, resp.Header)
		}
	}
	// One route without an upstream that answers, one whose upstream says 404.
	g.Put(conf.KindRoute, "down", `{"uri":"/down","upstream":{"nodes":{"127.0.0.1:1":1}}}`)
	g.Put(conf.KindRoute, "up", `{"uri":"/up","upstream":{"nodes":{"`+up+`":1}}}`)
	g.Put(conf.KindRoute, "blocked", `{"uri":"/blocked","plugins":{"uri-blocker":{"block_rules":["b"],"rejected_code":503,"rejected_msg":"no"}},"upstream":{"nodes":{"`+up+`":1}}}`)
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"error-page":{}}}`)
	f("/nowhere", 404, `{"error_msg":"404 Route Not Found"}`, "text/plain; charset=utf-8")

	metadata := func(enable string) {
		g.Put(conf.KindPluginMetadata, "error-page", `{"enable":`+enable+`,"error_404":{"body":"{\"code\":404}","content_type":"application/json"},
			"error_502":{"body":"<b>bad gateway</b>"},"error_503":{},"error_500":{"body":""}}`)
	}
	metadata("false")
	f("/nowhere", 404, `{"error_msg":"404 Route Not Found"}`, "text/plain; charset=utf-8")
	metadata("true")
	f("/nowhere", 404, `{"code":404}`, "application/json")
	f("/down", 502, "<b>bad gateway</b>", "text/html")
	f("/blocked", 503, "<h1>503 Service Unavailable</h1></center>\n<hr><center>sluice", "text/html")
	f("/up", 404, "the upstream's own", "text/x-upstream")
	if resp, body := g.Do("HEAD", "/nowhere", ""); body != "" || resp.Header.Get("Content-Length") != "12" {
		t.Errorf("HEAD: %q %v", body, resp.Header)
	}
	g.Delete(conf.KindPluginMetadata, "error-page")
	f("/nowhere", 404, `{"error_msg":"404 Route Not Found"}`, "text/plain; charset=utf-8")
}

func TestOnARouteOnly(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindPluginMetadata, "error-page", `{"enable":true,"error_502":{"body":"mine"}}`)
	g.Route("127.0.0.1:1", `{"error-page":{}}`)
	if resp, body := g.Get("/"); resp.StatusCode != 502 || body != "mine" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	g.Route("127.0.0.1:1", `{}`)
	if _, body := g.Get("/"); body == "mine" {
		t.Error("a route without the plugin has its page")
	}
}

func TestRefusedMetadata(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, text := range []string{`{"enable":"yes"}`, `{"error_404":"text"}`, `{"error_404":{"body":1}}`} {
		if err := g.TryPut(conf.KindPluginMetadata, "error-page", text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/error-page.md") }
