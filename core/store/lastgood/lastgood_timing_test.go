package lastgood

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// hundredThousand is a realistic large configuration of about 70 MB.
func hundredThousand() conf.Batch {
	b := conf.Batch{Full: true, Rev: 1 << 20, Objects: make([]conf.Object, 100_000)}
	pad := strings.Repeat("x", 600)
	for i := range b.Objects {
		b.Objects[i] = route(fmt.Sprintf("route-%d", i), int64(i+1), fmt.Sprintf(`{"uri":"/%d","desc":"%s"}`, i, pad))
	}
	return b
}

func BenchmarkLoad100k(b *testing.B) {
	cfg := config(b)
	w := open(b, cfg)
	w.Apply(hundredThousand(), 0)
	flush(b, w)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(cfg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOneChangeAt100k(b *testing.B) {
	w := open(b, config(b))
	w.Apply(hundredThousand(), 0)
	flush(b, w)
	b.ReportAllocs()
	rev := int64(1 << 21)
	for b.Loop() {
		rev++
		w.Apply(conf.Batch{Rev: rev, Objects: []conf.Object{route("route-5", rev, "changed")}}, 0)
		flush(b, w)
	}
}
