// Package openloop sends requests at a constant rate and measures each from
// the moment at which it was due, so that a slow server cannot hide its
// slowness by slowing the generator down.
package openloop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Config says what to send.
type Config struct {
	// Addr is the server, an IP address and a port.
	Addr netip.AddrPort
	// Method is GET when empty, Target "/", Host the address.
	Method, Target, Host string
	// Headers are further field lines without line ends.
	Headers []string
	Body    []byte
	// Rate is in requests per second.
	Rate float64
	// Conns is the number of keep-alive connections. A request that is due
	// while all of them are busy waits, and its wait counts.
	Conns int
	// Warmup comes before the measurement, at the same rate.
	Warmup, Duration time.Duration
	// Progress, when set, is called about once a second.
	Progress func(elapsed time.Duration, done int64)
}

// Report is what was measured. All histograms are in microseconds.
type Report struct {
	// Due is how many requests the rate asked for, Done how many were answered
	// by a status below 500, Failed the others.
	Due, Done, Failed int64
	// Failure is the first failure in words.
	Failure string
	// Latency is from due to the last byte of the response, Service from the
	// first byte of the request.
	Latency, Service *hdrhistogram.Histogram
	// Late is how far behind its schedule the generator itself sent, counting
	// only requests for which a connection was free.
	Late *hdrhistogram.Histogram
	// Status counts the responses by status.
	Status map[int]int64
}

const (
	highest = int64(60 * time.Second / time.Microsecond)
	digits  = 3
	// lateLimit is the lateness beyond which the generator's own delays show
	// in the result.
	lateLimit = 500 * time.Microsecond
)

// GeneratorLimited tells whether the generator could not keep its schedule:
// then the figures say as much of it as of the server.
func (r *Report) GeneratorLimited() bool {
	return r.Late.ValueAtQuantile(99) > lateLimit.Microseconds()
}

// Run sends until the duration is over or ctx ends. It takes a whole thread
// for itself; an error means that nothing could be measured.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Rate <= 0 || cfg.Conns <= 0 || cfg.Duration <= 0 {
		return nil, fmt.Errorf("rate %v, connections %d and duration %v must be positive", cfg.Rate, cfg.Conns, cfg.Duration)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	defer unix.Close(ep)
	g := &generator{cfg: cfg, ep: ep, request: render(cfg), report: newReport()}
	defer g.closeAll()
	for i := range cfg.Conns {
		c := &conn{index: int32(i), fd: -1}
		g.conns = append(g.conns, c)
		if err := g.connect(c); err != nil {
			return nil, fmt.Errorf("connection %d to %s: %w", i+1, cfg.Addr, err)
		}
		g.free = append(g.free, c)
	}
	return g.report, g.loop(ctx)
}

func newReport() *Report {
	h := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, highest, digits) }
	return &Report{Latency: h(), Service: h(), Late: h(), Status: map[int]int64{}}
}

func render(cfg Config) []byte {
	method, target, host := cfg.Method, cfg.Target, cfg.Host
	if method == "" {
		method = "GET"
	}
	if target == "" {
		target = "/"
	}
	if host == "" {
		host = cfg.Addr.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	for _, h := range cfg.Headers {
		b.WriteString(h + "\r\n")
	}
	if len(cfg.Body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(cfg.Body))
	}
	b.WriteString("\r\n")
	return append([]byte(b.String()), cfg.Body...)
}

// generator is one run: a single thread that is woken by time and by
// responses, with a resolution that Go's timers do not have.
type generator struct {
	cfg     Config
	ep      int
	request []byte
	conns   []*conn
	free    []*conn // last in, first out
	report  *Report

	start    time.Time
	interval float64 // nanoseconds
	next     int64   // the request that is due next
	warm     int64   // requests before this one are not counted
	total    int64
	busy     int
	buf      [64 << 10]byte
}

// due is the moment of request n, counted from the start.
func (g *generator) due(n int64) time.Duration { return time.Duration(float64(n) * g.interval) }

func (g *generator) loop(ctx context.Context) error {
	g.interval = float64(time.Second) / g.cfg.Rate
	g.warm = int64(g.cfg.Warmup.Seconds() * g.cfg.Rate)
	g.total = g.warm + int64(g.cfg.Duration.Seconds()*g.cfg.Rate)
	g.report.Due = g.total - g.warm
	g.start = time.Now()
	events := make([]unix.EpollEvent, 256)
	lastProgress := time.Duration(0)
	// What is still out when the last request was sent gets this long.
	deadline := g.due(g.total) + 10*time.Second
	for g.next < g.total || g.busy > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now := time.Since(g.start)
		if now > deadline {
			return fmt.Errorf("%d requests are without an answer 10 s after the end", g.busy+int(g.total-g.next))
		}
		if g.cfg.Progress != nil && now-lastProgress >= time.Second {
			lastProgress = now
			g.cfg.Progress(now, g.report.Done)
		}
		for g.next < g.total && len(g.free) > 0 && g.due(g.next) <= now {
			g.send(now)
			now = time.Since(g.start)
		}
		wait := 10 * time.Millisecond
		if g.next < g.total && len(g.free) > 0 {
			wait = min(wait, max(0, g.due(g.next)-now))
		}
		n, err := epollWait(g.ep, events, wait)
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for i := range events[:n] {
			g.ready(g.conns[events[i].Fd])
		}
	}
	return nil
}

// send puts the next request on the connection that became free last.
func (g *generator) send(now time.Duration) {
	c := g.free[len(g.free)-1]
	g.free = g.free[:len(g.free)-1]
	n := g.next
	g.next++
	g.busy++
	c.begin(n, g.due(n), now)
	if n >= g.warm {
		if c.freeAt <= c.due {
			g.record(g.report.Late, now-c.due)
		}
	}
	g.write(c)
}

func (g *generator) record(h *hdrhistogram.Histogram, d time.Duration) {
	// The value is within the range: an error would be a mistake here.
	if err := h.RecordValue(min(max(d.Microseconds(), 1), highest)); err != nil {
		panic("BUG: " + err.Error())
	}
}

// finish counts a whole response and makes the connection free.
func (g *generator) finish(c *conn, status int) {
	now := time.Since(g.start)
	if c.n >= g.warm {
		g.report.Status[status]++
		if status < 500 {
			g.report.Done++
			g.record(g.report.Latency, now-c.due)
			g.record(g.report.Service, now-c.sent)
		} else {
			g.fail(fmt.Sprintf("status %d", status))
		}
	}
	g.release(c, now)
}

func (g *generator) release(c *conn, now time.Duration) {
	c.n, c.freeAt = -1, now
	g.busy--
	g.free = append(g.free, c)
}

func (g *generator) fail(why string) {
	g.report.Failed++
	if g.report.Failure == "" {
		g.report.Failure = why
	}
}

// broken ends a request whose connection failed and opens another one. When
// that fails too the connection stays out of use.
func (g *generator) broken(c *conn, why error) {
	unix.Close(c.fd)
	c.fd = -1
	if c.n < 0 { // closed by the server while idle
		for i, f := range g.free {
			if f == c {
				g.free = append(g.free[:i], g.free[i+1:]...)
				break
			}
		}
		g.busy++
	} else if c.n >= g.warm {
		g.fail(why.Error())
	}
	if err := g.connect(c); err != nil {
		g.busy--
		g.fail("connecting again: " + err.Error())
		return
	}
	g.release(c, time.Since(g.start))
}

func (g *generator) closeAll() {
	for _, c := range g.conns {
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
}

var errClosed = errors.New("the server closed the connection")
