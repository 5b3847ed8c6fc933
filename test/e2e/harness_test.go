package e2e

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/load"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// The back ends themselves have to do what the tests rely on.

func TestBackendRecordsBytes(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, backend.Echo())
	c := rawhttp.Dial(t, b.Addr)
	first := "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	second := "POST /b HTTP/1.1\r\nhost:x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n"
	c.Send(first + second)
	if got := c.MustRead("POST"); string(got.Body) != "abc" {
		t.Errorf("first echo is %q", got.Body)
	}
	if got := c.MustRead("POST"); string(got.Body) != "def" {
		t.Errorf("second echo is %q", got.Body)
	}
	reqs := b.Requests()
	if len(reqs) != 2 || string(reqs[0].Raw) != first || string(reqs[1].Raw) != second {
		t.Errorf("recorded %+v", reqs)
	}
	if reqs[1].Target() != "/b" || reqs[1].Field("HOST") != "x" {
		t.Errorf("target %q, host %q", reqs[1].Target(), reqs[1].Field("HOST"))
	}
}

func TestBackendFaults(t *testing.T) {
	t.Parallel()
	if _, err := net.Dial("tcp", backend.Refused(t)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Refused: %v", err)
	}
	var timeout net.Error
	if _, err := net.DialTimeout("tcp", backend.BlackHole(t), 300*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("BlackHole: %v", err)
	}
	read := func(h backend.Handler) (rawhttp.Response, error) {
		c := rawhttp.Dial(t, backend.Start(t, h).Addr)
		c.Send(rawhttp.Get("/", "x"))
		return c.Read("GET")
	}
	if r, err := read(backend.CutBody(100)); !errors.Is(err, io.ErrUnexpectedEOF) || len(r.Body) != 50 {
		t.Errorf("CutBody: %d bytes, %v", len(r.Body), err)
	}
	if _, err := read(backend.CutChunk()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("CutChunk: %v", err)
	}
	if _, err := read(backend.Reset("")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Reset: %v", err)
	}
	if r, err := read(backend.Slow("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", time.Millisecond)); err != nil || string(r.Body) != "x" {
		t.Errorf("Slow: %q, %v", r.Body, err)
	}
}

func TestLoadCountsFailures(t *testing.T) {
	t.Parallel()
	var n int
	b := backend.Start(t, func(c net.Conn, r backend.Request) bool {
		if n++; n%10 == 0 {
			return backend.Status(500)(c, r)
		}
		return backend.OK("x")(c, r)
	})
	run := load.Start(t, load.Config{Addr: b.Addr, Conns: 1})
	run.WaitGood(t, 90, 10*time.Second)
	rep := run.Stop()
	if rep.Failed < 9 || rep.Failed > rep.Requests/10+1 || !strings.Contains(rep.Samples[0], "status 500") {
		t.Errorf("%v", rep)
	}
	if rep.Requests < 99 || rep.Requests > int64(b.Count()) {
		t.Errorf("%d requests, the back end saw %d", rep.Requests, b.Count())
	}
}
