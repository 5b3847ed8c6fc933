package gateway_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/all"
	"github.com/sluicegw/sluice/test/gateway"
)

// BenchmarkPipeline sends a mix of requests through the whole data path over
// loopback: small and browser-like heads, bodies, chunked answers, and a route
// with the plugins that most deployments use. `make pgo` makes the compiler's
// profile from it.
func BenchmarkPipeline(b *testing.B) {
	up := gateway.Canned(b, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1024\r\nEtag: \"5f\"\r\n\r\n"+strings.Repeat("x", 1024))
	chunked := gateway.Canned(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n"+strings.Repeat("y", 1024)+"\r\n0\r\n\r\n")
	g := gateway.Start(b, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"secret-key-of-jack"}}}`)
	g.Put(conf.KindUpstream, "1", fmt.Sprintf(`{"nodes":{%q:1}}`, up))
	g.Put(conf.KindUpstream, "2", fmt.Sprintf(`{"nodes":{%q:1}}`, chunked))
	g.Put(conf.KindRoute, "plain", `{"uri":"/*","upstream_id":"1"}`)
	g.Put(conf.KindRoute, "chunked", `{"uri":"/chunked/*","upstream_id":"2"}`)
	g.Put(conf.KindRoute, "plugins", `{"uri":"/api/*","host":"*.example.com","upstream_id":"1","plugins":{
		"key-auth":{},"limit-count":{"count":1000000000,"time_window":60,"key":"remote_addr"},
		"cors":{},"prometheus":{},"proxy-rewrite":{"headers":{"set":{"X-Api":"v1 $remote_addr"}}}}}`)
	for i := range 2000 {
		g.Put(conf.KindRoute, fmt.Sprint(i), fmt.Sprintf(`{"uri":"/service%d/v1/*","methods":["GET","POST"],"upstream_id":"1"}`, i))
	}
	browser := "Host: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.9,de;q=0.8\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://www.example.com/a/page?with=query\r\nCookie: session=" + strings.Repeat("c", 600) + "\r\n" +
		"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nUpgrade-Insecure-Requests: 1\r\nCache-Control: max-age=0\r\n\r\n"
	small := "Host: a.example.com\r\nUser-Agent: wrk\r\n\r\n"
	requests := []string{
		"GET /index.html HTTP/1.1\r\n" + small,
		"GET /service1234/v1/things?id=7 HTTP/1.1\r\n" + small,
		"GET /a/page?with=query HTTP/1.1\r\n" + browser,
		"GET /api/v1/users HTTP/1.1\r\nApikey: secret-key-of-jack\r\n" + small,
		"GET /chunked/list HTTP/1.1\r\n" + small,
		"POST /service7/v1/things HTTP/1.1\r\nContent-Length: 64\r\n" + small + strings.Repeat("b", 64),
	}
	var raw [][]byte
	for _, r := range requests {
		raw = append(raw, []byte(r))
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", g.Addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 64<<10)
		for i := 0; pb.Next(); i++ {
			if _, err := c.Write(raw[i%len(raw)]); err != nil {
				b.Error(err)
				return
			}
			n := 0
			for !complete(buf[:n]) {
				k, err := c.Read(buf[n:])
				if err != nil {
					b.Error(err)
					return
				}
				n += k
			}
			if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
				b.Errorf("%.100q", buf[:n])
				return
			}
		}
	})
}

// complete tells whether p ends a response of one of the two canned kinds.
func complete(p []byte) bool {
	i := bytes.Index(p, []byte("\r\n\r\n"))
	if i < 0 {
		return false
	}
	if bytes.Contains(p[:i], []byte("chunked")) {
		return bytes.HasSuffix(p, []byte("\r\n0\r\n\r\n"))
	}
	return len(p) >= i+4+1024
}
