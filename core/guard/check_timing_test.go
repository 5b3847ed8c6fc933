package guard

import (
	"net/netip"
	"testing"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

const (
	wrkHead = "GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:9080\r\nUser-Agent: wrk/4.2\r\nAccept: */*\r\n\r\n"

	browserHead = "GET /shop/products/list?category=shoes&page=3&sort=price_asc&ref=newsletter-2026-11 HTTP/1.1\r\n" +
		"Host: www.shop.example.com\r\n" +
		"Connection: keep-alive\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n" +
		"sec-ch-ua-mobile: ?0\r\n" +
		"sec-ch-ua-platform: \"Linux\"\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n" +
		"Sec-Fetch-Site: same-origin\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-User: ?1\r\n" +
		"Sec-Fetch-Dest: document\r\n" +
		"Referer: https://www.shop.example.com/shop/products/list?category=shoes&page=2&sort=price_asc\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7\r\n" +
		"If-None-Match: W/\"5f1c-18b2f0a9c40\"\r\n" +
		"Cookie: session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c; " +
		"_ga=GA1.2.1234567890.1731500000; _gid=GA1.2.987654321.1763990000; theme=dark; consent=analytics%3D1%26ads%3D0; " +
		"cart=4f9d2c1ab8e74d0f9c6e5b1d2a3f4c5e; lastseen=sku-118822%2Csku-99172%2Csku-20113\r\n\r\n"
)

func newCtx() *req.Ctx {
	ctx := &req.Ctx{}
	ctx.Reset()
	ctx.Peer = netip.MustParseAddrPort("192.0.2.45:51234")
	ctx.Local = netip.MustParseAddrPort("198.51.100.7:9080")
	return ctx
}

func mustPolicy(t testing.TB, s Settings) *Policy {
	p, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// BenchmarkCheck is what the head of each request costs on its way through:
// scan, check, forwarding fields, and the head for the upstream.
func BenchmarkCheck(b *testing.B) {
	for _, c := range []struct{ name, head string }{
		{"wrk", wrkHead},
		{"browser", browserHead},
		{"escaped", "GET /caf%C3%A9/a%2Fb/../c HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := mustPolicy(b, Settings{})
			ctx := newCtx()
			in := []byte(c.head)
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				ctx.Host = ctx.Host[:0]
				ctx.Req.Reset()
				if n, err := ctx.Req.Scan(in, &p.limits); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
				if err := p.Check(ctx); err != nil {
					b.Fatal(err)
				}
				Forward(ctx)
				out = ctx.Req.AppendHead(out[:0], nil, nil, h1.IDs(h1.Connection, h1.Upgrade))
				out = append(out, "\r\n"...)
			}
		})
	}
}
