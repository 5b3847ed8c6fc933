package h1

import (
	"strings"
	"testing"
)

func TestResponseFraming(t *testing.T) {
	f := func(head string, method Method, want Response) {
		t.Helper()
		head = strings.ReplaceAll(head, "\n", "\r\n") + "\r\n"
		for _, piece := range []int{1, len(head)} {
			var r Response
			r.Reset()
			n := 0
			for k := piece; ; k += piece {
				var err *Error
				if n, err = r.Scan([]byte(head[:k]), nil, method); err != nil {
					t.Fatalf("%q: %v", head, err)
				}
				if n > 0 || k == len(head) {
					break
				}
			}
			if n != len(head) || r.StatusCode != want.StatusCode || r.Body != want.Body || r.ContentLength != want.ContentLength ||
				r.Close != want.Close || r.Interim != want.Interim || r.Minor != want.Minor {
				t.Fatalf("%q: n %d, %+v", head, n, r)
			}
		}
	}
	f("HTTP/1.1 200 OK\nContent-Length: 5\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, ContentLength: 5, Minor: 1})
	f("HTTP/1.1 200\nContent-Length: 5\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, ContentLength: 5, Minor: 1})
	f("HTTP/1.1 200 \nContent-Length: 0\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, Minor: 1})
	f("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n", MethodGet, Response{StatusCode: 200, Body: BodyChunked, ContentLength: -1, Minor: 1})
	f("HTTP/1.1 200 OK\n", MethodGet, Response{StatusCode: 200, Body: BodyUntilClose, ContentLength: -1, Close: true, Minor: 1})
	f("HTTP/1.0 200 OK\nContent-Length: 5\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, ContentLength: 5, Close: true})
	f("HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 5\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, ContentLength: 5})
	f("HTTP/1.1 200 OK\nConnection: x, Close\nContent-Length: 5\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, ContentLength: 5, Close: true, Minor: 1})
	f("HTTP/1.1 200 OK\nConnection: close\nConnection: keep-alive\nContent-Length: 5\n", MethodGet, Response{StatusCode: 200, Body: BodyLength, ContentLength: 5, Close: true, Minor: 1})
	f("HTTP/1.1 200 OK\nContent-Length: 5\n", MethodHead, Response{StatusCode: 200, ContentLength: 5, Minor: 1})
	f("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", MethodHead, Response{StatusCode: 200, ContentLength: -1, Minor: 1})
	f("HTTP/1.1 200 OK\n", MethodHead, Response{StatusCode: 200, ContentLength: -1, Minor: 1})
	f("HTTP/1.1 204 No Content\n", MethodGet, Response{StatusCode: 204, ContentLength: -1, Minor: 1})
	f("HTTP/1.1 204 No Content\nContent-Length: 0\n", MethodGet, Response{StatusCode: 204, Minor: 1})
	f("HTTP/1.1 204 No Content\nContent-Length: 5\n", MethodGet, Response{StatusCode: 204, ContentLength: 5, Close: true, Minor: 1})
	f("HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n", MethodGet, Response{StatusCode: 204, ContentLength: -1, Close: true, Minor: 1})
	f("HTTP/1.1 304 Not Modified\nContent-Length: 5\n", MethodGet, Response{StatusCode: 304, ContentLength: 5, Minor: 1})
	f("HTTP/1.1 100 Continue\n", MethodPost, Response{StatusCode: 100, ContentLength: -1, Interim: true, Minor: 1})
	f("HTTP/1.1 103 Early Hints\nLink: x\n", MethodGet, Response{StatusCode: 103, ContentLength: -1, Interim: true, Minor: 1})
	f("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n", MethodGet, Response{StatusCode: 101, ContentLength: -1, Minor: 1})
	f("HTTP/1.1 200 Connection established\n", MethodConnect, Response{StatusCode: 200, ContentLength: -1, Minor: 1})
	f("HTTP/1.1 299 caf\xc3\xa9\tx\nContent-Length: 5\n", MethodGet, Response{StatusCode: 299, Body: BodyLength, ContentLength: 5, Minor: 1})
	f("HTTP/1.1 599 x\nContent-Length: 0\n", MethodGet, Response{StatusCode: 599, Body: BodyLength, Minor: 1})
}

func TestResponseRefused(t *testing.T) {
	f := func(head string, want *Error) {
		t.Helper()
		for _, piece := range []int{1, len(head)} {
			var r Response
			r.Reset()
			for k := piece; ; k += piece {
				n, err := r.Scan([]byte(head[:k]), nil, MethodGet)
				if err == nil && n == 0 && k < len(head) {
					continue
				}
				if err != want {
					t.Errorf("%q in pieces of %d: n %d, error %v, want %v", head, piece, n, err, want)
				}
				break
			}
		}
	}
	f("HTTP/2.0 200 OK\r\n\r\n", ErrUpstreamVersion)
	f("HTTP/1.2 200 OK\r\n\r\n", ErrUpstreamVersion)
	f("SSH-2.0-OpenSSH\r\n", ErrUpstreamStatusLine)
	f("220 mail ESMTP\r\n", ErrUpstreamStatusLine)
	f("\r\nHTTP/1.1 200 OK\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 99 OK\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 099 OK\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 2000 OK\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1  200 OK\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 2x0 OK\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 200 OK\n\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 200 O\x00K\r\n\r\n", ErrUpstreamStatusLine)
	f("HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n", ErrUpstreamField)
	f("HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n", ErrUpstreamField)
	f("HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n", ErrUpstreamField)
	f("HTTP/1.1 200 OK\r\nA : 1\r\n\r\n", ErrUpstreamField)
	f("HTTP/1.1 200 OK\r\nA\r\n\r\n", ErrUpstreamField)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", ErrUpstreamLength)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", ErrUpstreamLength)
	f("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ErrUpstreamLength)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ErrUpstreamFraming)
	f("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ErrUpstreamFraming)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ErrUpstreamCoding)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", ErrUpstreamCoding)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrUpstreamCoding)
	f("HTTP/1.1 200 OK\r\n"+strings.Repeat("A: 1\r\n", 101)+"\r\n", ErrUpstreamFields)
	f("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 40000)+"\r\n\r\n", ErrUpstreamTooLarge)
}

func TestAppendResponseHead(t *testing.T) {
	var r Response
	r.Reset()
	r.StatusCode = 404
	r.AddString("A", "1")
	if got := string(r.AppendHead(nil, 0)); got != "HTTP/1.1 404 Not Found\r\nA: 1\r\n" {
		t.Fatalf("%q", got)
	}
	r.Reset()
	head := "HTTP/1.0 404 Nope\r\nA: 1\r\n\r\n"
	if _, err := r.Scan([]byte(head), nil, MethodGet); err != nil {
		t.Fatal(err)
	}
	if got := string(r.AppendHead(nil, 0)); got != "HTTP/1.1 404 Nope\r\nA: 1\r\n" {
		t.Fatalf("%q", got)
	}
	for code, want := range map[int]string{
		200: "HTTP/1.1 200 OK\r\n", 299: "HTTP/1.1 299 \r\n", 999: "HTTP/1.1 999 \r\n", 7: "HTTP/1.1 500 \r\n",
	} {
		if got := string(AppendStatusLine(nil, code)); got != want {
			t.Fatalf("%d: %q", code, got)
		}
	}
}
