package h1

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func scanned(t testing.TB, head string) *Request {
	t.Helper()
	r := &Request{}
	r.Reset()
	if n, err := r.Scan([]byte(head), nil); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	return r
}

func TestHeaderReads(t *testing.T) {
	r := scanned(t, "GET /x HTTP/1.1\r\nHost: a\r\nX-Mine:  1 \r\nAccept: t\r\naccept: u\r\n\r\n")
	if r.Len() != 4 || string(r.Name(1)) != "X-Mine" || string(r.Value(1)) != "1" || r.ID(2) != Accept || r.ID(1) != Other {
		t.Fatalf("%q", r.AppendTo(nil, 0))
	}
	if string(r.Get("accept")) != "t" || string(r.GetID(Accept)) != "t" || string(r.Get("x-mine")) != "1" {
		t.Fatal("wrong first value")
	}
	if r.Get("x-none") != nil || r.GetID(Via) != nil || r.Has("x-none") || !r.Has("accept") || r.HasID(Via) {
		t.Fatal("found what is not there")
	}
	if i := r.IndexID(Accept, 3); i != 3 {
		t.Fatal(i)
	}
	if i := r.Index("accept", 3); i != 3 {
		t.Fatal(i)
	}
	if v := scanned(t, "GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\n").Get("a"); v == nil || len(v) != 0 {
		t.Fatal("an empty value is not a missing one")
	}
}

