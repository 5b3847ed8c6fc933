package pool

import "testing"

func BenchmarkTakePut(b *testing.B) {
	p := newPool(0)
	for i := range int64(100) {
		for range 10 {
			p.Put(id(i, 1), &dial("c").Item, 0, Limits{Size: 100, Idle: 1 << 60})
		}
	}
	b.ReportAllocs()
	now := int64(0)
	for b.Loop() {
		now++
		key := id(now%100, 1)
		it := p.Take(key, now)
		p.Put(key, it, now, Limits{Size: 100, Idle: 1 << 60})
	}
}

func TestPoolingDoesNotAllocate(t *testing.T) {
	p := newPool(0)
	c := dial("c")
	p.Put(id(1, 1), &c.Item, 0, wide)
	if a := testing.AllocsPerRun(100, func() {
		it := p.Take(id(1, 1), 1)
		it.Uses = 0
		p.Put(id(1, 1), it, 1, wide)
		p.Sweep(1, 8)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}
