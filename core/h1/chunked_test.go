package h1

import (
	"bytes"
	"strings"
	"testing"
)

// decode runs a body through Next in pieces; used is what it consumed.
func decode(in []byte, piece int) (body []byte, used int, done bool, err *Error, c *Chunked) {
	c = &Chunked{}
	for used < len(in) {
		b := in[used:min(used+piece, len(in))]
		for len(b) > 0 {
			data, n, end, err := c.Next(b)
			body = append(body, data...)
			used += n
			b = b[n:]
			if err != nil || end {
				return body, used, end, err, c
			}
			if n == 0 {
				panic("no progress")
			}
		}
	}
	return body, used, false, nil, c
}

func skim(in []byte, piece int) (used int, done bool, err *Error) {
	var c Chunked
	for used < len(in) {
		n, end, err := c.Skim(in[used:min(used+piece, len(in))])
		used += n
		if err != nil || end {
			return used, end, err
		}
	}
	return used, false, nil
}

func TestChunked(t *testing.T) {
	f := func(in, body string, rest int, trailer string) {
		t.Helper()
		in = strings.ReplaceAll(in, "|", "\r\n")
		for piece := 1; piece <= len(in); piece++ {
			got, used, done, err, c := decode([]byte(in), piece)
			if string(got) != body || used != len(in)-rest || !done || err != nil {
				t.Fatalf("%q in pieces of %d: %q, used %d, done %v, error %v", in, piece, got, used, done, err)
			}
			if tr := string(c.Trailer().AppendTo(nil, 0)); tr != strings.ReplaceAll(trailer, "|", "\r\n") {
				t.Fatalf("%q: trailer %q", in, tr)
			}
			if used, done, err := skim([]byte(in), piece); used != len(in)-rest || !done || err != nil {
				t.Fatalf("%q skimmed in pieces of %d: used %d, done %v, error %v", in, piece, used, done, err)
			}
		}
	}
	f("0||", "", 0, "")
	f("000||", "", 0, "")
	f("0||GET", "", 3, "")
	f("3|abc|0||", "abc", 0, "")
	f("3|abc|A;x=\"y\"|0123456789|0;z||", "abc0123456789", 0, "")
	f("2|\r\n|0||", "\r\n", 0, "")
	f("0|X-Sum: 1|B:2||x", "", 1, "X-Sum: 1|B: 2|")
	f("000000000000003|abc|0||", "abc", 0, "")
}

func TestChunkedRefused(t *testing.T) {
	f := func(in string, want *Error) {
		t.Helper()
		in = strings.ReplaceAll(in, "|", "\r\n")
		for piece := 1; piece <= min(len(in), 400); piece++ {
			if _, _, done, err, _ := decode([]byte(in), piece); err != want || done {
				t.Fatalf("%q in pieces of %d: done %v, error %v, want %v", in, piece, done, err, want)
			}
			if _, done, err := skim([]byte(in), piece); err != want || done {
				t.Fatalf("%q skimmed in pieces of %d: done %v, error %v, want %v", in, piece, done, err, want)
			}
		}
	}
	f("|", ErrChunkSize)
	f("x|", ErrChunkSize)
	f("0x3|abc|", ErrChunkSize)
	f("3 |abc|", ErrChunkSize)
	f(" 3|abc|", ErrChunkSize)
	f("3\nabc", ErrChunkSize)
	f("3\rabc", ErrChunkSize)
	f("3;a\nabc", ErrChunkSize)
	f(";a|", ErrChunkSize)
	f("1000000000000000|", ErrChunkSize)
	f("0000000000000003|abc|", ErrChunkSize)
	f("3;"+strings.Repeat("a", 300)+"|abc|", ErrChunkLine)
	f("3|abcd|", ErrChunkEnd)
	f("3|abc\n0||", ErrChunkEnd)
	f("3|abc\r0||", ErrChunkEnd)
	f("0|X : 1||", ErrTrailer)
	f("0|X: 1\n|", ErrTrailer)
	f("0|X||", ErrTrailer)
	f("0| X: 1||", ErrTrailer)
	f("0|X: \x001||", ErrTrailer)
	f("0|\n", ErrTrailer)
	f("0|X: "+strings.Repeat("x", maxTrailer)+"||", ErrTrailerTooLarge)
	f("0|"+strings.Repeat("X: 1|", 33)+"|", ErrTrailerTooLarge)
	f("0|Content-Length: 1||", ErrTrailerForbidden)
	f("0|x-consumer-any: 1||", ErrTrailerForbidden)
	f("0|Host: 1||", ErrTrailerForbidden)
}

func TestChunkedIsReusable(t *testing.T) {
	var c Chunked
	in := []byte("1\r\na\r\n0\r\nX: 1\r\n\r\n")
	for range 3 {
		c.Reset()
		if n, done, err := c.Skim(in); n != len(in) || !done || err != nil || c.Trailer().Len() != 1 || !c.Done() {
			t.Fatal(n, done, err)
		}
		if n, done, _ := c.Skim(in); n != 0 || !done {
			t.Fatal("read on behind the end")
		}
	}
}

func TestAppendChunkHeader(t *testing.T) {
	for size, want := range map[int]string{0: "0", 1: "1", 15: "f", 16: "10", 255: "ff", 4096: "1000", 1<<31 + 5: "80000005"} {
		if got := string(AppendChunkHeader(nil, size)); got != want+"\r\n" {
			t.Fatalf("%d: %q", size, got)
		}
	}
	b := AppendLastChunk(append(AppendChunkHeader(nil, 3), "abc\r\n"...))
	if body, _, done, err, _ := decode(b, len(b)); !bytes.Equal(body, []byte("abc")) || !done || err != nil {
		t.Fatal(body, done, err)
	}
}
