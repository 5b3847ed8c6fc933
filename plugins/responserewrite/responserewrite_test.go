package responserewrite_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	brrr "github.com/molecule-man/go-brrr"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/gzip"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/responserewrite"
)

// upstream answers with the text that the test gives, in two pieces.
func upstream(t testing.TB, text *string) string {
	return gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		h.Set("ETag", `"x"`)
		h.Set("X-A", "1")
		h.Add("X-A", "2")
		body := *text
		switch r.URL.Path {
		case "/gzip":
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			io.WriteString(z, body)
			z.Close()
			body = b.String()
			h.Set("Content-Encoding", "gzip")
		case "/br":
			b, _ := brrr.Compress([]byte(body), 5)
			body = string(b)
			h.Set("Content-Encoding", "br")
		case "/zstd", "/broken":
			h.Set("Content-Encoding", strings.Replace(r.URL.Path[1:], "broken", "gzip", 1))
		case "/none":
			w.WriteHeader(204)
			return
		case "/500":
			w.WriteHeader(500)
		case "/length":
			h.Set("Content-Length", fmt.Sprint(len(body)))
		}
		io.WriteString(w, body[:len(body)/2])
		if r.URL.Path != "/length" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, body[len(body)/2:])
	})
}

func unzip(t *testing.T, text string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestBodies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	text := ""
	up := upstream(t, &text)
	f := func(plugin, path, in, want string) http.Header {
		t.Helper()
		g.Route(up, `{"response-rewrite":`+plugin+`}`)
		text = in
		resp, got := g.Get(path)
		if got != want {
			t.Errorf("%s %s: %d %.100q, want %.100q", plugin, path, resp.StatusCode, got, want)
		}
		return resp.Header
	}
	long := strings.Repeat("hello world ", 20_000)
	for _, path := range []string{"/", "/length"} {
		f(`{"body":"new"}`, path, "old", "new")
		f(`{"body":"new"}`, path, long, "new")
		f(`{"body":""}`, path, "old", "")
		f(`{"body":"`+base64.StdEncoding.EncodeToString([]byte("a\x00b"))+`","body_base64":true}`, path, "old", "a\x00b")
	}
	if h := f(`{"body":"new"}`, "/", "old", "new"); h.Get("ETag") != "" || h.Get("Content-Type") != "text/plain" {
		t.Errorf("%v", h)
	}
	if h := f(`{"headers":{"X-B":"c"}}`, "/length", "old", "old"); h.Get("ETag") == "" || h.Get("Content-Length") != "3" {
		t.Errorf("fields of an untouched body: %v", h)
	}
	f(`{"body":"new"}`, "/gzip", "old", "new")

	once, all := `{"filters":[{"regex":"world","replace":"all"}]}`, `{"filters":[{"regex":"world","replace":"all","scope":"global"}]}`
	for _, path := range []string{"/", "/length", "/gzip", "/br"} {
		f(once, path, "hello world, world", "hello all, world")
		f(all, path, "hello world, world", "hello all, all")
		f(all, path, long, strings.ReplaceAll(long, "world", "all"))
		f(all, path, "nothing", "nothing")
	}
	f(`{"filters":[{"regex":"h(.)l","replace":"$1-${0}-$$"}]}`, "/", "hello", "e-hel-$lo")
	f(`{"filters":[{"regex":"HELLO","replace":"x","options":"ij"}]}`, "/", "hello", "x")
	f(`{"filters":[{"regex":"a.b","replace":"x","options":"jos"}]}`, "/", "a\nb", "x")
	f(`{"filters":[{"regex":"^b","replace":"x","options":"m","scope":"global"}]}`, "/", "b\nb", "x\nx")
	f(`{"filters":[{"regex":"b","replace":"x","options":"a"}]}`, "/", "ab", "ab")
	f(`{"filters":[{"regex":"a","replace":"b"},{"regex":"b","replace":"c","scope":"global"}]}`, "/", "ab", "cc")
	f(`{"filters":[{"regex":"(?<=a)b","replace":"x"}]}`, "/", "ab", "ax")
	f(all, "/zstd", "world", "world") // not known here: left alone
	f(`{"filters":[{"regex":"x","replace":"y"}],"max_resp_body_size":5}`, "/", "xbcdefgh", "ybcde")
	f(`{"filters":[{"regex":"x","replace":"y"}],"max_resp_body_size":1000}`, "/gzip", strings.Repeat("x", 100_000), "y"+strings.Repeat("x", 999))
	f(`{"filters":[{"regex":"x","replace":"y"}],"max_resp_body_size":1000}`, "/br", strings.Repeat("x", 100_000), "y"+strings.Repeat("x", 999))
}

func TestABodyThatCannotBeDecoded(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	text := "this is no gzip"
	g.Route(upstream(t, &text), `{"response-rewrite":{"filters":[{"regex":"a","replace":"b"}]}}`)
	text = "this is no gzip"
	for range 3 {
		// What came in one piece becomes a 502, what was begun is broken off.
		resp, err := http.Get(g.URL + "/broken")
		if err != nil {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && (resp.StatusCode != 502 || !strings.Contains(string(body), "502 Bad Gateway")) {
			t.Errorf("the client got an answer that looks good: %d %q", resp.StatusCode, body)
		}
	}
	if !strings.Contains(g.Log(), "cannot be decoded") {
		t.Error("the log does not say why")
	}
}

// A response that a plugin ends does not wait for the upstream.
func TestReplacedStream(t *testing.T) {
	gone := make(chan struct{})
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	})
	g := gateway.Start(t, gateway.Options{})
	g.Route(up, `{"response-rewrite":{"body":"new"}}`)
	if _, body := g.Get("/"); body != "new" {
		t.Errorf("%q", body)
	}
	<-gone
}

