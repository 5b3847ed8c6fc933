package apibreaker_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/apibreaker"
	"github.com/sluicegw/sluice/test/gateway"
)

// moody answers with the status of the moment and counts.
type moody struct {
	addr   string
	status atomic.Int64
	seen   atomic.Int64
}

func newMoody(t *testing.T) *moody {
	m := &moody{}
	m.status.Store(200)
	m.addr = gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		m.seen.Add(1)
		w.WriteHeader(int(m.status.Load()))
	})
	return m
}

func TestBreaks(t *testing.T) {
	m := newMoody(t)
	g := gateway.Start(t, gateway.Options{})
	g.Route(m.addr, `{"api-breaker":{"break_response_code":502,"break_response_body":"broken","break_response_headers":[{"key":"X-Path","value":"$uri"}],
		"unhealthy":{"http_statuses":[500,503],"failures":2},"healthy":{"http_statuses":[200],"successes":2}}}`)
	get := func(path string, want int) *http.Response {
		t.Helper()
		resp, _ := g.Get(path)
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
		return resp
	}
	m.status.Store(500)
	get("/a", 500)
	m.status.Store(503)
	get("/a", 503)
	seen := m.seen.Load()
	if resp := get("/a", 502); resp.Header.Get("X-Path") != "/a" {
		t.Errorf("headers %v", resp.Header)
	}
	if _, body := g.Get("/a?x=1"); body != "broken" {
		t.Errorf("body %q", body)
	}
	if m.seen.Load() != seen {
		t.Error("the upstream got a request while the breaker was open")
	}
	// Endpoints are apart: another path, another host.
	m.status.Store(200)
	get("/b", 200)
	if resp, _ := g.Get("/a", "Host: other.example.com"); resp.StatusCode != 200 {
		t.Errorf("another host: %d", resp.StatusCode)
	}
	// It closes by itself after two seconds, and after two successes forgets.
	deadline := time.Now().Add(10 * time.Second)
	for {
		if resp, _ := g.Get("/a"); resp.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the breaker stays open")
		}
	}
	get("/a", 200)
	m.status.Store(500)
	get("/a", 500)
	m.status.Store(404)
	get("/a", 404)
	m.status.Store(200)
	get("/a", 200)
}

func TestNobodyAnswers(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"api-breaker":{"break_response_code":599,"unhealthy":{"http_statuses":[502],"failures":1}}}`)
	if resp, _ := g.Get("/"); resp.StatusCode != 502 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if resp, body := g.Get("/"); resp.StatusCode != 599 || body != "" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	for _, plugin := range []string{
		`{}`, `{"break_response_code":199}`, `{"break_response_code":600}`, `{"break_response_code":500,"max_breaker_sec":2}`,
		`{"break_response_code":500,"unhealthy":{"http_statuses":[404]}}`, `{"break_response_code":500,"healthy":{"http_statuses":[500]}}`,
		`{"break_response_code":500,"unhealthy":{"failures":0}}`, `{"break_response_code":500,"break_response_headers":[{"key":"a"}]}`,
	} {
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"api-breaker":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin api-breaker err: ") {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/api-breaker.md") }
