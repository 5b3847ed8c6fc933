package gzip_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/echo"
	_ "github.com/sluicegw/sluice/plugins/gzip"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func unzip(t *testing.T, text string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %.40q", err, text)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestBodies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Document(t)
	for _, level := range []int{1, 6, 9} {
		g.Route(up, fmt.Sprintf(`{"gzip":{"comp_level":%d}}`, level))
		for _, chunked := range []string{"", "1"} {
			for _, size := range []int{20, 1000, 65_536, 100_000, 1_000_000} {
				resp, got := g.Get(fmt.Sprintf("/?size=%d&chunked=%s", size, chunked), "Accept-Encoding: gzip")
				if resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("Content-Length") != "" {
					t.Fatalf("level %d, size %d: %v", level, size, resp.Header)
				}
				if unzip(t, got) != gateway.DocumentText(size) {
					t.Errorf("level %d, size %d: the body is another", level, size)
				}
				if size >= 1000 && len(got) > size/2 {
					t.Errorf("level %d: %d bytes of %d", level, len(got), size)
				}
			}
		}
	}
}

func TestWhichResponses(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Document(t)
	f := func(name, plugin, path string, want bool, headers ...string) http.Header {
		t.Helper()
		g.Route(up, `{"gzip":`+plugin+`}`)
		if headers == nil {
			headers = []string{"Accept-Encoding: gzip, br"}
		}
		resp, got := g.Get(path, headers...)
		if (resp.Header.Get("Content-Encoding") == "gzip") != want {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
		if !want && resp.ContentLength != int64(len(got)) {
			t.Errorf("%s: what is not compressed lost its length", name)
		}
		return resp.Header
	}
	f("default", `{}`, "/?size=100", true)
	f("not accepted", `{}`, "/?size=100", false, "Accept-Encoding: br")
	f("nothing said", `{}`, "/?size=100", false, "X: y")
	f("short", `{}`, "/?size=19", false)
	f("longer minimum", `{"min_length":200}`, "/?size=100", false)
	f("other type", `{"types":["text/plain"]}`, "/?size=100", false)
	f("every type", `{"types":"*"}`, "/?size=100", true)
	f("404", `{}`, "/?size=100&status=404", true)
	f("500", `{}`, "/?size=100&status=500", false)

	h := f("fields", `{"vary":true}`, `/?size=100&etag="x"`, true)
	if h.Get("ETag") != `W/"x"` || h.Get("Last-Modified") == "" || h.Get("Accept-Ranges") != "" || h.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v", h)
	}
	if h := f("weak tag", `{}`, `/?size=100&etag=W/"x"`, true); h.Get("ETag") != `W/"x"` || h.Get("Vary") != "" {
		t.Errorf("%v", h)
	}
	if h := f("odd tag", `{}`, `/?size=100&etag=x`, true); h["Etag"] != nil {
		t.Errorf("%v", h)
	}
	if h := f("vary for others too", `{"vary":true}`, `/?size=100&etag="x"`, false, "Accept-Encoding: br"); h.Get("ETag") != `"x"` || h.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v", h)
	}
	g.Route(up, `{"gzip":{}}`)
	if resp, _ := g.Do("HEAD", "/?size=100", "", "Accept-Encoding: gzip"); resp.Header.Get("Content-Encoding") != "" || resp.ContentLength != 100 {
		t.Errorf("HEAD: %v", resp.Header)
	}
}

func TestOwnAnswers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindRoute, "1", `{"uri":"/a","plugins":{"gzip":{"types":"*","min_length":10},"key-auth":{}},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
	if resp, _ := g.Get("/a", "Accept-Encoding: gzip"); resp.StatusCode != 401 || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header) // 401 is not among the statuses
	}
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"gzip":{"types":"*","min_length":10}}}`)
	resp, got := g.Get("/x", "Accept-Encoding: gzip")
	if resp.StatusCode != 404 || unzip(t, got) != `{"error_msg":"404 Route Not Found"}`+"\n" || resp.ContentLength != int64(len(got)) {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, got)
	}
}

func TestGlobalRuleAndRoute(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"gzip":{}}}`)
	g.Route(gateway.Document(t), `{"gzip":{}}`)
	for range 3 {
		resp, got := g.Get("/?size=200000", "Accept-Encoding: gzip")
		if len(resp.Header["Content-Encoding"]) != 1 || unzip(t, got) != gateway.DocumentText(200_000) {
			t.Fatalf("%v", resp.Header)
		}
	}
}

// What other plugins make of a body is what is compressed.
func TestBehindOtherFilters(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Document(t)
	f := func(rule, route string) {
		t.Helper()
		g.Put(conf.KindGlobalRule, "1", `{"plugins":{`+rule+`}}`)
		g.Route(up, `{`+route+`}`)
		resp, got := g.Get(`/?size=1000&etag="x"`, "Accept-Encoding: gzip")
		if resp.Header.Get("Content-Encoding") != "gzip" || unzip(t, got) != "<"+gateway.DocumentText(1000)+">" {
			t.Errorf("%s, %s: %v", rule, route, resp.Header)
		}
	}
	const gzip, echo = `"gzip":{}`, `"echo":{"before_body":"<","after_body":">"}`
	f("", gzip+","+echo)
	f(gzip, echo)
	f(echo, gzip)
}

// A stream reaches the client as it comes.
func TestStreams(t *testing.T) {
	next := make(chan struct{})
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	})
	g := gateway.Start(t, gateway.Options{})
	g.Route(up, `{"gzip":{"types":["text/event-stream"]}}`)
	q, _ := http.NewRequest("GET", g.URL+"/", nil)
	q.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	event := make([]byte, len("data: x\n\n"))
	for range 3 {
		if _, err := io.ReadFull(r, event); err != nil || string(event) != "data: x\n\n" {
			t.Fatalf("%q %v", event, err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(r); len(rest) != 0 || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"gzip":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin gzip err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{"comp_level":0}`, `property "comp_level" validation failed`)
	f(`{"comp_level":10}`, `property "comp_level" validation failed`)
	f(`{"types":"text/html"}`, `property "types" validation failed`)
	f(`{"types":[]}`, `property "types" validation failed`)
	f(`{"http_version":2}`, `property "http_version" validation failed`)
	f(`{"min_length":0}`, `property "min_length" validation failed`)
	f(`{"vary":"x"}`, `property "vary" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/gzip.md") }
