package embedded

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// benchPuts measures sustained writes of 1 KiB by 64 writers, each waiting
// for its answer.
func benchPuts(b *testing.B, noFsync bool) {
	e, err := Start(b.Context(), Config{Dir: b.TempDir(), Listen: off, NoFsync: noFsync, Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	c := connect(b, e.Endpoints()[0])
	value := strings.Repeat("x", 1024)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	began := time.Now()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Put(b.Context(), fmt.Sprintf("/apisix/routes/%d", n.Add(1)%5000), value); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "puts/s")
}

func BenchmarkPutFsync(b *testing.B)   { benchPuts(b, false) }
func BenchmarkPutNoFsync(b *testing.B) { benchPuts(b, true) }

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		e, err := Start(b.Context(), Config{Dir: dir, Listen: off, Log: quiet()})
		if err != nil {
			b.Fatal(err)
		}
		e.Close()
	}
}
