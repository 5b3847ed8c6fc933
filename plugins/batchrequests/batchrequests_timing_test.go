package batchrequests_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"
)

// What a request costs in a batch, and by itself over a kept connection.
func BenchmarkBatch(b *testing.B) {
	up := gateway.Backend(b, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) })
	g := gateway.Start(b, gateway.Options{})
	g.Put(conf.KindRoute, "batch", `{"uri":"/batch","plugins":{"public-api":{"uri":"/apisix/batch-requests"}}}`)
	g.Put(conf.KindRoute, "up", fmt.Sprintf(`{"uri":"/up","upstream":{"nodes":{%q:1}}}`, up))
	const items = 50
	batch := `{"pipeline":[` + strings.TrimSuffix(strings.Repeat(`{"path":"/up"},`, items), ",") + `]}`
	b.Run("single", func(b *testing.B) {
		for range b.N {
			g.Get("/up")
		}
	})
	b.Run("in a batch of 50", func(b *testing.B) {
		for i := 0; i < b.N; i += items {
			g.Do("POST", "/batch", batch)
		}
	})
}
