package probe

import (
	"errors"
	"io"
	"testing"

	"github.com/valyala/fasthttp"
)

func ask(h fasthttp.RequestHandler, method, path string) (int, string) {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	h(&ctx)
	return ctx.Response.StatusCode(), string(ctx.Response.Body())
}

func TestStatus(t *testing.T) {
	var fault error
	h := Status(func() error { return fault })
	f := func(method, path string, status int, body string) {
		t.Helper()
		if s, b := ask(h, method, path); s != status || b != body {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, s, b, status, body)
		}
	}
	f("GET", "/status", 200, `{"status":"ok"}`)
	f("GET", "/status/ready", 200, `{"status":"ok"}`)
	fault = errors.New("worker id: 9 has not received configuration")
	f("GET", "/status", 200, `{"status":"ok"}`)
	f("GET", "/status/ready", 503, `{"status":"error","error":"worker id: 9 has not received configuration"}`)
	f("GET", "/", 404, "{\"error_msg\":\"not found\"}\n")
	f("POST", "/status", 404, "{\"error_msg\":\"not found\"}\n")
}

func TestMetrics(t *testing.T) {
	h := Metrics("", func(w io.Writer) { _, _ = io.WriteString(w, "apisix_node_info 1\n") })
	if s, b := ask(h, "GET", DefaultMetricsPath); s != 200 || b != "apisix_node_info 1\n" {
		t.Errorf("%d %s", s, b)
	}
	if s, _ := ask(h, "GET", "/metrics"); s != 404 {
		t.Errorf("another path: %d", s)
	}
	h = Metrics("/metrics", func(io.Writer) {})
	if s, _ := ask(h, "GET", "/metrics"); s != 200 {
		t.Errorf("own path: %d", s)
	}
	if s, _ := ask(h, "POST", "/metrics"); s != 404 {
		t.Errorf("POST: %d", s)
	}
}
