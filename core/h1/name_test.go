package h1

import (
	"bytes"
	"math/bits"
	"strings"
	"testing"
)

func TestLookupFindsEveryNameInAnyCase(t *testing.T) {
	for id := ID(1); id < numIDs; id++ {
		name := names[id]
		if name == "" {
			continue
		}
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := Lookup([]byte(s)); got != id {
				t.Errorf("Lookup(%q) = %d, want %d", s, got, id)
			}
		}
	}
}

func TestLookupOfNeighbours(t *testing.T) {
	// One byte changed, added or missing is another name.
	for id := ID(1); id < numIDs; id++ {
		name := names[id]
		for i := range name {
			for _, c := range []byte{'\r', 'q', '0', '~', name[i] ^ 0x20, name[i] | 0x80} {
				b := []byte(name)
				b[i] = c
				if got := Lookup(b); got != Other && !strings.EqualFold(string(b), names[got]) && got != XConsumer && got != Shadow {
					t.Errorf("Lookup(%q) = %s", b, names[got])
				}
			}
		}
		for _, s := range []string{name + "x", "x" + name, name[min(1, len(name)):]} {
			if got := Lookup([]byte(s)); got != Other && got != XConsumer && !strings.EqualFold(s, names[got]) {
				t.Errorf("Lookup(%q) = %s", s, names[got])
			}
		}
	}
}

func TestCollectiveNames(t *testing.T) {
	f := func(name string, want ID) {
		t.Helper()
		if got := Lookup([]byte(name)); got != want {
			t.Errorf("Lookup(%q) = %d, want %d", name, got, want)
		}
	}
	f("X-Consumer-Groups", XConsumer)
	f("x-consumer-", XConsumer)
	f("X-Consumer-"+strings.Repeat("x", 100), XConsumer)
	f("X-Consumer", Other)
	f("X-Consumers-A", Other)
	f("X_Consumer_Groups", Shadow)
	f("X_Consumer-Username", Shadow)
	f("content_length", Shadow)
	f("Transfer_Encoding", Shadow)
	f("X_Forwarded_For", Shadow)
	f("X_Real-IP", Shadow)
	f("my_field", Other)
	f("user_agent", Other)
	f("_", Other)
	f("", Other)
	f(strings.Repeat("a_", 100), Other)
}

func TestIDSet(t *testing.T) {
	if numIDs > 64 {
		t.Fatal("more names than bits")
	}
	s := IDs(Host, MaxForwards)
	if !s.Has(Host) || !s.Has(MaxForwards) || s.Has(Via) || bits.OnesCount64(uint64(s)) != 2 {
		t.Fatalf("%b", s)
	}
}

func TestSkipText(t *testing.T) {
	for n := range 40 {
		for at := 0; at <= n; at++ {
			for _, c := range []byte{0, '\t', '\n', '\r', 0x1f, 0x7f} {
				b := bytes.Repeat([]byte{0xff}, n)
				for i := range b {
					b[i] = " ~\x80\xffa!"[i%6]
				}
				if at < n {
					b[at] = c
				}
				if got := skipText(b, 0); got != at {
					t.Fatalf("skipText(%q) = %d, want %d", b, got, at)
				}
			}
		}
	}
}

func TestSkipVisible(t *testing.T) {
	for n := range 30 {
		for at := 0; at <= n; at++ {
			for _, c := range []byte{0, ' ', '\t', '\n', '\r', 0x1f, 0x7f} {
				b := make([]byte, n)
				for i := range b {
					b[i] = "!~\x80\xffa"[i%5]
				}
				if at < n {
					b[at] = c
				}
				if got := skipVisible(b, 0); got != at {
					t.Fatalf("skipVisible(%q) = %d, want %d", b, got, at)
				}
			}
		}
	}
}

func TestSkipToColon(t *testing.T) {
	for n := range 30 {
		for at := 0; at <= n; at++ {
			b := make([]byte, n)
			for i := range b {
				b[i] = "9;\xba\x3b\x39"[i%5]
			}
			if at < n {
				b[at] = ':'
			}
			if got := skipToColon(b, 0); got != at {
				t.Fatalf("skipToColon(%q) = %d, want %d", b, got, at)
			}
		}
	}
}
