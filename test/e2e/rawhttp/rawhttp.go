// Package rawhttp is a client that sends exactly the bytes a test gives it
// and shows exactly what came back.
package rawhttp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Timeout bounds every read and write of a Conn.
const Timeout = 10 * time.Second

// Conn is one client connection.
type Conn struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

// Dial connects; the connection is closed when the test ends.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, Timeout)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return &Conn{Conn: c, r: bufio.NewReader(c), t: t}
}

// Send writes text.
func (c *Conn) Send(text string) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(Timeout))
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// TrySend writes text and returns the error.
func (c *Conn) TrySend(text string) error {
	c.SetWriteDeadline(time.Now().Add(Timeout))
	_, err := io.WriteString(c.Conn, text)
	return err
}

// Response is an answer read to its end.
type Response struct {
	Status  int
	Header  http.Header
	Body    []byte
	Trailer http.Header
	// Close is set when the response ends its connection.
	Close bool
}

// Read reads one response to a request of the given method.
func (c *Conn) Read(method string) (Response, error) {
	c.SetReadDeadline(time.Now().Add(Timeout))
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return Response{}, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return Response{resp.StatusCode, resp.Header, body, resp.Trailer, resp.Close}, err
}

// MustRead is Read that fails the test on an error.
func (c *Conn) MustRead(method string) Response {
	c.t.Helper()
	r, err := c.Read(method)
	if err != nil {
		c.t.Fatalf("reading the response: %v", err)
	}
	return r
}

// ClosedByPeer waits until the other side has closed and returns what it sent
// before; ok is false when it has not closed within the limit.
func (c *Conn) ClosedByPeer(limit time.Duration) (rest []byte, ok bool) {
	c.SetReadDeadline(time.Now().Add(limit))
	rest, err := io.ReadAll(c.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return rest, false
	}
	return rest, true
}

// Exchange dials, sends text and returns everything that comes back until the
// gateway closes or falls silent for quiet.
func Exchange(t testing.TB, addr, text string, quiet time.Duration) []byte {
	t.Helper()
	c := Dial(t, addr)
	// The gateway may answer and close before it has read everything.
	_ = c.TrySend(text)
	var out bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		c.SetReadDeadline(time.Now().Add(quiet))
		n, err := c.r.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.Bytes()
		}
	}
}

// StatusOf returns the status of the first response in raw bytes, 0 when
// there is none.
func StatusOf(raw []byte) int {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Get is a minimal GET of target.
func Get(target, host string, fields ...string) string {
	var b strings.Builder
	b.WriteString("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}