func TestSetKeepsThePlaceOfTheFirst(t *testing.T) {
	r := scanned(t, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nAccept: t\r\nA: 2\r\nB: 3\r\n\r\n")
	r.SetString("a", "9")
	r.SetID(Accept, []byte("u"))
	r.Set("C", []byte("4"))
	r.Append([]byte("c"), []byte("5"))
	want := "Host: a\r\na: 9\r\nAccept: u\r\nB: 3\r\nC: 4\r\nc: 5\r\n"
	if got := string(r.AppendTo(nil, 0)); got != want {
		t.Fatalf("%q", got)
	}
}

// Symptom: an edit by a plugin split the request in two.
func TestEditsCannotSplitAMessage(t *testing.T) {
	r := scanned(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r.SetString("A", "1\r\nEvil: 2")
	r.AddString("B\r\nEvil", "1")
	r.AddString("B b", "1")
	r.AddString("", "1")
	r.AddID(Via, []byte("x\x00\ny\tz\x7f"))
	want := "Host: a\r\nA: 1  Evil: 2\r\nVia: x  y\tz \r\n"
	if got := string(r.AppendTo(nil, 0)); got != want {
		t.Fatalf("%q", got)
	}
	if !r.SetMethod([]byte("PUT")) || r.SetMethod([]byte("PUT /")) || r.SetMethod(nil) || r.MethodCode != MethodPut {
		t.Fatal("SetMethod")
	}
	defer func() {
		if recover() == nil {
			t.Fatal("SetTarget took a blank")
		}
	}()
	r.SetTarget([]byte("/a b"))
}

func TestAppendHead(t *testing.T) {
	f := func(head string, edit func(r *Request), target, host string, drop IDSet, want string) {
		t.Helper()
		r := scanned(t, head)
		if edit != nil {
			edit(r)
		}
		var tb, hb []byte
		if target != "" {
			tb = []byte(target)
		}
		if host != "" {
			hb = []byte(host)
		}
		if got := string(r.AppendHead([]byte("x"), tb, hb, drop)); got != "x"+want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	const head = "GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nVia: 2\r\nB: 3\r\n\r\n"
	f(head, nil, "", "", 0, "GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nVia: 2\r\nB: 3\r\n")
	f(head, nil, "", "", IDs(Via), "GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 3\r\n")
	f(head, nil, "/y", "", IDs(Via), "GET /y HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 3\r\n")
	f(head, nil, "", "b", 0, "GET /x HTTP/1.1\r\nHost: b\r\nA: 1\r\nVia: 2\r\nB: 3\r\n")
	f(head, nil, "", "b", IDs(Via), "GET /x HTTP/1.1\r\nHost: b\r\nA: 1\r\nB: 3\r\n")
	f(head, func(r *Request) { r.SetTarget([]byte("/z")); r.SetMethod([]byte("POST")) }, "", "", 0,
		"POST /z HTTP/1.1\r\nHost: a\r\nA: 1\r\nVia: 2\r\nB: 3\r\n")
	f(head, func(r *Request) { r.Keep([]byte("kept")); r.AddID(Via, []byte("4")) }, "", "", 0,
		"GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nVia: 2\r\nB: 3\r\nVia: 4\r\n")
	f(head, func(r *Request) { r.DelAt(1); r.AddString("C", "5") }, "", "", 0,
		"GET /x HTTP/1.1\r\nHost: a\r\nVia: 2\r\nB: 3\r\nC: 5\r\n")
	f("GET / HTTP/1.0\r\n\r\n", nil, "", "", 0, "GET / HTTP/1.1\r\nHost: \r\n")
	f("GET / HTTP/1.0\r\n\r\n", func(r *Request) { r.AddString("A", "1") }, "", "b", 0, "GET / HTTP/1.1\r\nHost: b\r\nA: 1\r\n")
	f("GET / HTTP/1.1\r\nHost: a\r\nA:1\r\nB: 2\r\n\r\n", nil, "", "", 0, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n")
	f("GET / HTTP/1.1\r\nHost:a\r\nA: 1\r\n\r\n", nil, "", "", 0, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n")
	f("GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nB: 2\r\n\r\n", nil, "", "", 0, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n")
	f("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", nil, "", "", 0, "GET / HTTP/1.1\r\nHost: a\r\n")
}

func TestOriginals(t *testing.T) {
	r := scanned(t, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nForwarded:\r\n\r\n")
	for _, id := range []ID{XForwardedFor, XForwardedProto, Forwarded} {
		r.SaveOriginal(id)
	}
	r.SetID(XForwardedFor, []byte("2"))
	r.DelID(Forwarded)
	if string(r.Original(XForwardedFor)) != "1" || r.Original(XForwardedProto) != nil || r.Original(Forwarded) == nil {
		t.Fatal("originals")
	}
	r.Reset()
	if r.Original(XForwardedFor) != nil {
		t.Fatal("an original outlived its request")
	}
}

// TestHeaderAgainstModel makes random edits to a table and to a plain list, and
// compares what they write.
func TestHeaderAgainstModel(t *testing.T) {
	names := []string{"A", "b", "Accept", "Via", "X-Consumer-X", "date", "my_field", "X_Real_IP"}
	type field struct{ name, value string }
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var model []field
		head := "GET / HTTP/1.1\r\n"
		if seed%3 == 0 {
			head = "GET / HTTP/1.0\r\n"
		} else {
			head += "Host: a\r\n"
			model = append(model, field{"Host", "a"})
		}
		for i := range rnd.IntN(6) {
			n := names[rnd.IntN(len(names))]
			head += fmt.Sprintf("%s:%s%d\r\n", n, strings.Repeat(" ", rnd.IntN(8)/3), i)
			model = append(model, field{n, fmt.Sprint(i)})
		}
		r := scanned(t, head+"\r\n")
		del := func(keep func(field) bool) {
			var m []field
			for _, f := range model {
				if keep(f) {
					m = append(m, f)
				}
			}
			model = m
		}
		for op := range rnd.IntN(8) {
			n, v := names[rnd.IntN(len(names))], fmt.Sprint("v", op)
			switch rnd.IntN(6) {
			case 0:
				r.AddString(n, v)
				model = append(model, field{n, v})
			case 1:
				r.SetString(n, v)
				at := -1
				for i, f := range model {
					if strings.EqualFold(f.name, n) {
						at = i
						break
					}
				}
				if at < 0 {
					model = append(model, field{n, v})
					break
				}
				model[at] = field{n, "\x00"}
				del(func(f field) bool { return !strings.EqualFold(f.name, n) || f.value == "\x00" })
				for i := range model {
					if model[i].value == "\x00" {
						model[i].value = v
					}
				}
			case 2:
				r.Del(n)
				del(func(f field) bool { return !strings.EqualFold(f.name, n) })
			case 3:
				r.DelSet(IDs(Via, Accept))
				del(func(f field) bool { return !strings.EqualFold(f.name, "via") && !strings.EqualFold(f.name, "accept") })
			case 4:
				if r.Len() > 0 {
					i := rnd.IntN(r.Len())
					r.DelAt(i)
					model = append(model[:i], model[i+1:]...)
				}
			case 5:
				r.DelID(XConsumer)
				del(func(f field) bool { return f.name != "X-Consumer-X" })
			}
		}
		var all, some string
		seen := IDSet(0)
		for _, f := range model {
			line := f.name + ": " + f.value + "\r\n"
			all += line
			id := Lookup([]byte(f.name))
			seen |= 1 << id &^ 1
			if id != Date {
				some += line
			}
		}
		if got := string(r.AppendTo(nil, 0)); got != all {
			t.Fatalf("seed %d: %q, want %q", seed, got, all)
		}
		if got := string(r.AppendTo(nil, IDs(Date))); got != some {
			t.Fatalf("seed %d: %q, want %q", seed, got, some)
		}
		if r.Seen() != seen {
			t.Fatalf("seed %d: seen %x, want %x", seed, r.Seen(), seen)
		}
	}
}

func TestDropHop(t *testing.T) {
	var r Response
	r.Reset()
	head := "HTTP/1.1 200 OK\r\nConnection: close, X-Hop, Content-Length, set-cookie\r\nX-Hop: 1\r\nContent-Length: 0\r\n" +
		"Set-Cookie: a\r\nKeep-Alive: x\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nTrailer: X-Sum\r\nx-hop: 2\r\nKept: 1\r\n\r\n"
	if n, err := r.Scan([]byte(head), nil, MethodGet); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	r.DropHop()
	want := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a\r\nTrailer: X-Sum\r\nKept: 1\r\n"
	if got := string(r.AppendHead(nil, 0)); got != want {
		t.Fatalf("%q", got)
	}
}

func TestHugeBufferIsNotKept(t *testing.T) {
	r := scanned(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r.Set("A", bytes.Repeat([]byte("x"), 2*keepBytes))
	r.Reset()
	if cap(r.buf) > keepBytes {
		t.Fatal(cap(r.buf))
	}
}
