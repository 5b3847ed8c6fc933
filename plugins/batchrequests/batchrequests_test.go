package batchrequests_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/batchrequests"
	_ "github.com/sluicegw/sluice/plugins/gzip"
	_ "github.com/sluicegw/sluice/plugins/iprestriction"
	_ "github.com/sluicegw/sluice/plugins/keyauth"
	_ "github.com/sluicegw/sluice/plugins/publicapi"
	_ "github.com/sluicegw/sluice/plugins/responserewrite"
)

// start runs a gateway with the endpoint and a route for everything else.
func start(t *testing.T, o gateway.Options, up string) *gateway.Gateway {
	g := gateway.Start(t, o)
	g.Put(conf.KindRoute, "batch", `{"uri":"/apisix/batch-requests","plugins":{"public-api":{}}}`)
	g.Put(conf.KindRoute, "up", fmt.Sprintf(`{"uri":"/up/*","upstream":{"nodes":{%q:1}}}`, up))
	return g
}

// one is an answer in a batch.
type one struct {
	Status  int
	Reason  string
	Body    *string
	Headers map[string]any
}

// send sends a batch and returns what it was answered.
func send(t *testing.T, g *gateway.Gateway, batch string, headers ...string) []one {
	t.Helper()
	resp, body := g.Do("POST", "/apisix/batch-requests", batch, headers...)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	var out []one
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return out
}

func saw(t *testing.T, o one) gateway.Seen {
	t.Helper()
	if o.Status != 200 || o.Reason != "OK" || o.Body == nil {
		t.Fatalf("%+v", o)
	}
	return gateway.Saw(t, *o.Body)
}

func TestRequestsOfABatch(t *testing.T) {
	g := start(t, gateway.Options{}, gateway.Upstream(t))
	got := send(t, g, `{
		"query": {"q": "1", "common": "a b", "flag": true, "no": false},
		"headers": {"X-Common": "yes", "X-A": "common"},
		"pipeline": [
			{"path": "/up/1"},
			{"method": "POST", "path": "/up/2?x=y", "query": {"q": [2, 3]}, "headers": {"X-A": "own", "Content-Type": "text/x"}, "body": "the body"},
			{"method": "PUT", "path": "/up/3", "headers": {"x-list": ["a", "b"], "X-Outer": 7}, "version": 1.0},
			{"path": "/nowhere"},
			{"method": "HEAD", "path": "/up/5"},
			{"path": "no path"}
		]}`, "X-Outer: outer", "Host: h.example", "Content-Type: application/json")
	if len(got) != 6 {
		t.Fatalf("%d answers", len(got))
	}
	s := saw(t, got[0])
	if s.Method != "GET" || s.URI != "/up/1?common=a%20b&flag&q=1" || s.Host != "h.example" || s.Body != "" ||
		s.Header.Get("X-Common") != "yes" || s.Header.Get("X-A") != "common" || s.Header.Get("X-Outer") != "outer" || s.Header.Get("Content-Type") != "" {
		t.Errorf("%+v", s)
	}
	s = saw(t, got[1])
	if s.Method != "POST" || s.URI != "/up/2?x=y&q=2&q=3&common=a%20b&flag" || s.Body != "the body" ||
		s.Header.Get("X-A") != "own" || s.Header.Get("Content-Type") != "text/x" || s.Header.Get("Content-Length") != "8" {
		t.Errorf("%+v", s)
	}
	s = saw(t, got[2])
	if s.Method != "PUT" || strings.Join(s.Header["X-List"], "|") != "a|b" || s.Header.Get("X-Outer") != "7" {
		t.Errorf("%+v", s)
	}
	if got[0].Headers["Content-Type"] != "application/json" || got[0].Headers["Server"] != "Sluice" || got[0].Headers["Date"] == "" {
		t.Errorf("%v", got[0].Headers)
	}
	if got[3].Status != 404 || got[3].Reason != "Not Found" || !strings.Contains(*got[3].Body, "404 Route Not Found") {
		t.Errorf("%+v", got[3])
	}
	if got[4].Status != 200 || got[4].Body != nil {
		t.Errorf("%+v", got[4])
	}
	if got[5].Status != 400 {
		t.Errorf("%+v", got[5])
	}
}

