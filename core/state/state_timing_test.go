package state

import (
	"testing"
)

func BenchmarkFixedWindow(b *testing.B) {
	s := New(Sizes{Limits: 100_000, Conns: 64, Breakers: 64})
	sc := s.Limits.Scope("bench")
	b.Run("one key", func(b *testing.B) {
		b.ReportAllocs()
		buf := append(make([]byte, KeyRoom), "192.168.100.200"...)
		for b.Loop() {
			s.Limits.FixedWindow(sc.Hash(buf), 1<<31, 1, 60_000, t0)
		}
	})
	b.Run("50,000 keys", func(b *testing.B) {
		b.ReportAllocs()
		n := uint64(0)
		for b.Loop() {
			s.Limits.FixedWindow(numbered(sc, n*0x9e3779b97f4a7c15%50_000), 1<<31, 1, 60_000, t0)
			n++
		}
	})
	b.Run("one key, all threads", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			buf := append(make([]byte, KeyRoom), "192.168.100.200"...)
			for pb.Next() {
				s.Limits.FixedWindow(sc.Hash(buf), 1<<31, 1, 60_000, t0)
			}
		})
	})
}

func BenchmarkSlidingWindow(b *testing.B) {
	s := New(Sizes{Limits: 1000, Conns: 64, Breakers: 64})
	sc := s.Limits.Scope("bench")
	b.ReportAllocs()
	buf := append(make([]byte, KeyRoom), "192.168.100.200"...)
	for b.Loop() {
		s.Limits.SlidingWindow(sc.Hash(buf), 1<<23, 1, 60_000, t0)
	}
}

func BenchmarkLeakyBucket(b *testing.B) {
	s := New(Sizes{Limits: 1000, Conns: 64, Breakers: 64})
	sc := s.Limits.Scope("bench")
	b.ReportAllocs()
	l := &Leak{Rate: 1e9, Burst: 1e9}
	buf := append(make([]byte, KeyRoom), "192.168.100.200"...)
	now := t0
	for b.Loop() {
		now++
		s.Limits.LeakyBucket(sc.Hash(buf), l, true, now)
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	s := New(Sizes{Limits: 64, Conns: 1000, Breakers: 64})
	sc := s.Conns.Scope("bench")
	b.ReportAllocs()
	buf := append(make([]byte, KeyRoom), "192.168.100.200"...)
	for b.Loop() {
		c, _, _ := s.Conns.Acquire(sc.Hash(buf), 10, t0)
		s.Conns.Release(c)
	}
}

func BenchmarkNewKey(b *testing.B) {
	s := New(Sizes{Limits: 100_000, Conns: 64, Breakers: 64})
	sc := s.Limits.Scope("bench")
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		s.Limits.FixedWindow(numbered(sc, n), 10, 1, 1, t0+int64(n/10))
	}
}
