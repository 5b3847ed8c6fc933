package mocking_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

func BenchmarkMocking(b *testing.B) {
	for name, conf := range map[string]string{
		"example": `{"response_example":"{}"}`,
		"schema":  `{"response_schema":` + schema + `}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			g := gateway.Start(b, gateway.Options{})
			g.Route("127.0.0.1:1", `{"mocking":`+conf+`}`)
			r := g.NewBare("GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n")
			for b.Loop() {
				r.Reset()
				r.Rewrite()
			}
		})
	}
}
