package req

import "testing"

func BenchmarkRunConsumer(b *testing.B) {
	var cache Merged
	ctx := &Ctx{Snap: &Snapshot{Merged: &cache}}
	route := &Effective{Chain: chainOf("r", 0, 1, 2)}
	for _, c := range []struct {
		name     string
		consumer *Consumer
	}{{"without plugins", &Consumer{}}, {"with a plugin", &Consumer{Chain: chainOf("c", 3)}}} {
		b.Run(c.name, func(b *testing.B) {
			ctx.Consumer = c.consumer
			b.ReportAllocs()
			for range b.N {
				ctx.Eff = route
				ctx.RunConsumer()
			}
		})
	}
}
