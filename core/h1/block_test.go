package h1

import "testing"

func TestBlocks(t *testing.T) {
	var b Block
	if !b.Add("X-One", "1") || !b.Add("Vary", "Origin") || b.Add("not a name", "x") || b.Add("", "x") || b.Len() != 2 {
		t.Fatal("a block took a name that is none, or refused one that is")
	}
	var r Response
	for range 3 {
		r.Reset()
		if _, err := r.Scan([]byte("HTTP/1.1 200 OK\r\nA: b\r\nVary: Accept\r\n\r\n"), nil, MethodGet); err != nil {
			t.Fatal(err)
		}
		r.AddBlock(&b)
		r.Set("x-one", []byte("2"))
		r.AddBlock(&b)
		want := "HTTP/1.1 200 OK\r\nA: b\r\nVary: Accept\r\nx-one: 2\r\nVary: Origin\r\nX-One: 1\r\nVary: Origin\r\n"
		if got := string(r.AppendHead(nil, 0)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if !r.HasPrefix("x-o") || r.HasPrefix("x-onee") || !r.HasToken(Vary, "origin") || r.HasToken(Vary, "orig") {
			t.Error("wrong on what the table has")
		}
	}
	r.Reset()
	r.StatusCode = 200
	r.AddString("X-ONE", "0")
	r.AddString("Vary", "Accept")
	r.AddString("vary", "Cookie")
	r.SetBlock(&b)
	if got, want := string(r.AppendHead(nil, 0)), "HTTP/1.1 200 OK\r\nX-One: 1\r\nVary: Origin\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.Reset()
	r.AddString("Cache-Control", "public, no-transform, max-age=5")
	if !r.HasToken(CacheControl, "no-transform") || !r.HasToken(CacheControl, "max-age") || r.HasToken(CacheControl, "private") {
		t.Error("wrong on tokens")
	}
}

func BenchmarkAddBlock(b *testing.B) {
	var block Block
	block.Add("Access-Control-Allow-Methods", "GET,POST")
	block.Add("Access-Control-Allow-Headers", "Content-Type,Authorization")
	block.Add("Access-Control-Max-Age", "5")
	var h Header
	b.ReportAllocs()
	for range b.N {
		h.Reset()
		h.AddBlock(&block)
	}
}
