package backend

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OK answers 200 with the given body and keeps the connection.
func OK(body string) Handler {
	resp := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return func(c net.Conn, r Request) bool {
		b := resp
		if strings.HasPrefix(r.Line, "HEAD ") {
			b = resp[:len(resp)-len(body)]
		}
		_, err := c.Write(b)
		return err == nil
	}
}

// Raw writes text as it is and keeps the connection when keep is set.
func Raw(text string, keep bool) Handler {
	return func(c net.Conn, _ Request) bool {
		_, err := c.Write([]byte(text))
		return err == nil && keep
	}
}

// Status answers with a status and a short body.
func Status(code int) Handler {
	body := fmt.Sprintf("back end says %d", code)
	return Raw(fmt.Sprintf("HTTP/1.1 %d Because\r\nContent-Length: %d\r\n\r\n%s", code, len(body), body), true)
}

// Echo answers with the request's body, chunked when the request was.
func Echo() Handler {
	return func(c net.Conn, r Request) bool {
		var b bytes.Buffer
		fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(r.Body))
		b.Write(r.Body)
		_, err := c.Write(b.Bytes())
		return err == nil
	}
}

// Silent reads the request and never answers; the connection stays open
// until the other side leaves.
func Silent() Handler {
	return func(c net.Conn, _ Request) bool {
		var b [1]byte
		c.Read(b[:])
		return false
	}
}

// CutBody announces length bytes, sends half of them and closes.
func CutBody(length int) Handler {
	return func(c net.Conn, _ Request) bool {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length)
		c.Write(bytes.Repeat([]byte{'x'}, length/2))
		return false
	}
}

// CutChunk sends one whole chunk and the start of a second, then closes.
func CutChunk() Handler {
	return Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo", false)
}

// Slow sends the response a byte at a time with a pause between them.
func Slow(text string, pause time.Duration) Handler {
	return func(c net.Conn, _ Request) bool {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := range len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return false
			}
			<-tick.C
		}
		return true
	}
}

// Reset sends text, which may be empty, and resets the connection.
func Reset(text string) Handler {
	return func(c net.Conn, _ Request) bool {
		c.Write([]byte(text))
		c.(*net.TCPConn).SetLinger(0)
		return false
	}
}

// Refused returns an address of 127.0.0.1 on which connecting is refused for
// as long as the test runs: it is bound, and nobody listens.
func Refused(t testing.TB) string {
	t.Helper()
	fd, addr := bound(t)
	t.Cleanup(func() { syscall.Close(fd) })
	return addr
}

// BlackHole returns an address whose connection attempts are never answered:
// the accept queue of the listener is full.
func BlackHole(t testing.TB) string {
	t.Helper()
	fd, addr := bound(t)
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	// A backlog of 0 admits one connection; the kernel drops the SYNs of
	// those that follow.
	for range 4 {
		c, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the kernel went on accepting connections beyond the backlog")
	return ""
}

func bound(t testing.TB) (int, string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
}
