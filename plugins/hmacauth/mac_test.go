package hmacauth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math/rand/v2"
	"strings"
	"testing"
)

var hashes = [numAlgorithms]func() hash.Hash{sha1.New, sha256.New, sha512.New}

// The MACs are those of crypto/hmac, for keys shorter and longer than a block.
func TestMACsAgreeWithTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	for range 500 {
		key, message := random(1+r.IntN(300)), random(r.IntN(500))
		s := newSecret(key)
		for a := range numAlgorithms {
			h := hmac.New(hashes[a], key)
			h.Write(message)
			want := h.Sum(nil)
			begun := append(s.begin(nil, a), message...)
			if !s.signs(a, begun, want) {
				t.Fatalf("%s: key of %d bytes, message of %d: not the MAC of crypto/hmac", algorithms[a], len(key), len(message))
			}
			want[r.IntN(len(want))] ^= 1
			if s.signs(a, begun, want) || s.signs(a, begun, want[:len(want)-1]) || s.signs(a, begun, nil) {
				t.Fatalf("%s: a wrong MAC is accepted", algorithms[a])
			}
		}
	}
}

func TestFields(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		p := parse([]byte(text))
		got := []string{string(p.keyID), string(p.algorithm), string(p.headers), string(p.signature)}
		if strings.Join(got, "|") != want {
			t.Errorf("%q gave %q, want %s", text, got, want)
		}
	}
	f(` keyId="a",algorithm="hmac-sha256",headers="@request-target date",signature="c2ln"`, "a|hmac-sha256|@request-target date|c2ln")
	f(` keyId="a", algorithm="x" ,signature="s="`, "a|x||s=")
	f(`keyId="a",keyId="b"`, "b|||")
	f(` keyId="a,b",signature="s"`, "|||s")
	f(` keyid="a",KEYID="b",keyId=c,keyId="`, "|||")
	f(` other="x",signature=""`, "|||")
	f(``, "|||")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(` keyId="a",algorithm="hmac-sha256",headers="@request-target date",signature="c2ln"`))
	f.Add([]byte(`="",",=`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := parse(text)
		for _, v := range [][]byte{p.keyID, p.algorithm, p.headers, p.signature} {
			if bytes.ContainsAny(v, `",`) {
				t.Errorf("%q gave %+v", text, p)
			}
		}
	})
}