// The requests of a batch go through all plugins, as themselves.
func TestPluginsOfTheRequests(t *testing.T) {
	g := start(t, gateway.Options{}, gateway.Upstream(t))
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"k"}}}`)
	g.Put(conf.KindRoute, "auth", fmt.Sprintf(`{"uri":"/auth","plugins":{"key-auth":{},"gzip":{"types":"*","min_length":1},"response-rewrite":{"headers":{"add":["X-Two: 1","X-Two: 2"]}}},"upstream":{"nodes":{%q:1}}}`, gateway.Upstream(t)))
	got := send(t, g, `{"pipeline":[{"path":"/auth"},{"path":"/auth","headers":{"apikey":"k","Accept-Encoding":"identity"}},{"path":"/auth","headers":{"X-Consumer-Username":"root","apikey":"k","accept-encoding":"gzip"}}]}`)
	if got[0].Status != 401 || got[0].Headers["WWW-Authenticate"] != `apikey realm="key"` {
		t.Errorf("%+v", got[0])
	}
	if s := saw(t, got[1]); s.Header.Get("X-Consumer-Username") != "jack" {
		t.Errorf("%+v", s)
	}
	if list, _ := got[1].Headers["X-Two"].([]any); len(list) != 2 {
		t.Errorf("%+v", got[1].Headers)
	}
	if got[2].Status != 200 || got[2].Headers["Content-Encoding"] != "gzip" {
		t.Errorf("%+v", got[2])
	}
}

// Whoever sends a batch is who its requests come from.
func TestTheClientsAddress(t *testing.T) {
	g := start(t, gateway.Options{Guard: guard.Settings{RealIPFrom: []string{"127.0.0.1"}, RealIPHeader: "X-Real-IP"}}, gateway.Upstream(t))
	g.Put(conf.KindRoute, "inside", fmt.Sprintf(`{"uri":"/inside","plugins":{"ip-restriction":{"whitelist":["10.0.0.0/8"]}},"upstream":{"nodes":{%q:1}}}`, gateway.Upstream(t)))
	f := func(from, item string, status int) {
		t.Helper()
		got := send(t, g, `{"pipeline":[{"path":"/inside"`+item+`}]}`, "X-Real-IP: "+from)
		if got[0].Status != status {
			t.Errorf("from %s with %q: %+v", from, item, got[0])
		}
	}
	f("10.1.2.3", "", 200)
	f("192.0.2.1", "", 403)
	f("192.0.2.1", `,"headers":{"X-Real-IP":"10.1.2.3"}`, 403)
	f("192.0.2.1", `,"headers":{"X-Forwarded-For":"10.1.2.3"}`, 403)
}

func TestRefusedBatches(t *testing.T) {
	g := start(t, gateway.Options{}, gateway.Upstream(t))
	f := func(batch string, status int, want string) {
		t.Helper()
		resp, body := g.Do("POST", "/apisix/batch-requests", batch)
		var e struct {
			Text string `json:"error_msg"`
		}
		if json.Unmarshal([]byte(body), &e); resp.StatusCode != status || !strings.HasPrefix(e.Text, want) || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.60s: %d %s, want %q", batch, resp.StatusCode, body, want)
		}
	}
	f("", 400, "no request body, you should give at least one pipeline setting")
	f("{", 400, "invalid request body: {, err: ")
	f(`{}`, 400, `bad request body: property "pipeline" is required`)
	f(`{"pipeline":[]}`, 400, `bad request body: property "pipeline" validation failed: expect array to have at least 1 items`)
	f(`{"pipeline":[{}]}`, 400, `bad request body: property "pipeline" validation failed`)
	f(`{"pipeline":[{"path":"/","other":1}]}`, 400, `bad request body: property "pipeline" validation failed`)
	f(`{"pipeline":[{"path":"/","method":"BREW"}]}`, 400, `bad request body: property "pipeline" validation failed`)
	f(`{"timeout":0,"pipeline":[{"path":"/"}]}`, 400, `bad request body: property "timeout" validation failed`)
	f(`{"timeout":"x","pipeline":[{"path":"/"}]}`, 400, `bad request body: property "timeout" validation failed`)
	f(`{"pipeline":[{"path":"/","headers":{"X-A":"a\r\nX-B: b"}}]}`, 400, `bad request body: pipeline request 1: header "x-a" has a character`)
	f(`{"pipeline":[{"path":"/","headers":{"X-A":{}}}]}`, 400, `bad request body: pipeline request 1: header x-a: `)
	f(`{"pipeline":[{"path":"/","query":{"a":[[1]]}}]}`, 400, `bad request body: pipeline request 1: query a: `)
	f(`{"pipeline":[{"path":"/`+strings.Repeat("x", 1<<20)+`"}]}`, 413, "request size 1048603 is greater than the maximum size 1048576 allowed")
	if resp, _ := g.Get("/apisix/batch-requests"); resp.StatusCode != 404 {
		t.Errorf("GET: %d", resp.StatusCode)
	}
	// What would end a request line early ends nothing.
	got := send(t, g, `{"pipeline":[{"path":"/up/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /up/2"}]}`)
	if got[0].Status != 400 {
		t.Errorf("%+v", got[0])
	}
	// A batch in a batch would multiply.
	got = send(t, g, `{"pipeline":[{"method":"POST","path":"/apisix/batch-requests","body":"{\"pipeline\":[{\"path\":\"/up/1\"}]}"}]}`)
	if got[0].Status != 400 || !strings.Contains(*got[0].Body, "a batch cannot hold another batch") {
		t.Errorf("%+v", got[0])
	}
}

func TestBounds(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 600)) })
	g := start(t, gateway.Options{}, up)
	f := func(metadata string, items, status int, want string) {
		t.Helper()
		g.Put(conf.KindPluginMetadata, "batch-requests", metadata)
		batch := `{"pipeline":[` + strings.TrimSuffix(strings.Repeat(`{"path":"/up/1"},`, items), ",") + `]}`
		resp, body := g.Do("POST", "/apisix/batch-requests", batch)
		if resp.StatusCode != status || !strings.Contains(body, want) {
			t.Errorf("%s, %d requests: %d %.100s, want %q", metadata, items, resp.StatusCode, body, want)
		}
	}
	f(`{"max_pipeline_items":2}`, 2, 200, `"status":200`)
	f(`{"max_pipeline_items":2}`, 3, 400, "too many pipeline requests, 3 exceeds the maximum of 2")
	f(`{"max_body_size":100}`, 10, 413, "is greater than the maximum size 100 allowed")
	f(`{"max_response_body_size":600}`, 2, 200, `"status":200`)
	f(`{"max_response_body_size":599}`, 2, 502, "response body of pipeline request 1 exceeds max_response_body_size\"")
	f(`{"max_response_body_size_total":1000}`, 2, 502, "response body of pipeline request 2 exceeds max_response_body_size_total")
	g.Delete(conf.KindPluginMetadata, "batch-requests")
	f(`{}`, 1000, 200, `"status":200`)
	f(`{}`, 1001, 400, "too many pipeline requests")
}

func TestTimeout(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up/slow" {
			select {
			case <-r.Context().Done():
			case <-time.After(30 * time.Second):
			}
		}
	})
	g := start(t, gateway.Options{}, up)
	got := send(t, g, `{"timeout":100,"pipeline":[{"path":"/up/1"},{"path":"/up/slow"},{"path":"/up/3"}]}`)
	for i, want := range []int{200, 504, 504} {
		if got[i].Status != want || want == 504 && got[i].Reason != "upstream timeout" {
			t.Errorf("request %d: %+v", i+1, got[i])
		}
	}
	// The gateway and the connection are well.
	if got := send(t, g, `{"pipeline":[{"path":"/up/1"}]}`); got[0].Status != 200 {
		t.Errorf("%+v", got)
	}
}

func TestUpstreamThatBreaksOff(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	g := start(t, gateway.Options{}, up)
	got := send(t, g, `{"pipeline":[{"path":"/up/1"},{"path":"/nowhere"}]}`)
	if got[0].Status != 504 {
		t.Errorf("%+v", got[0])
	}
}

func TestBinaryBodies(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Quoted", `a "b" \ c`)
		w.Write([]byte("\x00\x1f\"\\\n\xff\xfe\x7fé"))
	})
	g := start(t, gateway.Options{}, up)
	_, body := g.Do("POST", "/apisix/batch-requests", `{"pipeline":[{"path":"/up/1"}]}`)
	if !strings.Contains(body, `"\u0000\u001f\"\\\n`+"\xff\xfe"+`\u007fé"`) || !strings.Contains(body, `"X-Quoted":"a \"b\" \\ c"`) {
		t.Errorf("%q", body)
	}
}

func TestOtherPath(t *testing.T) {
	g := start(t, gateway.Options{Build: func(o *build.Options) {
		o.Attr = map[string]json.RawMessage{"batch-requests": json.RawMessage(`{"uri":"/foo/batch"}`)}
	}}, gateway.Upstream(t))
	g.Put(conf.KindRoute, "other", `{"uri":"/here","plugins":{"public-api":{"uri":"/foo/batch"}}}`)
	if resp, body := g.Do("POST", "/here", `{"pipeline":[{"path":"/up/1"}]}`); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := g.Do("POST", "/apisix/batch-requests", `{}`); resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestRefusedMetadata(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, text := range []string{`{"max_body_size":0}`, `{"max_pipeline_items":-1}`, `{"max_response_body_size":0}`, `{"max_body_size":"x"}`} {
		if err := g.TryPut(conf.KindPluginMetadata, "batch-requests", text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/batch-requests.md") }
