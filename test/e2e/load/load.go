// Package load keeps a gateway busy from inside a test and counts every
// request that did not go well.
package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Config says what to send. Every connection sends one request after the
// other on a keep-alive connection.
type Config struct {
	Addr  string
	Conns int
	// Request returns the bytes of the next request of connection conn. Nil
	// means a GET of "/".
	Request func(conn, n int) string
	// Check judges a response; nil accepts status 200 only.
	Check func(status int, body []byte) error
	// Pause is the time between two requests of a connection, 0 for none.
	Pause time.Duration
	// Limit bounds one request, 10 s when 0.
	Limit time.Duration
}

// Report is what a run added up to.
type Report struct {
	Requests, Failed int64
	// DialRefused counts connection attempts that failed at once.
	DialRefused int64
	// Longest is the longest time without any good response on any
	// connection.
	Longest time.Duration
	// Samples holds the first failures in words.
	Samples []string
}

func (r Report) String() string {
	return fmt.Sprintf("%d requests, %d failed, %d dials failed, longest gap %v, first failures: %q",
		r.Requests, r.Failed, r.DialRefused, r.Longest.Round(time.Millisecond), r.Samples)
}

// Run is load under way.
type Run struct {
	cfg    Config
	cancel context.CancelFunc
	wg     sync.WaitGroup

	requests, failed, refused atomic.Int64
	mu                        sync.Mutex
	samples                   []string
	good                      []time.Time // when the good responses came, thinned to one a millisecond
}

// Start begins the load; it goes on until Stop or the end of the test.
func Start(t testing.TB, cfg Config) *Run {
	t.Helper()
	if cfg.Request == nil {
		text := "GET / HTTP/1.1\r\nHost: " + cfg.Addr + "\r\n\r\n"
		cfg.Request = func(int, int) string { return text }
	}
	if cfg.Check == nil {
		cfg.Check = func(status int, _ []byte) error {
			if status != http.StatusOK {
				return fmt.Errorf("status %d", status)
			}
			return nil
		}
	}
	if cfg.Limit == 0 {
		cfg.Limit = 10 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Run{cfg: cfg, cancel: cancel, good: []time.Time{time.Now()}}
	for i := range cfg.Conns {
		r.wg.Add(1)
		go r.connection(ctx, i)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

// Good returns how many requests have gone well so far.
func (r *Run) Good() int64 { return r.requests.Load() - r.failed.Load() }

// Failed returns how many requests have failed so far.
func (r *Run) Failed() int64 { return r.failed.Load() }

// Refused returns how many dials have failed so far.
func (r *Run) Refused() int64 { return r.refused.Load() }

// WaitGood waits until n more requests than now have gone well.
func (r *Run) WaitGood(t testing.TB, n int64, limit time.Duration) {
	t.Helper()
	want := r.Good() + n
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.Good() < want {
		select {
		case <-deadline.C:
			t.Fatalf("only %d of %d further requests went well within %v: %q", n-(want-r.Good()), n, limit, r.samples)
		case <-tick.C:
		}
	}
}

// Stop ends the load and returns the report; a second call returns the same.
func (r *Run) Stop() Report {
	r.cancel()
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.good, time.Time.Compare)
	rep := Report{
		Requests: r.requests.Load(), Failed: r.failed.Load(), DialRefused: r.refused.Load(),
		Samples: r.samples,
	}
	for i := 1; i < len(r.good); i++ {
		rep.Longest = max(rep.Longest, r.good[i].Sub(r.good[i-1]))
	}
	return rep
}

func (r *Run) fail(err error) {
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) < 8 {
		r.samples = append(r.samples, time.Now().Format("15:04:05.000 ")+err.Error())
	}
}

func (r *Run) ok(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.good[len(r.good)-1]; now.Sub(last) >= time.Millisecond {
		r.good = append(r.good, now)
	}
}

func (r *Run) connection(ctx context.Context, id int) {
	defer r.wg.Done()
	var conn net.Conn
	var br *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	wait := time.NewTimer(0)
	defer wait.Stop()
	<-wait.C
	pause := func(d time.Duration) bool {
		wait.Reset(d)
		select {
		case <-ctx.Done():
			return false
		case <-wait.C:
			return true
		}
	}
	for n := 0; ctx.Err() == nil; n++ {
		if conn == nil {
			c, err := net.DialTimeout("tcp", r.cfg.Addr, r.cfg.Limit)
			if err != nil {
				r.refused.Add(1)
				if !pause(2 * time.Millisecond) {
					return
				}
				continue
			}
			conn, br = c, bufio.NewReader(c)
		}
		conn.SetDeadline(time.Now().Add(r.cfg.Limit))
		status, body, keep, err := exchange(conn, br, r.cfg.Request(id, n))
		if err == nil {
			err = r.cfg.Check(status, body)
		}
		r.requests.Add(1)
		if err != nil {
			r.fail(err)
		} else {
			r.ok(time.Now())
		}
		if err != nil || !keep {
			conn.Close()
			conn = nil
		}
		if r.cfg.Pause > 0 && !pause(r.cfg.Pause) {
			return
		}
	}
}

func exchange(c net.Conn, br *bufio.Reader, text string) (status int, body []byte, keep bool, err error) {
	if _, err = io.WriteString(c, text); err != nil {
		return 0, nil, false, fmt.Errorf("sending: %w", err)
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return 0, nil, false, fmt.Errorf("reading the head: %w", err)
	}
	body, err = io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return resp.StatusCode, body, false, fmt.Errorf("reading the body: %w", err)
	}
	return resp.StatusCode, body, !resp.Close, nil
}
