package atrest

import (
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// A first load opens every object: those without secrets must cost little.
func BenchmarkOpen(b *testing.B) {
	k := ring(b, DefaultKeys...)
	for name, o := range map[string]conf.Object{
		"plain route": {Kind: conf.KindRoute, ID: "1", Value: []byte(`{"id":"1","uri":"/api/v1/orders/*","hosts":["a.example.com"],` +
			`"methods":["GET","POST"],"upstream_id":"1","plugins":{"cors":{},"proxy-rewrite":{"uri":"/x"}},"create_time":1700000000,"update_time":1700000000}`)},
		"consumer": {Kind: conf.KindConsumer, ID: "c", Value: []byte(`{"username":"c","plugins":{"key-auth":{"key":"` + k.Encrypt("auth-one") + `"}}}`)},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Open(o)
			}
		})
	}
}
