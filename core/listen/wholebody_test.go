package listen

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
)

// readsBody is a route whose plugin needs the whole request body.
func readsBody(limit int64) func(*Config, *req.Upstream, *req.Effective) {
	return func(c *Config, _ *req.Upstream, e *req.Effective) {
		c.BodyTimeout = 300 * time.Millisecond
		e.Chain = &req.Chain{}
		e.Chain.Phases[req.Rewrite] = []req.Step{{Name: "reader", Run: func(ctx *req.Ctx) req.Verdict {
			if err := ctx.ReadBody(limit); err != nil {
				return ctx.FailBody(err)
			}
			ctx.Req.Set("X-Read", fmt.Append(nil, len(ctx.Body)))
			return req.Continue
		}}}
	}
}

func TestAPluginReadsTheWholeBody(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d", r.Header.Get("X-Read"), len(body))
	})
	g := newGateway(t, readsBody(1<<20), b)
	for _, chunked := range []bool{false, true} {
		for _, size := range []int{0, 1, 1000, 65_536, 300_000, 1 << 20, 1<<20 + 1, 2 << 20} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", size))
			if chunked {
				body = struct{ io.Reader }{body}
			}
			resp, err := http.Post("http://"+g.addr+"/", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if size > 1<<20 {
				if resp.StatusCode != 413 {
					t.Errorf("size %d, chunked %v: %d, want 413", size, chunked, resp.StatusCode)
				}
				continue
			}
			if want := fmt.Sprintf("%d %d", size, size); string(got) != want {
				t.Errorf("size %d, chunked %v: %d %q, want %q", size, chunked, resp.StatusCode, got, want)
			}
		}
	}
}

func TestBodiesThatCannotBeRead(t *testing.T) {
	g := newGateway(t, readsBody(100))
	f := func(name, request, want string) {
		t.Helper()
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, request)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 "+want) {
			t.Errorf("%s: %.60q, want %s", name, answer, want)
		}
	}
	f("malformed chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400")
	f("too slow", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", "408")
	f("announced too large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n", "413")
	f("too large in chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"+strings.Repeat("x", 101)+"\r\n", "413")
	f("waits for 100", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", "100 Continue\r\n\r\nHTTP/1.1 408")
}

// A body filter on demand leaves other responses as they came.
func TestBodyFilterOnDemand(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})
	var ran atomic.Bool
	g := newGateway(t, func(_ *Config, _ *req.Upstream, e *req.Effective) {
		e.Chain = &req.Chain{}
		e.Chain.Phases[req.HeaderFilter] = []req.Step{{Name: "f", Slot: 3, Run: func(ctx *req.Ctx) req.Verdict {
			if string(ctx.Query) == "yes" {
				ctx.FilterBody(3)
			}
			return req.Continue
		}}}
		e.Chain.Phases[req.BodyFilter] = []req.Step{{Name: "f", Slot: 3, OnDemand: true, Run: func(ctx *req.Ctx) req.Verdict {
			ran.Store(true)
			return req.Continue
		}}}
	}, b)
	f := func(query string, length int64, want bool) {
		t.Helper()
		ran.Store(false)
		resp, err := http.Get("http://" + g.addr + "/?" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "hello" || resp.ContentLength != length || ran.Load() != want {
			t.Errorf("%s: %q, length %d, filter ran: %v", query, body, resp.ContentLength, ran.Load())
		}
	}
	f("yes", -1, true)
	f("no", 5, false)
	f("yes", -1, true)
	f("no", 5, false)
}

// A plugin may give a response a status that has a body, or one that has none.
func TestStatusChangedByAPlugin(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			w.WriteHeader(204)
			return
		}
		if r.URL.Path == "/long" {
			w.Write(make([]byte, 200_000))
			return
		}
		io.WriteString(w, "hello")
	})
	var status atomic.Int64
	var body atomic.Value // string
	g := newGateway(t, func(_ *Config, _ *req.Upstream, e *req.Effective) {
		e.Chain = &req.Chain{}
		e.Chain.Phases[req.HeaderFilter] = []req.Step{{Name: "f", Run: func(ctx *req.Ctx) req.Verdict {
			ctx.Resp.StatusCode = int(status.Load())
			if body.Load() != "" {
				ctx.FilterBody(0)
			}
			return req.Continue
		}}}
		e.Chain.Phases[req.BodyFilter] = []req.Step{{Name: "f", OnDemand: true, Run: func(ctx *req.Ctx) req.Verdict {
			ctx.Chunk = nil
			if ctx.ChunkLast {
				ctx.Chunk = []byte(body.Load().(string))
			}
			return req.Continue
		}}}
	}, b)
	f := func(method, path string, give int, text string, want string) {
		t.Helper()
		status.Store(int64(give))
		body.Store(text)
		// Two requests on one connection: the framing of the first is right.
		one := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, path)
		answer := exchangeRaw(t, g.addr, one+strings.Replace(one, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		if n := strings.Count(string(answer), fmt.Sprintf("HTTP/1.1 %d ", give)); n != 2 {
			t.Errorf("%s %s as %d: %d answers in %.300q", method, path, give, n, answer)
		}
		if n := strings.Count(string(answer), want); n != 2 {
			t.Errorf("%s %s as %d: %q stands %d times in %.300q", method, path, give, want, n, answer)
		}
	}
	f("GET", "/none", 200, "", "Content-Length: 0\r\n")
	f("GET", "/none", 200, "now", "Content-Length: 3\r\n")
	f("GET", "/none", 204, "now", "HTTP/1.1 204")
	f("GET", "/some", 204, "", "HTTP/1.1 204")
	f("GET", "/long", 204, "", "HTTP/1.1 204")
	f("GET", "/some", 304, "x", "HTTP/1.1 304")
	f("HEAD", "/some", 404, "x", "HTTP/1.1 404")
}
