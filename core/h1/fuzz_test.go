package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzRequest holds three things for any input: that it does not matter in
// which pieces it comes; that what is accepted is written in a form that is
// accepted again and does not change; and that net/http reads the same request
// from that form.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(wrkHead), uint8(1))
	f.Add([]byte(browserHead), uint8(100))
	f.Add([]byte("\r\nPOST http://a/x HTTP/1.0\r\nHost:a\r\nContent-Length: 3 \r\nConnection: close, x\r\n\r\nabc"), uint8(7))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX_Real_IP: 1\r\n\r\n0\r\n\r\n"), uint8(3))
	f.Add([]byte("GET /\x80 HTTP/1.1\r\nHost: a\r\nA:\t\x80\t1\r\n\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		var r, p Request
		r.Reset()
		n, err := r.Scan(in, nil)
		p.Reset()
		var pn int
		var perr *Error
		for k := 0; k < len(in) && pn == 0 && perr == nil; {
			k = min(k+int(piece)+1, len(in))
			pn, perr = p.Scan(in[:k], nil)
		}
		if err != nil && pn == 0 && perr == nil {
			// A long line is looked at again when it ends.
			_, perr = p.Scan(append(bytes.Clone(in), '\n'), nil)
		}
		if pn != n || (perr == nil) != (err == nil) {
			t.Fatalf("at once: %d, %v; in pieces: %d, %v", n, err, pn, perr)
		}
		if err != nil || n == 0 {
			return
		}
		if r.ContentLength >= 0 && r.Chunked {
			t.Fatal("two framings")
		}
		out := append(r.AppendHead(nil, nil, nil, 0), "\r\n"...)
		if again := append(p.AppendHead(nil, nil, nil, 0), "\r\n"...); !bytes.Equal(out, again) {
			t.Fatalf("at once %q, in pieces %q", out, again)
		}
		if r.Minor == 0 || r.MethodCode == MethodConnect {
			return
		}
		var q Request
		q.Reset()
		if m, err := q.Scan(out, &Limits{MaxHead: len(out) + 1}); err != nil || m != len(out) {
			t.Fatalf("%q: %d, %v", out, m, err)
		}
		if again := append(q.AppendHead(nil, nil, nil, 0), "\r\n"...); !bytes.Equal(out, again) {
			t.Fatalf("%q became %q", out, again)
		}
		if q.ContentLength != r.ContentLength || q.Chunked != r.Chunked || q.Close != r.Close || q.Len() != r.Len() {
			t.Fatalf("%q means something else than %q", out, in)
		}
		compareNetHTTP(t, &q, out)
	})
}

// compareNetHTTP checks that net/http sees the same message in out. It refuses
// some targets and hosts that are not ours to judge here: guard does.
func compareNetHTTP(t *testing.T, r *Request, out []byte) {
	br := bufio.NewReader(bytes.NewReader(out))
	o, err := http.ReadRequest(br)
	if err != nil {
		for _, harmless := range []string{"parse \"", "invalid URL", "malformed Host", "invalid URI", "malformed HTTP request \""} {
			if strings.Contains(err.Error(), harmless) {
				return
			}
		}
		t.Fatalf("net/http refuses %q: %v", out, err)
	}
	if br.Buffered() != 0 && !r.HasBody() {
		t.Fatalf("net/http sees more than one message in %q", out)
	}
	if o.Method != string(r.Method()) || o.RequestURI != string(r.Target()) {
		t.Fatalf("net/http reads %s %s from %q", o.Method, o.RequestURI, out)
	}
	if r.Chunked != (len(o.TransferEncoding) > 0) || !r.Chunked && o.ContentLength != max(r.ContentLength, 0) {
		t.Fatalf("net/http reads length %d, coding %v from %q", o.ContentLength, o.TransferEncoding, out)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte(responseHead), uint8(1))
	f.Add([]byte("HTTP/1.0 304\r\nA:b\r\nConnection: close\r\n\r\n"), uint8(3))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		var r, p Response
		r.Reset()
		n, err := r.Scan(in, nil, MethodGet)
		p.Reset()
		var pn int
		var perr *Error
		for k := 0; k < len(in) && pn == 0 && perr == nil; {
			k = min(k+int(piece)+1, len(in))
			pn, perr = p.Scan(in[:k], nil, MethodGet)
		}
		if err != nil && pn == 0 && perr == nil {
			// A long line is looked at again when it ends.
			_, perr = p.Scan(append(bytes.Clone(in), '\n'), nil, MethodGet)
		}
		if pn != n || (perr == nil) != (err == nil) {
			t.Fatalf("at once: %d, %v; in pieces: %d, %v", n, err, pn, perr)
		}
		if err != nil || n == 0 {
			return
		}
		out := append(r.AppendHead(nil, 0), "\r\n"...)
		var q Response
		q.Reset()
		if m, err := q.Scan(out, &Limits{MaxHead: len(out) + 1}, MethodGet); err != nil || m != len(out) {
			if r.Minor == 1 {
				t.Fatalf("%q: %d, %v", out, m, err)
			}
			return
		}
		if q.StatusCode != r.StatusCode || q.ContentLength != r.ContentLength || q.Body != r.Body {
			t.Fatalf("%q means something else than %q", out, in)
		}
		o, oerr := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), &http.Request{Method: "GET"})
		if oerr != nil {
			t.Fatalf("net/http refuses %q: %v", out, oerr)
		}
		if o.StatusCode != r.StatusCode || r.Body == BodyLength && o.ContentLength != r.ContentLength ||
			(r.Body == BodyChunked) != (len(o.TransferEncoding) > 0) && r.Body != BodyNone {
			t.Fatalf("net/http reads %d, length %d, coding %v from %q", o.StatusCode, o.ContentLength, o.TransferEncoding, out)
		}
		r.DropHop()
		r.AppendHead(nil, 0)
	})
}

// FuzzChunked holds that the decoder sees the same in any pieces, that Skim
// agrees with it, and that net/http reads the same body from what is accepted.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), uint8(0))
	f.Add([]byte("A;x=y\r\n0123456789\r\n00\r\nX-Sum: 1\r\n\r\nGET"), uint8(2))
	f.Add([]byte("fffffffffffffff\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		body, used, done, err, c := decode(in, len(in)+1)
		pbody, pused, pdone, perr, _ := decode(in, int(piece)+1)
		if !bytes.Equal(body, pbody) || done != pdone || err != perr || err == nil && used != pused {
			t.Fatalf("at once: %q, %d, %v, %v; in pieces: %q, %d, %v, %v", body, used, done, err, pbody, pused, pdone, perr)
		}
		if sused, sdone, serr := skim(in, int(piece)+1); sdone != done || serr != err || err == nil && sused != used {
			t.Fatalf("Next: %d, %v, %v; Skim: %d, %v, %v", used, done, err, sused, sdone, serr)
		}
		if !done {
			return
		}
		msg := append([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), in...)
		br := bufio.NewReaderSize(bytes.NewReader(msg), len(msg)+16)
		o, oerr := http.ReadRequest(br)
		if oerr != nil {
			t.Fatal(oerr)
		}
		got, oerr := io.ReadAll(o.Body)
		if oerr != nil {
			// It limits how much framing there may be for a payload.
			if strings.Contains(oerr.Error(), "excessive") {
				return
			}
			t.Fatalf("net/http refuses %q: %v", in[:used], oerr)
		}
		if !bytes.Equal(got, body) || br.Buffered() != len(in)-used || len(o.Trailer) > c.Trailer().Len() {
			t.Fatalf("net/http reads %q and leaves %d of %q", got, br.Buffered(), in)
		}
	})
}
