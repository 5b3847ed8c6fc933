package main

import (
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const report = `Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.61ms  312.00us   9.01ms   90.00%
    Req/Sec    39.80k     1.20k   41.00k    70.00%
  Latency Distribution
     50%  912.00us
     75%    1.70ms
     90%    1.90ms
     99%    2.75ms
  39655 requests in 1.00s, 45.61MB read
Requests/sec:  39612.11
Transfer/sec:     45.56MB
`
	l, err := parseWrk(report)
	if err != nil {
		t.Fatal(err)
	}
	if l.Requests != 39655 || l.Rate != 39612.11 || l.P50 != 912*time.Microsecond || l.P99 != 2750*time.Microsecond {
		t.Errorf("got %+v", l)
	}
}

func TestParseWrkRefuses(t *testing.T) {
	f := func(name, report string) {
		t.Helper()
		if l, err := parseWrk(report); err == nil {
			t.Errorf("%s: accepted as %+v", name, l)
		}
	}
	f("nothing", "")
	f("failed requests", "  10 requests in 1.00s\n  Non-2xx or 3xx responses: 3\nRequests/sec: 10\n")
	f("socket errors", "  10 requests in 1.00s\n  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec: 10\n")
	f("no latencies", "  10 requests in 1.00s\nRequests/sec: 10\n")
}
