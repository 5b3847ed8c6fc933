//go:build !race

package listen

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/sluicegw/sluice/core/req"
)

// canned answers every request head with the same bytes and allocates nothing.
func canned(answer []byte) func(net.Conn) {
	return func(c net.Conn) {
		buf := make([]byte, 64<<10)
		have := 0
		for {
			n, err := c.Read(buf[have:])
			if err != nil {
				return
			}
			have += n
			for {
				i := bytes.Index(buf[:have], []byte("\r\n\r\n"))
				if i < 0 {
					break
				}
				have = copy(buf, buf[i+4:have])
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
	}
}

// allocsPerRequest sends request over one kept-alive connection and counts what
// the whole process allocates for each round trip.
func allocsPerRequest(t *testing.T, g *gateway, request string, size int) float64 {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := []byte(request)
	in := make([]byte, size)
	trip := func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		trip() // fills the pools
	}
	// testing.AllocsPerRun rounds down to whole allocations; one request in a
	// hundred that allocates is to be seen too.
	const runs = 3000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		trip()
	}
	runtime.ReadMemStats(&after)
	n := float64(after.Mallocs-before.Mallocs) / runs
	if n < noise {
		n = 0
	}
	return n
}

// noise is what the runtime itself and the other goroutines of a test process
// allocate now and then, per request.
const noise = 0.01

// answerSize is how many bytes the gateway answers request with.
func answerSize(t *testing.T, g *gateway, request string) int {
	t.Helper()
	return len(exchangeRaw(t, g.addr, request))
}

func TestProxiedRequestsDoNotAllocate(t *testing.T) {
	f := func(name, request, answer string, change func(*Config, *req.Upstream, *req.Effective)) {
		t.Run(name, func(t *testing.T) {
			b := rawBackend(t, canned([]byte(answer)))
			g := newGateway(t, change, b)
			size := answerSize(t, g, request)
			if n := allocsPerRequest(t, g, request, size); n != 0 {
				t.Errorf("%v allocations per request, want 0", n)
			}
		})
	}
	get := "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	ok := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
	f("plain", get, ok, nil)
	f("chunked", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", nil)
	f("upstream error", get, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", nil)
	f("posted body", "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 11\r\n\r\nsome body\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", nil)
	f("header filter", get, ok, func(_ *Config, _ *req.Upstream, e *req.Effective) {
		e.Chain = &req.Chain{}
		value := []byte("yes")
		e.Chain.Phases[req.Rewrite] = []req.Step{{Name: "a", Run: func(ctx *req.Ctx) req.Verdict {
			ctx.Req.Set("X-Added", value)
			ctx.SetRespHeader("X-Early", value)
			return req.Continue
		}}}
		e.Chain.Phases[req.HeaderFilter] = []req.Step{{Name: "b", Run: func(ctx *req.Ctx) req.Verdict {
			ctx.Resp.Set("X-Late", value)
			return req.Continue
		}}}
	})
	f("escaped path", "GET /a%20b/../c HTTP/1.1\r\nHost: EXAMPLE.com:8080\r\n\r\n", ok, nil)
	browser := "GET / HTTP/1.1\r\nHost: example.com\r\n" + string(bytes.Repeat([]byte("X-Some-Long-Field-Name: and a value of some length, too\r\n"), 25)) + "\r\n"
	f("browser", browser, ok, nil)
}
