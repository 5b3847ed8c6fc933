package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// measureIdle opens many keep-alive connections, sends one request on each
// and compares the gateways' memory before and after.
func measureIdle(ctx context.Context, o options, dir string, s scenario) (result, error) {
	res := result{Scenario: s.Name, About: s.About, Time: time.Now().UTC().Truncate(time.Second)}
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(s.Idle)+100 {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(s.Idle)+100 {
			return res, fmt.Errorf("the open-file limit of %d does not admit %d connections", limit.Max, s.Idle)
		}
	}
	f, err := startField(ctx, o, dir, s)
	if err != nil {
		return res, err
	}
	defer f.stop()
	var base float64
	for _, g := range f.gateways {
		// A little traffic first: what a gateway allocates once is not the
		// connections'.
		if _, err := runWrk(ctx, dir, s, o.loadCore, g.addr, time.Second); err != nil {
			return res, fmt.Errorf("%s: %w", g.name, err)
		}
		bytes, err := idleBytes(ctx, g, s)
		if err != nil {
			return res, fmt.Errorf("%s: %w", g.name, err)
		}
		if g.name == "nginx" {
			base = bytes
		}
		res.Samples = append(res.Samples, sample{Gateway: g.name, Round: 1, Reqs: int64(s.Idle), Bytes: bytes, Ratio: bytes / base})
	}
	return res, nil
}

func idleBytes(ctx context.Context, g *running, s scenario) (float64, error) {
	before, err := memoryOf(g.pids())
	if err != nil {
		return 0, err
	}
	conns := make([]net.Conn, 0, s.Idle)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	req := "GET " + s.Path() + " HTTP/1.1\r\nHost: bench\r\n\r\n"
	for range s.Idle {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			return 0, fmt.Errorf("connection %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, req); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
		if err != nil {
			return 0, fmt.Errorf("connection %d: %w", len(conns), err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	after, err := memoryOf(g.pids())
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(s.Idle), nil
}
