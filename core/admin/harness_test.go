package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/admin/httpd"
)

const testKey = "edd1c9f034335f136f87ad84b625c8f1"

// bench is an API on a loopback port.
type bench struct {
	t       *testing.T
	store   *fakeStore
	checker *fakeChecker
	api     *API
	url     string
	mu      sync.Mutex
	journal []Change
	now     time.Time
}

func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, store: newFakeStore(), checker: &fakeChecker{}, now: time.Unix(1700000000, 0)}
	o := Options{
		Store: b.store, Checker: b.checker, Prefix: "/apisix", StreamEnabled: true,
		Access: Access{KeyRequired: true, Keys: []Key{{Name: "admin", Key: testKey, Role: "admin"}, {Name: "viewer", Key: "viewkey", Role: "viewer"}}},
		Now: func() time.Time {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.now
		},
		Journal: func(list []Change) {
			b.mu.Lock()
			b.journal = append(b.journal, list...)
			b.mu.Unlock()
		},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&o)
	}
	if !listing {
		o.Index = &storeIndex{o.Store, o.Keyring}
	}
	t.Cleanup(func() { _ = b.store.Close() })
	b.api = New(o)
	b.url = serve(t, b.api)
	return b
}

func serve(t *testing.T, api *API) string {
	t.Helper()
	srv, err := httpd.Listen(httpd.Options{
		Name: "Admin API", Addresses: []string{"127.0.0.1:0"}, Handler: api.Handler, StreamBody: true,
		ServerHeader: "Sluice/test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return "http://" + srv.Addrs()[0].String()
}

func (b *bench) later(d time.Duration) {
	b.mu.Lock()
	b.now = b.now.Add(d)
	b.mu.Unlock()
}

type reply struct {
	status int
	header http.Header
	text   string
}

func (b *bench) send(method, path, body string, headers ...string) reply {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("X-API-KEY", testKey)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// step is one request and what must come back. want is a JSON text that must
// equal the body; "" checks the status only; ~ in front asks for a substring.
// Relative paths stand below the API's base.
type step struct {
	method, path, body string
	status             int
	want               string
}

func (b *bench) run(steps []step) {
	b.t.Helper()
	for i, s := range steps {
		path := s.path
		if !strings.HasPrefix(path, "//") {
			path = base + path
		} else {
			path = path[1:]
		}
		r := b.send(s.method, path, s.body)
		if r.status != s.status {
			b.t.Errorf("step %d, %s %s: status %d, want %d; body %s", i, s.method, s.path, r.status, s.status, r.text)
			continue
		}
		b.match(i, s, r.text)
	}
}

func (b *bench) match(i int, s step, got string) {
	b.t.Helper()
	if s.want == "" {
		return
	}
	if part, ok := strings.CutPrefix(s.want, "~"); ok {
		if !strings.Contains(got, part) {
			b.t.Errorf("step %d, %s %s: body %s\nmust contain %s", i, s.method, s.path, got, part)
		}
		return
	}
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		b.t.Errorf("step %d, %s %s: body %q is no JSON: %v", i, s.method, s.path, got, err)
		return
	}
	if err := json.Unmarshal([]byte(s.want), &w); err != nil {
		b.t.Fatalf("step %d: broken expectation: %v", i, err)
	}
	if !reflect.DeepEqual(g, w) {
		b.t.Errorf("step %d, %s %s: body\n%s\nwant\n%s", i, s.method, s.path, got, s.want)
	}
}

func containsText(s, part string) bool { return strings.Contains(s, part) }
