package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sluicegw/sluice/bench/openloop"
)

// runOpenLoop sends at a constant rate from this thread, which is pinned to
// the load's core.
func runOpenLoop(ctx context.Context, s scenario, addr string, rate float64, d time.Duration) (load, error) {
	server, err := netip.ParseAddrPort(addr)
	if err != nil {
		return load{}, err
	}
	r, err := openloop.Run(ctx, openloop.Config{
		Addr: server, Target: s.Path(), Headers: s.Headers, Rate: rate, Conns: s.Conns,
		Warmup: d / 8, Duration: d,
	})
	if err != nil {
		return load{}, err
	}
	if r.Failed > 0 {
		return load{}, fmt.Errorf("%d of %d requests failed, first: %s", r.Failed, r.Due, r.Failure)
	}
	if r.GeneratorLimited() {
		fmt.Printf("  the generator was up to %d µs late at p99: its delays are part of the figures\n", r.Late.ValueAtQuantile(99))
	}
	at := func(q float64) time.Duration { return time.Duration(r.Latency.ValueAtQuantile(q)) * time.Microsecond }
	return load{
		Requests: r.Done + int64(rate*(d/8).Seconds()), Rate: rate,
		P50: at(50), P99: at(99), P999: at(99.9), Highest: at(100),
	}, nil
}
