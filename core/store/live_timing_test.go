package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/embedded"
)

// BenchmarkPutToSink measures from the start of a write of the Admin API to
// the moment the consumer of the watch has the change, with 16 writers and
// synced writes.
func BenchmarkPutToSink(b *testing.B) {
	s, err := embedded.Start(b.Context(), embedded.Config{Dir: b.TempDir(), Listen: "off", Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	e := newEtcd(b, store.EtcdConfig{Hosts: s.Endpoints()})
	var mu sync.Mutex
	began := make(map[string]time.Time)
	var took []time.Duration
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	all := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx, func(batch conf.Batch) {
			if batch.Full {
				close(ready)
				return
			}
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			for _, o := range batch.Objects {
				took = append(took, now.Sub(began[o.ID]))
			}
			if len(took) == b.N {
				close(all)
			}
		})
	}()
	<-ready
	work := make(chan int)
	var wg sync.WaitGroup
	value := []byte(`{"uri":"/x","desc":"` + strings.Repeat("x", 500) + `"}`)
	for range 16 {
		wg.Go(func() {
			for i := range work {
				id := fmt.Sprint(i)
				mu.Lock()
				began[id] = time.Now()
				mu.Unlock()
				if _, err := e.Put(b.Context(), conf.KindRoute, id, value, store.PutOptions{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	<-all
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "changes/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	cancel()
	<-done
}

func BenchmarkParseKey(b *testing.B) {
	l := store.NewLayout("/apisix")
	b.ReportAllocs()
	for b.Loop() {
		if class, _, _ := l.Parse("/apisix/consumers/jack/credentials/k1"); class != store.KeyObject {
			b.Fatal(class)
		}
	}
}

// BenchmarkFirstRead100k measures the first full read of a large prefix.
func BenchmarkFirstRead100k(b *testing.B) {
	s, err := embedded.Start(b.Context(), embedded.Config{Dir: b.TempDir(), Listen: "off", NoFsync: true, Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	e := newEtcd(b, store.EtcdConfig{Hosts: s.Endpoints(), MaxTxnOps: embedded.MaxTxnOps})
	const n, chunk = 100_000, 1000
	pad := strings.Repeat("x", 600)
	for i := 0; i < n; i += chunk {
		ops := make([]store.Op, chunk)
		for j := range ops {
			ops[j] = store.Op{Type: store.OpPut, Kind: conf.KindRoute, ID: fmt.Sprint(i + j), Value: fmt.Appendf(nil, `{"uri":"/%d","desc":"%s"}`, i+j, pad)}
		}
		if _, err := e.Txn(b.Context(), ops); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		e := newEtcd(b, store.EtcdConfig{Hosts: s.Endpoints()})
		ctx, cancel := context.WithCancel(b.Context())
		_ = e.Run(ctx, func(batch conf.Batch) {
			if len(batch.Objects) != n {
				b.Errorf("%d objects", len(batch.Objects))
			}
			cancel()
		})
		cancel()
	}
}