func TestStatusAndFields(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	text := "old"
	up := upstream(t, &text)
	f := func(plugin, path string, status int, field, want string) {
		t.Helper()
		g.Route(up, `{"response-rewrite":`+plugin+`}`)
		resp, _ := g.Get(path)
		if got := strings.Join(resp.Header.Values(field), "|"); resp.StatusCode != status || got != want || resp.Status != fmt.Sprintf("%d %s", status, http.StatusText(status)) {
			t.Errorf("%s %s: %s, %s is %q, want %q", plugin, path, resp.Status, field, got, want)
		}
	}
	f(`{"status_code":302,"headers":{"Location":"/x"}}`, "/", 302, "Location", "/x")
	f(`{"status_code":201}`, "/500", 201, "X-A", "1|2")
	f(`{"status_code":200,"body":"now"}`, "/none", 200, "Content-Length", "3")
	f(`{"status_code":204}`, "/", 204, "Content-Length", "")
	f(`{"headers":{"X-A":"3"}}`, "/", 200, "X-A", "3")
	f(`{"headers":{"X-N":3}}`, "/", 200, "X-N", "3")
	f(`{"headers":{"X-A":""}}`, "/", 200, "X-A", "")
	f(`{"headers":{"X-V":"$remote_addr ${uri} $balancer_ip"}}`, "/", 200, "X-V", "127.0.0.1 / 127.0.0.1")
	f(`{"headers":{"X-V":"$nothing"}}`, "/", 200, "X-V", "")
	f(`{"headers":{"add":["X-A: 3","X-A:4"]}}`, "/", 200, "X-A", "1|2|3|4")
	f(`{"headers":{"add":["Set-Cookie: a=b; Max-Age=5"]}}`, "/", 200, "Set-Cookie", "a=b; Max-Age=5")
	f(`{"headers":{"set":{"X-A":"3"}}}`, "/", 200, "X-A", "3")
	f(`{"headers":{"remove":["x-a"]}}`, "/", 200, "X-A", "")
	f(`{"headers":{"add":["X-A: 3"],"set":{"X-A":"4"},"remove":["X-A"]}}`, "/", 200, "X-A", "")
	f(`{"headers":{"add":["X-B: 3"],"set":{"X-B":"4"}}}`, "/", 200, "X-B", "4")
	f(`{"headers":{"set":{"Content-Length":"1000"},"remove":["Transfer-Encoding"]}}`, "/length", 200, "Content-Length", "3")
	f(`{"status_code":418,"vars":[["status","==",500]]}`, "/500", 418, "X-A", "1|2")
	f(`{"status_code":418,"vars":[["status","==",500]]}`, "/", 200, "X-A", "1|2")
	f(`{"status_code":418,"vars":[["sent_http_content_type","~~","^text/"],["uri","==","/"]]}`, "/", 418, "X-A", "1|2")
	f(`{"status_code":418,"vars":[]}`, "/", 418, "X-A", "1|2")
}

func TestOwnAnswers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	text := ""
	g.Route(upstream(t, &text), `{"key-auth":{},"response-rewrite":{"status_code":200,"body":"welcome","headers":{"X-Was":"$status"}}}`)
	resp, body := g.Get("/")
	if resp.StatusCode != 200 || body != "welcome" || resp.Header.Get("WWW-Authenticate") == "" || resp.ContentLength != 7 {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
}

func TestGlobalRuleAndRoute(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	text := "one two"
	g.Put(conf.KindGlobalRule, "1", `{"plugins":{"response-rewrite":{"filters":[{"regex":"one","replace":"1"}]}}}`)
	g.Route(upstream(t, &text), `{"gzip":{"types":"*","min_length":1},"response-rewrite":{"filters":[{"regex":"two","replace":"2"}]}}`)
	for range 3 {
		if _, body := g.Get("/"); body != "1 2" {
			t.Errorf("%q", body)
		}
		if resp, body := g.Get("/", "Accept-Encoding: gzip"); resp.Header.Get("Content-Encoding") != "gzip" || unzip(t, body) != "1 2" {
			t.Errorf("%q %v", body, resp.Header)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"response-rewrite":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin response-rewrite err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{"status_code":199}`, `property "status_code" validation failed`)
	f(`{"status_code":599}`, `property "status_code" validation failed`)
	f(`{"body":"%","body_base64":true}`, "invalid base64 content")
	f(`{"body":"","body_base64":true}`, "invalid base64 content")
	f(`{"body_base64":true}`, "invalid base64 content")
	f(`{"vars":[["a","b","c"]]}`, "failed to validate the 'vars' expression: ")
	f(`{"body":"a","filters":[{"regex":"a","replace":"b"}]}`, "")
	f(`{"filters":[]}`, `property "filters" validation failed`)
	f(`{"filters":[{"regex":"a"}]}`, `property "filters" validation failed`)
	f(`{"filters":[{"regex":"a(","replace":"b"}]}`, `regex "a(" validation failed: `)
	f(`{"filters":[{"regex":"a","replace":"b","options":"z"}]}`, `regex "a" validation failed: unknown flag`)
	f(`{"filters":[{"regex":"a","replace":"b","scope":"some"}]}`, `property "filters" validation failed`)
	f(`{"headers":{"X Y":"a"}}`, `headers: "X Y" is no name of a header field`)
	f(`{"headers":{"X-A":{}}}`, "")
	f(`{"headers":{"add":["no colon"]}}`, "")
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/response-rewrite.md") }
