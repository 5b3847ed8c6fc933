package openloop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
}

func TestRunCountsEveryRequest(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"length": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		"chunked": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "he")
			w.(http.Flusher).Flush()
			io.WriteString(w, "llo")
		},
		"empty": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) },
		"large": func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 300<<10)) },
		"closing": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "x")
		},
		"upload": func(w http.ResponseWriter, r *http.Request) {
			if n, _ := io.Copy(io.Discard, r.Body); n != 1<<20 {
				w.WriteHeader(500)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			cfg := Config{Rate: 400, Conns: 4, Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond}
			cfg.Addr = serve(t, func(w http.ResponseWriter, r *http.Request) { seen.Add(1); h(w, r) })
			if name == "upload" {
				cfg.Rate, cfg.Method, cfg.Body = 40, "POST", make([]byte, 1<<20)
			}
			r, err := Run(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			want := int64(cfg.Rate / 2)
			if r.Due != want || r.Done != want || r.Failed != 0 || r.Latency.TotalCount() != want {
				t.Errorf("due %d, done %d, failed %d (%s), recorded %d, want %d", r.Due, r.Done, r.Failed, r.Failure, r.Latency.TotalCount(), want)
			}
			if total := int64(cfg.Rate * 0.6); seen.Load() != total {
				t.Errorf("the server saw %d requests, want %d", seen.Load(), total)
			}
		})
	}
}

// A server that stands still for a while delays all requests that were due
// meanwhile, not only the one it was working on.
func TestLatencyCountsFromDueTime(t *testing.T) {
	var n atomic.Int64
	const pause = 300 * time.Millisecond
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 50 {
			<-time.After(pause)
		}
	})
	r, err := Run(context.Background(), Config{Addr: addr, Rate: 200, Conns: 1, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	// 200 requests, 60 of them due during the pause: 30 % waited, on average
	// half of it.
	if p := r.Latency.ValueAtQuantile(80); time.Duration(p)*time.Microsecond < pause/6 {
		t.Errorf("p80 is %d µs: the waiting requests were not counted", p)
	}
	if p := r.Service.ValueAtQuantile(80); time.Duration(p)*time.Microsecond > pause/6 {
		t.Errorf("p80 of the service time is %d µs: it must not contain the wait", p)
	}
}

func TestRunCountsFailures(t *testing.T) {
	var n atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(503)
		case 1:
			c, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			c.Close()
		}
	})
	r, err := Run(context.Background(), Config{Addr: addr, Rate: 200, Conns: 2, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 100 || r.Done != 100 || r.Failure == "" {
		t.Errorf("done %d, failed %d (%s), want 100 and 100", r.Done, r.Failed, r.Failure)
	}
}

func TestResponseInPieces(t *testing.T) {
	f := func(text string, wantStatus int) {
		t.Helper()
		for size := 1; size <= len(text); size++ {
			var r response
			for at := 0; at < len(text); at += size {
				end := min(at+size, len(text))
				done, err := r.feed([]byte(text[at:end]))
				if err != nil || done != (end == len(text)) {
					t.Fatalf("pieces of %d: at %d done %v, error %v", size, at, done, err)
				}
			}
			if r.status != wantStatus {
				t.Fatalf("status %d, want %d", r.status, wantStatus)
			}
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200)
	f("HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", 404)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n", 200)
	for _, bad := range []string{"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		var r response
		if done, err := r.feed([]byte(bad)); err == nil {
			t.Errorf("%q: accepted, done %v", bad, done)
		}
	}
}
