package forwardauth_test

import (
	"net/http"
	"testing"
)

// A question costs a round trip to the service and a wait in the background.
func BenchmarkForwardAuth(b *testing.B) {
	g, _ := start(b, "", func(http.ResponseWriter, *http.Request) {})
	b.ReportAllocs()
	for range b.N {
		g.Get("/")
	}
}
