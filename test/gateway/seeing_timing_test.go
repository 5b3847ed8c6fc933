package gateway_test

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/listen"
	"github.com/sluicegw/sluice/core/logs"
	"github.com/sluicegw/sluice/test/gateway"
)

// seeingFormat is config.yaml's default.
const seeingFormat = `$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri"`

// seen starts a gateway with or without what looks at requests, and returns
// one round trip on a kept-alive connection; ring is the log's RingBytes.
func seen(t testing.TB, plugins string, access logs.Sink, ring int) (trip func(), log *logs.Log) {
	up := gateway.Canned(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	if access != nil {
		log = logs.Open(logs.Options{Name: "access", Format: logs.CompileFormat(seeingFormat, logs.EscapeDefault), Sink: access, RingBytes: ring})
		t.Cleanup(func() { log.Close(10 * time.Second) })
	}
	g := gateway.Start(t, gateway.Options{Listen: func(c *listen.Config) {
		if log != nil {
			c.Finished = log.Record
		}
	}})
	g.Put(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":%s,"upstream":{"nodes":{%q:1}}}`, plugins, up))
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	out := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	in := make([]byte, 64<<10)
	send := func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
	}
	send()
	size, err := c.Read(in)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		send()
		if _, err := io.ReadFull(c, in[:size]); err != nil {
			t.Fatal(err)
		}
	}, log
}

func accessFile(t testing.TB) logs.Sink {
	f, err := logs.OpenFile(filepath.Join(t.TempDir(), "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func BenchmarkSeeing(b *testing.B) {
	for _, v := range []struct {
		name, plugins string
		access        bool
	}{
		{"nothing", `{}`, false},
		{"prometheus", `{"prometheus":{}}`, false},
		{"access log", `{}`, true},
		{"both", `{"prometheus":{}}`, true},
	} {
		b.Run(v.name, func(b *testing.B) {
			var sink logs.Sink
			if v.access {
				sink = accessFile(b)
			}
			trip, _ := seen(b, v.plugins, sink, 0)
			b.ReportAllocs()
			for b.Loop() {
				trip()
			}
		})
	}
}

// stuck is a destination that takes nothing until it is released.
type stuck struct{ release chan struct{} }

func (s stuck) Write([]byte) error { <-s.release; return nil }
func (s stuck) Close() error       { return nil }

func TestRequestsGoOnWhileTheLogIsStuck(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.release)
	trip, log := seen(t, `{"prometheus":{}}`, s, 64<<10)
	// 64 KiB of ring hold fewer records than this.
	for i := range 2000 {
		start := time.Now()
		trip()
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("request %d took %v", i, d)
		}
	}
	if st := log.Stats(); st.Dropped == 0 || st.Written != 0 {
		t.Errorf("%+v", st)
	}
}

func TestSeeingAllocatesNothing(t *testing.T) {
	trip, _ := seen(t, `{"prometheus":{}}`, accessFile(t), 0)
	for range 200 {
		trip()
	}
	const runs = 3000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		trip()
	}
	runtime.ReadMemStats(&after)
	// Files are looked at once a second, which is not the requests' doing.
	if n := float64(after.Mallocs-before.Mallocs) / runs; n > 0.05 {
		t.Errorf("%v allocations per request", n)
	}
}
