package brotli_test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	brrr "github.com/molecule-man/go-brrr"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/brotli"
	_ "github.com/sluicegw/sluice/plugins/gzip"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func unpack(t *testing.T, text string) string {
	t.Helper()
	plain, err := brrr.Decompress([]byte(text))
	if err != nil {
		t.Fatalf("%v in %.40q", err, text)
	}
	return string(plain)
}

func TestBodies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Document(t)
	for _, level := range []int{0, 1, 5, 6, 11} {
		g.Route(up, fmt.Sprintf(`{"brotli":{"comp_level":%d}}`, level))
		for _, chunked := range []string{"", "1"} {
			for _, size := range []int{20, 1000, 65_536, 100_000, 1_000_000} {
				if level == 11 && size > 100_000 {
					continue // a matter of seconds
				}
				resp, got := g.Get(fmt.Sprintf("/?size=%d&chunked=%s", size, chunked), "Accept-Encoding: br")
				if resp.Header.Get("Content-Encoding") != "br" || resp.Header.Get("Content-Length") != "" {
					t.Fatalf("level %d, size %d: %v", level, size, resp.Header)
				}
				if unpack(t, got) != gateway.DocumentText(size) {
					t.Errorf("level %d, size %d: the body is another", level, size)
				}
				if size >= 1000 && len(got) > size*2/3 {
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
		g.Route(up, `{"brotli":`+plugin+`}`)
		if headers == nil {
			headers = []string{"Accept-Encoding: gzip, br"}
		}
		resp, got := g.Get(path, headers...)
		if (resp.Header.Get("Content-Encoding") == "br") != want {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
		if !want && resp.ContentLength != int64(len(got)) {
			t.Errorf("%s: what is not compressed lost its length", name)
		}
		return resp.Header
	}
	f("default", `{}`, "/?size=100", true)
	f("not accepted", `{}`, "/?size=100", false, "Accept-Encoding: gzip")
	f("nothing said", `{}`, "/?size=100", false, "X: y")
	f("short", `{}`, "/?size=19", false)
	f("longer minimum", `{"min_length":200}`, "/?size=100", false)
	f("other type", `{"types":["text/plain"]}`, "/?size=100", false)
	f("every type", `{"types":"*"}`, "/?size=100", true)
	f("404", `{}`, "/?size=100&status=404", true)
	f("500", `{}`, "/?size=100&status=500", true)

	h := f("fields", `{"vary":true}`, `/?size=100&etag="x"`, true)
	if h["Etag"] != nil || h["Last-Modified"] != nil || h.Get("Accept-Ranges") != "" || h.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v", h)
	}
	if h := f("vary for others too", `{"vary":true}`, `/?size=100&etag="x"`, false, "Accept-Encoding: gzip"); h.Get("ETag") != `"x"` || h.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%v", h)
	}
	g.Route(up, `{"brotli":{}}`)
	if resp, _ := g.Do("HEAD", "/?size=100", "", "Accept-Encoding: br"); resp.Header.Get("Content-Encoding") != "" || resp.ContentLength != 100 {
		t.Errorf("HEAD: %v", resp.Header)
	}
}

func TestOwnAnswers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Document(t), `{"brotli":{"types":"*","min_length":10},"key-auth":{}}`)
	resp, got := g.Get("/", "Accept-Encoding: br")
	if resp.StatusCode != 401 || unpack(t, got) != `{"message":"Missing API key in request"}`+"\n" || resp.ContentLength != int64(len(got)) {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, got)
	}
	g.Route(gateway.Document(t), `{"brotli":{"types":"*","min_length":100},"key-auth":{}}`)
	if resp, _ := g.Get("/", "Accept-Encoding: br"); resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("a short answer was compressed: %v", resp.Header)
	}
}

// Clients that take both get brotli, and nothing is compressed twice.
func TestBesideGzip(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Document(t), `{"brotli":{},"gzip":{}}`)
	f := func(accept, want string) {
		t.Helper()
		resp, _ := g.Get("/?size=1000", "Accept-Encoding: "+accept)
		if got := strings.Join(resp.Header["Content-Encoding"], "|"); got != want {
			t.Errorf("%s: %s, want %s", accept, got, want)
		}
	}
	f("gzip, br", "br")
	f("gzip", "gzip")
	f("*", "br")
	f("identity", "")
}

// Another implementation reads what we write.
func TestCurlUnderstands(t *testing.T) {
	if out, err := exec.Command("curl", "-V").Output(); err != nil || !strings.Contains(string(out), "brotli") {
		t.Skip("there is no curl that knows brotli")
	}
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Document(t)
	for _, level := range []int{0, 1, 4, 6, 9, 11} {
		g.Route(up, fmt.Sprintf(`{"brotli":{"comp_level":%d,"lgwin":%d}}`, level, 10+level))
		out, err := exec.Command("curl", "-s", "-f", "-H", "Accept-Encoding: br", "--compressed", g.URL+"/?size=300000").Output()
		if err != nil || string(out) != gateway.DocumentText(300_000) {
			t.Errorf("level %d: %d bytes, %v", level, len(out), err)
		}
	}
}

func TestGlobalRuleAndRoute(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"brotli":{}}}`)
	g.Route(gateway.Document(t), `{"brotli":{}}`)
	for range 3 {
		resp, got := g.Get("/?size=200000", "Accept-Encoding: br")
		if len(resp.Header["Content-Encoding"]) != 1 || unpack(t, got) != gateway.DocumentText(200_000) {
			t.Fatalf("%v", resp.Header)
		}
	}
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
	g.Route(up, `{"brotli":{"types":["text/event-stream"]}}`)
	q, _ := http.NewRequest("GET", g.URL+"/", nil)
	q.Header.Set("Accept-Encoding", "br")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := brrr.NewReader(resp.Body)
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
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"brotli":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin brotli err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{"lgwin":9}`, `property "lgwin" validation failed`)
	f(`{"mode":3}`, `property "mode" validation failed`)
	f(`{"comp_level":12}`, `property "comp_level" validation failed`)
	f(`{"types":"text/html"}`, `property "types" validation failed`)
	f(`{"types":[]}`, `property "types" validation failed`)
	f(`{"http_version":2}`, `property "http_version" validation failed`)
	f(`{"min_length":0}`, `property "min_length" validation failed`)
	f(`{"vary":"x"}`, `property "vary" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/brotli.md") }
