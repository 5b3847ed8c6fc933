package requestvalidation_test

import (
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/test/gateway"
)

func BenchmarkRequestValidation(b *testing.B) {
	g := gateway.Start(b, gateway.Options{})
	now := time.Now()
	f := func(name, plugin, head, body string) {
		g.Route("127.0.0.1:1", `{"request-validation":{`+plugin+`}}`)
		r := g.NewBare(head)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r.Reset()
				r.At(now)
				r.Ctx.Body, r.Ctx.BodyState = append(r.Ctx.Body[:0], body...), req.BodyBuffered
				if r.Rewrite() != req.Continue {
					b.Fatal("refused")
				}
			}
		})
	}
	f("header", `"header_schema":{"type":"object","required":["User-Agent"],"properties":{"User-Agent":{"type":"string","pattern":"^test"}}}`,
		"GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n", "")
	f("query", `"query_schema":{"type":"object","properties":{"page":{"type":"integer"}}}`,
		"GET /a?page=7&tag=x HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n", "")
	f("body", bodySchema, "POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n",
		`{"name":"a thing","size":17,"color":"blue","tags":["x"]}`)
}
