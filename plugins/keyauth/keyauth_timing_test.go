//go:build !race

package keyauth_test

import (
	"fmt"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"
)

func crowd(t testing.TB, n int) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	batch := &conf.Batch{Rev: 1}
	for i := range n {
		name := fmt.Sprintf("consumer-%d", i)
		batch.Objects = append(batch.Objects, conf.Object{
			Kind: conf.KindConsumer, ID: name, Rev: 1,
			Value: fmt.Appendf(nil, `{"username":%q,"labels":{"custom_id":"%d"},"plugins":{"key-auth":{"key":"a-key-of-thirty-two-bytes-%d"}}}`, name, i, i),
		})
	}
	g.Builder.Apply(batch)
	g.Route("127.0.0.1:1", `{"key-auth":{"hide_credentials":true}}`)
	return g
}

const (
	inHeader = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\napikey: a-key-of-thirty-two-bytes-42\r\n\r\n"
	inQuery  = "GET /a?x=y&apikey=a-key-of-thirty-two-bytes-42 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
)

func TestNoAllocations(t *testing.T) {
	g := crowd(t, 100)
	f := func(name, head string) {
		t.Helper()
		if n := g.Allocations(head); n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", name, n)
		}
	}
	f("key in a field", inHeader)
	f("key in the query", inQuery)
	f("no key", "GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n")
	f("wrong key", "GET /a HTTP/1.1\r\nHost: example.com\r\napikey: wrong\r\n\r\n")
}

func BenchmarkKeyAuth(b *testing.B) {
	g := crowd(b, 1000)
	b.Run("header", func(b *testing.B) { g.Measure(b, inHeader) })
	b.Run("query", func(b *testing.B) { g.Measure(b, inQuery) })
}
