package h1

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func benchScan(b *testing.B, head string) {
	in := []byte(head)
	var r Request
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if n, err := r.Scan(in, nil); n != len(in) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkScanWrk(b *testing.B)     { benchScan(b, wrkHead) }
func BenchmarkScanBrowser(b *testing.B) { benchScan(b, browserHead) }

// BenchmarkScanDribbled feeds heads with one long line byte by byte: the time
// per byte must not grow with the size.
func BenchmarkScanDribbled(b *testing.B) {
	for _, size := range []int{1 << 10, 8 << 10, 30 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			in := []byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("x", size) + "\r\n\r\n")
			var r Request
			b.ReportAllocs()
			for b.Loop() {
				r.Reset()
				for k := range in {
					if n, err := r.Scan(in[:k+1], nil); n != 0 && n != len(in) || err != nil {
						b.Fatal(n, err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(in)), "ns/byte")
		})
	}
}

func BenchmarkScanResponse(b *testing.B) {
	in := []byte(responseHead)
	var r Response
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if n, err := r.Scan(in, nil, MethodGet); n != len(in) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkScanAndDropResponse(b *testing.B) {
	in := []byte(responseHead)
	var r Response
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if n, err := r.Scan(in, nil, MethodGet); n != len(in) || err != nil {
			b.Fatal(n, err)
		}
		r.DropHop()
		out = r.AppendHead(out[:0], IDs(Server, Date))
	}
}

func benchAppend(b *testing.B, head string, drop IDSet, own bool) {
	in := []byte(head)
	var r Request
	r.Reset()
	if n, err := r.Scan(in, nil); n != len(in) || err != nil {
		b.Fatal(n, err)
	}
	var host []byte
	if own {
		host = []byte("upstream.example.com")
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = r.AppendHead(out[:0], nil, host, drop)
	}
}

func BenchmarkAppendWrk(b *testing.B)         { benchAppend(b, wrkHead, 0, false) }
func BenchmarkAppendBrowser(b *testing.B)     { benchAppend(b, browserHead, 0, false) }
func BenchmarkAppendBrowserDrop(b *testing.B) { benchAppend(b, browserHead, HopByHop, true) }

func benchFasthttp(b *testing.B, head string) {
	in := []byte(head)
	var h fasthttp.RequestHeader
	rd := bytes.NewReader(in)
	br := bufio.NewReaderSize(rd, 4096)
	var out []byte
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		rd.Reset(in)
		br.Reset(rd)
		if err := h.Read(br); err != nil {
			b.Fatal(err)
		}
		out = h.AppendBytes(out[:0])
	}
}

func BenchmarkFasthttpWrk(b *testing.B)     { benchFasthttp(b, wrkHead) }
func BenchmarkFasthttpBrowser(b *testing.B) { benchFasthttp(b, browserHead) }

func BenchmarkFasthttpResponse(b *testing.B) {
	in := []byte(responseHead)
	var h fasthttp.ResponseHeader
	rd := bytes.NewReader(in)
	br := bufio.NewReaderSize(rd, 4096)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		rd.Reset(in)
		br.Reset(rd)
		if err := h.Read(br); err != nil {
			b.Fatal(err)
		}
		out = h.AppendBytes(out[:0])
	}
}

func BenchmarkSkim(b *testing.B) {
	var in []byte
	piece := bytes.Repeat([]byte("x"), 1000)
	for range 16 {
		in = AppendChunkHeader(in, len(piece))
		in = append(in, piece...)
		in = append(in, "\r\n"...)
	}
	in = AppendLastChunk(in)
	var c Chunked
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		if n, done, err := c.Skim(in); n != len(in) || !done || err != nil {
			b.Fatal(n, done, err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	names := [][]byte{[]byte("Host"), []byte("Content-Length"), []byte("X-Forwarded-Proto"), []byte("X-My-Own")}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		Lookup(names[i&3])
		i++
	}
}
