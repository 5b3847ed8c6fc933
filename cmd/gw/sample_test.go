package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func askSample(t *testing.T, method, target string) (int, string) {
	t.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(target)
	ctx.Request.Header.Set("X-Test", "yes")
	answerSample(&ctx, "me")
	if s := ctx.Response.BodyStream(); s != nil {
		raw, err := io.ReadAll(s)
		if err != nil {
			t.Fatal(err)
		}
		return ctx.Response.StatusCode(), string(raw)
	}
	return ctx.Response.StatusCode(), string(ctx.Response.Body())
}

func TestSampleEchoes(t *testing.T) {
	code, body := askSample(t, "POST", "/hello?a=b")
	var e echo
	if err := json.Unmarshal([]byte(body), &e); err != nil || code != 200 {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if e.Upstream != "me" || e.Request != "POST /hello?a=b" || e.Path != "/hello" || e.Query != "a=b" || len(e.Headers["X-Test"]) != 1 {
		t.Errorf("%+v", e)
	}
}

func TestSampleAnswers(t *testing.T) {
	f := func(target string, code int, body string) {
		t.Helper()
		if c, b := askSample(t, "GET", target); c != code || b != body {
			t.Errorf("%s: %d %.60q, want %d %q", target, c, b, code, body)
		}
	}
	f("/bytes/0", 200, "")
	f("/bytes/12", 200, "012345678901")
	f("/stream/3", 200, "012")
	f("/status/418", 418, "418\n")
	f("/bytes/x", 400, `"x" is not a number from 0 to 1073741824`)
	f("/bytes/-1", 400, `"-1" is not a number from 0 to 1073741824`)
	if _, b := askSample(t, "GET", "/delay/1"); !strings.Contains(b, "GET /delay/1") {
		t.Errorf("/delay/1: %s", b)
	}
	if _, b := askSample(t, "GET", "/sse?n=3&ms=1"); strings.Count(b, "data: ") != 3 {
		t.Errorf("/sse: %s", b)
	}
}
