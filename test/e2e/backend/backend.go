// Package backend is the upstream side of black-box tests: servers that
// record every byte they were sent and answer from a script.
package backend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Request is one request as it arrived.
type Request struct {
	Line   string // "GET /a HTTP/1.1"
	Fields []string
	Body   []byte
	Raw    []byte // head and body exactly as received
	Conn   int    // the connection it came on, counted from 1
}

// Target is the request target.
func (r Request) Target() string {
	f := strings.Fields(r.Line)
	if len(f) < 2 {
		return ""
	}
	return f[1]
}

// Field returns the values of a header field, joined by ", ".
func (r Request) Field(name string) string {
	var vals []string
	for _, f := range r.Fields {
		n, v, _ := strings.Cut(f, ":")
		if strings.EqualFold(n, name) {
			vals = append(vals, strings.TrimSpace(v))
		}
	}
	return strings.Join(vals, ", ")
}

// Handler answers one request on c and tells whether the connection stays.
type Handler func(c net.Conn, r Request) (keep bool)

// Server is a back end on 127.0.0.1.
type Server struct {
	Addr string

	ln      net.Listener
	handle  Handler
	mu      sync.Mutex
	reqs    []Request
	opened  int
	conns   map[net.Conn]bool
	bad     [][]byte // bytes that were no request
	keepRaw bool
	total   int
	wg      sync.WaitGroup
}

// Start runs a back end that answers by h until the test ends. The requests
// it saw are kept; see Requests.
func Start(t testing.TB, h Handler) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", h)
}

// StartAt is Start on a given address.
func StartAt(t testing.TB, addr string, h Handler) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: ln.Addr().String(), ln: ln, handle: h, conns: map[net.Conn]bool{}, keepRaw: true}
	s.wg.Add(1)
	go s.accept()
	t.Cleanup(s.Close)
	return s
}

// Close stops listening and drops every connection.
func (s *Server) Close() {
	s.ln.Close()
	s.Drop()
	s.wg.Wait()
}

// Drop closes the connections that are open.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// CountOnly makes the server forget the requests and only count them.
func (s *Server) CountOnly() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepRaw = false
	return s
}

// Requests returns what has arrived so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.reqs...)
}

// Last returns the newest request; the test fails when there is none.
func (s *Server) Last(t testing.TB) Request {
	t.Helper()
	reqs := s.Requests()
	if len(reqs) == 0 {
		t.Fatal("no request reached the back end")
	}
	return reqs[len(reqs)-1]
}

// Count returns how many requests have arrived.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Opened returns how many connections were ever accepted; Open how many are
// open now.
func (s *Server) Opened() int { s.mu.Lock(); defer s.mu.Unlock(); return s.opened }

// Open returns how many connections are open now.
func (s *Server) Open() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) }

// Garbage returns what arrived in place of a request, a piece per connection.
func (s *Server) Garbage() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.bad...)
}

func (s *Server) accept() {
	defer s.wg.Done()
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.opened++
		n := s.opened
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.serve(c, n)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}()
	}
}

func (s *Server) serve(c net.Conn, n int) {
	var raw bytes.Buffer
	br := bufio.NewReaderSize(io.TeeReader(c, &raw), 64<<10)
	for {
		// What the reader holds beyond the last request was teed already.
		ahead := append([]byte(nil), mustPeek(br)...)
		raw.Reset()
		raw.Write(ahead)
		r, err := readRequest(br)
		r.Conn = n
		r.Raw = append([]byte(nil), raw.Bytes()[:raw.Len()-br.Buffered()]...)
		if err != nil {
			if len(r.Raw) > 0 {
				s.mu.Lock()
				s.bad = append(s.bad, r.Raw)
				s.mu.Unlock()
			}
			return
		}
		s.mu.Lock()
		s.total++
		if s.keepRaw {
			s.reqs = append(s.reqs, r)
		}
		s.mu.Unlock()
		if !s.handle(c, r) {
			return
		}
	}
}

func mustPeek(br *bufio.Reader) []byte {
	b, err := br.Peek(br.Buffered())
	if err != nil {
		panic(err)
	}
	return b
}

// readRequest reads a head line by line and the body that it announces. It is
// lenient on purpose: what a gateway lets through is the test's to judge.
func readRequest(br *bufio.Reader) (Request, error) {
	var r Request
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return r, err
		}
		line = strings.TrimRight(line, "\r\n")
		if r.Line == "" {
			if line == "" || len(strings.Fields(line)) != 3 {
				return r, fmt.Errorf("request line %q", line)
			}
			r.Line = line
			continue
		}
		if line == "" {
			break
		}
		r.Fields = append(r.Fields, line)
	}
	if strings.EqualFold(r.Field("Transfer-Encoding"), "chunked") {
		return r, readChunks(br, &r)
	}
	if cl := r.Field("Content-Length"); cl != "" {
		n, err := strconv.ParseInt(cl, 10, 64)
		if err != nil || n < 0 {
			return r, fmt.Errorf("Content-Length %q", cl)
		}
		r.Body = make([]byte, n)
		_, err = io.ReadFull(br, r.Body)
		return r, err
	}
	return r, nil
}

func readChunks(br *bufio.Reader, r *Request) error {
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil || n < 0 {
			return errors.New("chunk size " + strconv.Quote(line))
		}
		if n == 0 {
			for {
				line, err := br.ReadString('\n')
				if err != nil {
					return err
				}
				if strings.TrimRight(line, "\r\n") == "" {
					return nil
				}
			}
		}
		at := len(r.Body)
		r.Body = append(r.Body, make([]byte, n)...)
		if _, err := io.ReadFull(br, r.Body[at:]); err != nil {
			return err
		}
		if _, err := br.ReadString('\n'); err != nil {
			return err
		}
	}
}

// WaitCount waits until n requests have arrived.
func (s *Server) WaitCount(t testing.TB, n int, limit time.Duration) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for s.Count() < n {
		select {
		case <-deadline.C:
			t.Fatalf("back end %s saw %d requests, want %d within %v", s.Addr, s.Count(), n, limit)
		case <-tick.C:
		}
	}
}
