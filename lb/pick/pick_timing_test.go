package pick

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkPick is a Pick and the atomic addition that takes its count back.
func BenchmarkPick(b *testing.B) {
	for _, typ := range Types() {
		for _, n := range []int{1, 3, 30, 1000} {
			b.Run(fmt.Sprintf("%s/%d", typ, n), func(b *testing.B) {
				nodes := makeNodes(b, specs(equal(n, 1)...))
				p := makePicker(b, Config{Type: typ, Nodes: nodes})
				in := Input{Key: make([]byte, 12)}
				for _, n := range nodes { // latencies that have to fade
					n.ObserveLatency(1e9, 2e6)
				}
				in.Now = 2e9
				b.ReportAllocs()
				i := uint64(0)
				for b.Loop() {
					i++
					in.Rand = i * 0x9e3779b97f4a7c15
					in.Key[0], in.Key[1] = byte(i), byte(i>>8)
					release(p.Pick(&in))
				}
			})
		}
	}
}

func BenchmarkEWMADone(b *testing.B) {
	nodes := makeNodes(b, specs(1, 1))
	p := makePicker(b, Config{Type: EWMA, Nodes: nodes})
	b.ReportAllocs()
	now := int64(1e9)
	for b.Loop() {
		now += 1e6
		p.Done(nodes[0], now, now%7e6, true)
	}
}

// BenchmarkPickByAllLoops shows what sharing the cells costs under contention.
func BenchmarkPickByAllLoops(b *testing.B) {
	for _, typ := range Types() {
		b.Run(typ, func(b *testing.B) {
			nodes := makeNodes(b, specs(equal(100, 1)...))
			p := makePicker(b, Config{Type: typ, Nodes: nodes})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := rand.Uint64()
				in := Input{Key: make([]byte, 12)}
				for pb.Next() {
					i++
					in.Rand = mix(i)
					in.Key[0], in.Key[1] = byte(i), byte(i>>8)
					p.Done(p.Pick(&in), 0, 1000, true)
				}
			})
		})
	}
}

func TestPickingDoesNotAllocate(t *testing.T) {
	everyType(t, func(t *testing.T, typ string) {
		nodes := makeNodes(t, specs(equal(1000, 1)...))
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		in := Input{Key: []byte("some key")}
		check := func(what string) {
			t.Helper()
			if a := testing.AllocsPerRun(100, func() {
				in.Rand++
				p.Done(p.Pick(&in), 0, 1000, true)
			}); a != 0 {
				t.Errorf("%s: %v allocations", what, a)
			}
		}
		check("all up")
		down(nodes[5])
		check("one down")
		in.Tried = nodes[3:5]
		check("a retry")
	})
}
