package hmacauth_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/hmacauth"
)

const (
	missing  = `{"message":"client request can't be validated: missing Authorization header"}` + "\n"
	noScheme = `{"message":"client request can't be validated: Authorization header does not start with 'Signature'"}` + "\n"
	invalid  = `{"message":"client request can't be validated"}` + "\n"
)

// request is a signed request; the zero value is a good GET / of jack's.
type request struct {
	method, path, body string
	keyID, secret      string
	algorithm          string
	headers            string // what the signature covers
	fields             []string
	date               time.Time
	signPath           string // in the place of path
	sign               func(text string) string
}

var hashes = map[string]func() hash.Hash{"hmac-sha1": sha1.New, "hmac-sha256": sha256.New, "hmac-sha512": sha512.New}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// signed computes the fields as the documentation tells clients to.
func (r request) signed() (method, path string, fields []string) {
	method, path = or(r.method, "GET"), or(r.path, "/")
	if r.date.IsZero() {
		r.date = time.Now()
	}
	fields = append([]string{"Date: " + r.date.UTC().Format(http.TimeFormat)}, r.fields...)
	headers := or(r.headers, "@request-target date")
	text := or(r.keyID, "jack") + "\n"
	for name := range strings.SplitSeq(headers, " ") {
		if name == "@request-target" {
			text += method + " " + or(r.signPath, path) + "\n"
			continue
		}
		for _, f := range fields {
			if n, value, _ := strings.Cut(f, ": "); strings.EqualFold(n, name) {
				text += name + ": " + value + "\n"
				break
			}
		}
	}
	if r.sign != nil {
		text = r.sign(text)
	}
	algorithm := or(r.algorithm, "hmac-sha256")
	mac := hmac.New(sha256.New, []byte(or(r.secret, "jacks-secret")))
	if h := hashes[algorithm]; h != nil {
		mac = hmac.New(h, []byte(or(r.secret, "jacks-secret")))
	}
	mac.Write([]byte(text))
	auth := fmt.Sprintf(`Authorization: Signature keyId="%s",algorithm="%s",headers="%s",signature="%s"`,
		or(r.keyID, "jack"), algorithm, headers, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return method, path, append(fields, auth)
}

func start(t testing.TB, plugin string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"hmac-auth":{"key_id":"jack","secret_key":"jacks-secret"}}}`)
	g.Put(conf.KindConsumer, "nobody", `{"username":"nobody"}`)
	g.Route(gateway.Upstream(t), `{"hmac-auth":`+plugin+`}`)
	return g
}

func send(t *testing.T, g *gateway.Gateway, r request) (int, string) {
	t.Helper()
	method, path, fields := r.signed()
	resp, body := g.Do(method, path, r.body, fields...)
	if resp.StatusCode == 200 {
		return 200, gateway.Saw(t, body).Header.Get("X-Consumer-Username")
	}
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode == 401 && got != `hmac realm="hmac"` {
		t.Errorf("challenge %q", got)
	}
	return resp.StatusCode, body
}

func TestRequests(t *testing.T) {
	g := start(t, `{}`)
	f := func(name string, r request, good bool) {
		t.Helper()
		status, want := 401, invalid
		if good {
			status, want = 200, "jack"
		}
		if got, body := send(t, g, r); got != status || body != want {
			t.Errorf("%s: %d %q, want %d %q", name, got, body, status, want)
		}
	}
	f("plain", request{}, true)
	f("with sha1", request{algorithm: "hmac-sha1"}, true)
	f("with sha512", request{algorithm: "hmac-sha512"}, true)
	f("query", request{path: "/a?b=c&d=%2F"}, true)
	f("other fields", request{headers: "date x-a X-B", fields: []string{"X-A: one", "x-b: two"}}, true)
	f("a field that is not there", request{headers: "date x-none"}, true)
	f("a path that was not normal", request{path: "/a/../b", signPath: "/a/../b"}, true)
	f("a path as the upstream sees it", request{path: "/a/%62", signPath: "/a/b"}, true)
	f("post", request{method: "POST", body: "anything"}, true)

	f("another path", request{path: "/a", signPath: "/b"}, false)
	f("another query", request{path: "/a?b=c", signPath: "/a?b=d"}, false)
	f("another secret", request{secret: "guess"}, false)
	f("unknown key", request{keyID: "joe"}, false)
	f("unknown algorithm", request{algorithm: "hmac-md5"}, false)
	f("no algorithm", request{algorithm: `"`}, false)
	f("date is not signed", request{headers: "@request-target"}, false)
	f("old", request{date: time.Now().Add(-6 * time.Minute)}, false)
	f("from the future", request{date: time.Now().Add(6 * time.Minute)}, false)
	f("nearly old", request{date: time.Now().Add(-4 * time.Minute)}, true)
	f("tampered", request{sign: func(s string) string { return strings.Replace(s, "GET", "PUT", 1) }}, false)

	method, path, fields := request{}.signed()
	for i, field := range fields {
		if strings.HasPrefix(field, "Date") {
			fields[i] = "Date: tomorrow"
		}
	}
	if resp, body := g.Do(method, path, "", fields...); resp.StatusCode != 401 || body != invalid {
		t.Errorf("malformed date: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.Get("/"); resp.StatusCode != 401 || body != missing || resp.Header.Get("WWW-Authenticate") != `hmac realm="hmac"` {
		t.Errorf("no field: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.Get("/", "Authorization: Basic abc"); resp.StatusCode != 401 || body != noScheme {
		t.Errorf("another scheme: %d %s", resp.StatusCode, body)
	}
	if resp, body := g.Get("/", "Authorization: Signature"); resp.StatusCode != 401 || body != invalid {
		t.Errorf("no parameters: %d %s", resp.StatusCode, body)
	}
}

func TestSettings(t *testing.T) {
	f := func(plugin string, r request, status int) {
		t.Helper()
		g := start(t, plugin)
		if got, body := send(t, g, r); got != status {
			t.Errorf("%s: %d %s, want %d", plugin, got, body, status)
		}
	}
	f(`{"allowed_algorithms":["hmac-sha512"]}`, request{}, 401)
	f(`{"allowed_algorithms":["hmac-sha512"]}`, request{algorithm: "hmac-sha512"}, 200)
	f(`{"clock_skew":600}`, request{date: time.Now().Add(-9 * time.Minute)}, 200)
	f(`{"clock_skew":1}`, request{date: time.Now().Add(-9 * time.Second)}, 401)
	f(`{"signed_headers":["date","x-a"]}`, request{}, 401)
	f(`{"signed_headers":["date","x-a"]}`, request{headers: "date x-a", fields: []string{"X-A: b"}}, 200)
	f(`{"signed_headers":[]}`, request{headers: "@request-target"}, 200)
}

func TestXDate(t *testing.T) {
	g := start(t, `{"signed_headers":["x-date"]}`)
	now := time.Now().UTC().Format(http.TimeFormat)
	method, path, fields := request{headers: "@request-target x-date", fields: []string{"X-Date: " + now}}.signed()
	if resp, body := g.Do(method, path, "", fields[1:]...); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestBody(t *testing.T) {
	g := start(t, `{"validate_request_body":true,"max_req_body_size":100,"signed_headers":["date","digest"]}`)
	digest := func(body string) []string {
		sum := sha256.Sum256([]byte(body))
		return []string{"Digest: SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])}
	}
	f := func(name string, r request, status int) {
		t.Helper()
		r.method, r.headers = "POST", "@request-target date digest"
		got, body := send(t, g, r)
		if got != status {
			t.Errorf("%s: %d %s, want %d", name, got, body, status)
		}
	}
	f("right", request{body: "hello", fields: digest("hello")}, 200)
	f("empty", request{fields: digest("")}, 200)
	f("another", request{body: "hello", fields: digest("hullo")}, 401)
	f("another algorithm", request{body: "hello", fields: []string{"Digest: MD5=abc"}}, 401)
	f("no digest", request{body: "hello"}, 401)
	long := strings.Repeat("x", 101)
	f("too long", request{body: long, fields: digest(long)}, 413)
	method, path, fields := request{method: "POST", headers: "@request-target date digest", fields: digest("hello")}.signed()
	_, body := g.Do(method, path, "hello", fields...)
	if gateway.Saw(t, body).Body != "hello" {
		t.Errorf("the upstream saw %s", body)
	}
}

func TestHiddenAndAnonymous(t *testing.T) {
	g := start(t, `{"hide_credentials":true,"anonymous_consumer":"nobody"}`)
	f := func(r request, want string) {
		t.Helper()
		method, path, fields := r.signed()
		resp, body := g.Do(method, path, "", fields...)
		if resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		if h := gateway.Saw(t, body).Header; h.Get("X-Consumer-Username") != want || h["Authorization"] != nil {
			t.Errorf("the upstream saw %v, want %s", h, want)
		}
	}
	f(request{}, "jack")
	f(request{secret: "guess"}, "nobody")
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(kind conf.Kind, value string) {
		t.Helper()
		if g.TryPut(kind, "a", value) == nil {
			t.Errorf("%s was accepted", value)
		}
	}
	f(conf.KindRoute, `{"uri":"/*","plugins":{"hmac-auth":{"allowed_algorithms":[]}}}`)
	f(conf.KindRoute, `{"uri":"/*","plugins":{"hmac-auth":{"allowed_algorithms":["hmac-md5"]}}}`)
	f(conf.KindRoute, `{"uri":"/*","plugins":{"hmac-auth":{"clock_skew":0}}}`)
	f(conf.KindConsumer, `{"username":"a","plugins":{"hmac-auth":{"key_id":"a"}}}`)
	f(conf.KindConsumer, `{"username":"a","plugins":{"hmac-auth":{"key_id":"a","secret_key":""}}}`)
}

func TestPage(t *testing.T) {
	gateway.RunPage(t, "../../docs/plugins/hmac-auth.md")
}

// A known request: the values were computed with openssl.
func TestKnownSignature(t *testing.T) {
	g := start(t, `{"clock_skew":1000000000}`)
	const date = "Tue, 24 Nov 2026 12:00:00 GMT"
	const signature = "areq93B2AUU3dsOSvv5ip4qvlrTlOWM6kGOJqyniSV0="
	resp, body := g.Get("/orders?limit=5", "Date: "+date,
		`Authorization: Signature keyId="jack",algorithm="hmac-sha256",headers="@request-target date",signature="`+signature+`"`)
	if resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
