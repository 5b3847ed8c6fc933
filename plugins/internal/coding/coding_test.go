package coding

import (
	"encoding/json"
	"testing"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func TestAccepts(t *testing.T) {
	f := func(want bool, fields ...string) {
		t.Helper()
		var h h1.Header
		for _, v := range fields {
			h.AddString("Accept-Encoding", v)
		}
		if got := Accepts(&h, "gzip"); got != want {
			t.Errorf("%q: %v", fields, got)
		}
	}
	f(false)
	f(false, "")
	f(true, "gzip")
	f(true, "GZip")
	f(true, "deflate, gzip;q=0.5, br")
	f(true, "deflate,gzip ; q=1")
	f(true, "deflate", "gzip")
	f(true, "*")
	f(true, "br, *;q=0.1")
	f(false, "*, gzip;q=0")
	f(false, "gzip;q=0, *")
	f(false, "gzip;q=0.000")
	f(true, "gzip;q=0.001")
	f(false, "*;q=0")
	f(false, "xgzip, gzipx, identity")
	f(true, "gzip;x=y;q=1")
	f(false, "gzip;x=y;Q=0.0")
}

func TestFits(t *testing.T) {
	f := func(name, types string, want, vary bool, head string, accept ...string) {
		t.Helper()
		r := Rule{Name: "gzip"}
		if err := r.Set(&Config{Types: json.RawMessage(types), MinLength: 20, HTTPVersion: 1.1, Vary: true}); err != nil {
			t.Fatal(err)
		}
		var ctx req.Ctx
		ctx.Reset()
		ctx.Req.MethodCode, ctx.Req.Minor = h1.MethodGet, 1
		if accept == nil {
			accept = []string{"gzip"}
		}
		ctx.Req.AddString("Accept-Encoding", accept[0])
		if _, err := ctx.Resp.Scan([]byte(head+"\r\n\r\n"), nil, h1.MethodGet); err != nil {
			t.Fatal(err)
		}
		if got := r.Fits(&ctx); got != want || ctx.Resp.HasToken(h1.Vary, "accept-encoding") != vary {
			t.Errorf("%s: %v, Vary %q", name, got, ctx.Resp.GetID(h1.Vary))
		}
	}
	const html = `["text/html","Application/JSON"]`
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: "
	f("listed", html, true, true, ok+"text/html")
	f("with charset", html, true, true, ok+"Text/HTML ; charset=utf-8")
	f("another", html, true, true, ok+"application/json;x")
	f("not listed", html, false, false, ok+"text/plain")
	f("all", `"*"`, true, true, ok+"text/plain")
	f("no type", `"*"`, false, false, "HTTP/1.1 200 OK")
	f("short", html, false, false, ok+"text/html\r\nContent-Length: 19")
	f("long enough", html, true, true, ok+"text/html\r\nContent-Length: 20")
	f("coded already", html, false, false, ok+"text/html\r\nContent-Encoding: br")
	f("not accepted", html, false, true, ok+"text/html", "br")
	f("part of a body", html, false, false, "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-1/5\r\nContent-Type: text/html")
	f("no-transform", html, false, false, ok+"text/html\r\nCache-Control: public, no-transform")
	f("Vary is there", html, true, true, ok+"text/html\r\nVary: Origin, Accept-Encoding")
	f("error", html, true, true, "HTTP/1.1 500 Oops\r\nContent-Type: text/html")
}

func FuzzAccepts(f *testing.F) {
	f.Add([]byte("gzip;q=0, *;q=1"))
	f.Add([]byte(";;,;q=,gzip;q"))
	f.Fuzz(func(t *testing.T, v []byte) {
		var h h1.Header
		h.AddID(h1.AcceptEncoding, v)
		Accepts(&h, "gzip")
	})
}
