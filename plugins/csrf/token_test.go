package csrf

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	p := &plugin{key: []byte("secret"), expires: 60}
	const made = int64(1_800_000_000)
	token := p.appendToken([]byte("x="), 12345678901234, made)[2:]
	plain, err := base64.StdEncoding.DecodeString(string(token))
	if err != nil || !json.Valid(plain) {
		t.Fatalf("%q: %v", plain, err)
	}
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	f := func(name, token string, now int64, want bool) {
		t.Helper()
		if _, got := p.verify(nil, []byte(token), now); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	f("fresh", string(token), made, true)
	f("on the last second", string(token), made+60, true)
	f("expired", string(token), made+61, false)
	f("other key", string((&plugin{key: []byte("other")}).appendToken(nil, 12345678901234, made)), made, false)
	f("changed", encode(strings.Replace(string(plain), "1800000000", "1800000001", 1)), made, false)
	f("reordered", encode(`{"sign":"`+string(plain[len(plain)-66:len(plain)-2])+`","random":12345678901234,"expires":1800000000}`), made, true)
	f("no signature", encode(`{"random":1,"expires":1800000000}`), made, false)
	f("empty signature", encode(`{"random":1,"expires":1800000000,"sign":""}`), made, false)
	f("no number", encode(strings.Replace(string(plain), "1800000000", "1.8.0", 1)), made, false)
	f("not base64", "%%%", made, false)
	f("not JSON", encode("hello"), made, false)
	f("empty", "", made, false)
	f("huge", strings.Repeat("A", 1<<20), made, false)
	forever := &plugin{key: []byte("secret")}
	if _, ok := forever.verify(nil, token, made+1e6); !ok {
		t.Error("without expiry the token ran out")
	}
}

// The signature is what an APISIX gateway with the same key computes.
func TestSignatureOfAPISIX(t *testing.T) {
	p := &plugin{key: []byte("edd1c9f034335f136f87ad84b625c8f1")}
	// SHA-256 of {expires:1639388035,random:0.68897230883543,key:edd1c9f034335f136f87ad84b625c8f1}
	const want = "9ce08c8e44345e67619bd20fdd75d05127fe0d03cbcc91bb1053a61a9a7eee43"
	if got := string(p.appendSign(nil, []byte("0.68897230883543"), []byte("1639388035"))); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add([]byte(`{"random":1,"expires":2,"sign":"a"}`))
	f.Add([]byte(`{"sign":"\/","random":-1.5e3,"expires":2}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseToken(b)
		if !ok {
			return
		}
		var want struct {
			Random, Expires json.Number
			Sign            string
		}
		if json.Unmarshal(b, &want) != nil {
			return // a number that is none is found out later
		}
		if strings.ToValidUTF8(string(got.sign), "\uFFFD") != want.Sign || string(got.random) != want.Random.String() || string(got.expires) != want.Expires.String() {
			t.Fatalf("%q: %q %q %q, JSON says %+v", b, got.random, got.expires, got.sign, want)
		}
	})
}
