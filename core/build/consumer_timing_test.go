//go:build !race

package build

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"

	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

func manyConsumers(n int) *conf.Batch {
	batch := &conf.Batch{Full: true, Rev: 1}
	for i := range n {
		name := fmt.Sprintf("consumer-%07d", i)
		batch.Objects = append(batch.Objects, conf.Object{
			Kind: conf.KindConsumer, ID: name, Rev: 1,
			Value: fmt.Appendf(nil, `{"username":%q,"labels":{"custom_id":"%d"},"plugins":{"key-auth":{"key":"a-key-of-thirty-two-bytes-%07d"}}}`, name, i, i),
		})
	}
	return batch
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A consumer with a key and a label costs at most a kilobyte, everything that
// is kept for it included.
func TestSizeOfAConsumer(t *testing.T) {
	const n = 100_000
	before := heap()
	b := New(Options{Clock: func() int64 { return 0 }})
	if refused := b.Apply(manyConsumers(n)); len(refused) > 0 {
		t.Fatal(refused[0])
	}
	per := (heap() - before) / n
	t.Logf("%d bytes per consumer", per)
	if per > 1024 {
		t.Errorf("%d bytes per consumer, want at most 1024", per)
	}
	if c := b.directory.Credentials("key-auth").Find([]byte("a-key-of-thirty-two-bytes-0000042")); c == nil || c.Consumer.Username != "consumer-0000042" {
		t.Errorf("found %v", c)
	}
	runtime.KeepAlive(b)
}

func BenchmarkFindAmongAMillion(b *testing.B) {
	builder := New(Options{Clock: func() int64 { return 0 }})
	builder.Apply(manyConsumers(1_000_000))
	credentials := builder.directory.Credentials("key-auth")
	b.Run("one key", func(b *testing.B) { benchmarkFind(b, credentials, 1) })
	b.Run("all keys", func(b *testing.B) { benchmarkFind(b, credentials, 1_000_000) })
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			o := conf.Object{
				Kind: conf.KindConsumer, ID: "consumer-0000007", Rev: int64(i + 2),
				Value: fmt.Appendf(nil, `{"username":"consumer-0000007","plugins":{"key-auth":{"key":"new-key-%d"}}}`, i),
			}
			builder.Apply(&conf.Batch{Rev: int64(i + 2), Objects: []conf.Object{o}})
		}
	})
}

func benchmarkFind(b *testing.B, c *chain.Credentials, n int) {
	keys := make([][]byte, min(n, 1<<12))
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "a-key-of-thirty-two-bytes-%07d", (i*7919*13)%n)
	}
	b.ReportAllocs()
	for i := range b.N {
		if c.Find(keys[i%len(keys)]) == nil {
			b.Fatal("not found")
		}
	}
}
