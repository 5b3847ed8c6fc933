package openloop

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is one keep-alive connection with at most one request on it.
type conn struct {
	index int32
	fd    int

	n         int64 // the request on it, -1 for none
	due, sent time.Duration
	freeAt    time.Duration
	unsent    []byte

	resp response
}

func (c *conn) begin(n int64, due, now time.Duration) {
	c.n, c.due, c.sent = n, due, now
	c.unsent = nil
	c.resp = response{head: c.resp.head[:0]}
}

func (g *generator) connect(c *conn) error {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(g.cfg.Addr.Port()), Addr: as4(g)}
	if !g.cfg.Addr.Addr().Unmap().Is4() {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(g.cfg.Addr.Port()), Addr: g.cfg.Addr.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil {
		unix.Close(fd)
		return err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.index}
	for _, err := range []error{
		unix.SetNonblock(fd, true),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.EpollCtl(g.ep, unix.EPOLL_CTL_ADD, fd, &ev),
	} {
		if err != nil {
			unix.Close(fd)
			return err
		}
	}
	c.fd, c.n = fd, -1
	return nil
}

func as4(g *generator) [4]byte {
	if a := g.cfg.Addr.Addr().Unmap(); a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}

// write sends the request, or what is left of it.
func (g *generator) write(c *conn) {
	b := c.unsent
	if b == nil {
		b = g.request
	}
	for len(b) > 0 {
		n, err := unix.Write(c.fd, b)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			if err != unix.EINTR {
				g.broken(c, err)
				return
			}
			continue
		}
		b = b[n:]
	}
	c.unsent = b[:len(b):len(b)]
}

// ready handles an event of either direction.
func (g *generator) ready(c *conn) {
	if c.fd < 0 {
		return
	}
	if c.n >= 0 && len(c.unsent) > 0 {
		g.write(c)
	}
	for c.fd >= 0 {
		n, err := unix.Read(c.fd, g.buf[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			g.broken(c, err)
			return
		case n == 0:
			g.broken(c, errClosed)
			return
		case c.n < 0:
			g.broken(c, fmt.Errorf("%d bytes came without a request", n))
			return
		}
		done, err := c.resp.feed(g.buf[:n])
		if err != nil {
			g.broken(c, err)
			return
		}
		if done {
			status, closing := c.resp.status, c.resp.closing
			g.finish(c, status)
			if closing {
				g.broken(c, errClosed)
				return
			}
			if n < len(g.buf) {
				return // an edge-triggered event follows when more comes
			}
		}
	}
}

// response follows one response, as far as a benchmark needs to.
type response struct {
	head    []byte
	status  int
	left    int64 // of the body or of the chunk; -1 while the head is read
	chunked bool
	inBody  bool
	closing bool
	line    []byte // of the chunked coding
	trailer bool
}

// feed takes the next bytes and tells whether the response is complete. More
// bytes than that are an error: there is one request on a connection.
func (r *response) feed(b []byte) (done bool, err error) {
	if !r.inBody {
		at := len(r.head)
		r.head = append(r.head, b...)
		end := bytes.Index(r.head[max(0, at-3):], []byte("\r\n\r\n"))
		if end < 0 {
			if len(r.head) > 64<<10 {
				return false, fmt.Errorf("a response head of more than 64 KiB")
			}
			return false, nil
		}
		end += max(0, at-3) + 4
		if err := r.readHead(r.head[:end]); err != nil {
			return false, err
		}
		b = b[end-at:]
		r.inBody = true
	}
	if r.chunked {
		return r.feedChunks(b)
	}
	if r.left -= int64(len(b)); r.left < 0 {
		return false, fmt.Errorf("%d bytes follow the response", -r.left)
	}
	return r.left == 0, nil
}

func (r *response) readHead(head []byte) error {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return fmt.Errorf("status line %q", line)
	}
	var err error
	if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return fmt.Errorf("status line %q", line)
	}
	length := int64(-1)
	for len(rest) > 2 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil || length < 0 {
				return fmt.Errorf("Content-Length %q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			r.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			r.closing = bytes.EqualFold(value, []byte("close"))
		}
	}
	if r.status == 204 || r.status == 304 {
		length, r.chunked = 0, false
	}
	if length < 0 && !r.chunked {
		return fmt.Errorf("a response without a length")
	}
	r.left = length
	if r.chunked {
		r.left = 0
	}
	return nil
}

// feedChunks counts through the chunked coding: line by line, and blindly
// through the data with the line end that follows it.
func (r *response) feedChunks(b []byte) (done bool, err error) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(int64(len(b)), r.left)
			b, r.left = b[n:], r.left-n
			continue
		}
		c := b[0]
		b = b[1:]
		if c != '\n' {
			r.line = append(r.line, c)
			continue
		}
		line := bytes.TrimSpace(r.line)
		r.line = r.line[:0]
		if r.trailer {
			if len(line) == 0 {
				if len(b) > 0 {
					return false, fmt.Errorf("%d bytes follow the response", len(b))
				}
				return true, nil
			}
			continue
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(size), 16, 63)
		if err != nil || n < 0 {
			return false, fmt.Errorf("chunk size %q", line)
		}
		if n == 0 {
			r.trailer = true
			continue
		}
		r.left = n + 2
	}
	return false, nil
}

// epollWait waits with nanosecond resolution.
func epollWait(ep int, events []unix.EpollEvent, wait time.Duration) (int, error) {
	ts := unix.NsecToTimespec(wait.Nanoseconds())
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if e == unix.EINTR {
		return 0, nil
	}
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
