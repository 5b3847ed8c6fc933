package index

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table := New[int]()
			keys := make([][]byte, min(n, 1<<16))
			for i := range n {
				k := fmt.Sprintf("a-key-of-some-length-%d", i)
				table.Set(k, i)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for i := range keys {
				keys[i] = fmt.Appendf(nil, "a-key-of-some-length-%d", r.IntN(n))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if table.Get(keys[i%len(keys)]) == nil {
					b.Fatal("missing")
				}
			}
		})
	}
}

func BenchmarkSet(b *testing.B) {
	table := New[int]()
	for i := range 1_000_000 {
		table.Set(fmt.Sprint(i), i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		table.Set("123456", i)
	}
}
