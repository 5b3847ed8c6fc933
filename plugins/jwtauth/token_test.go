package jwtauth

import (
	"fmt"
	"math"
	"sync"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte("eyJhbGciOiJIUzI1NiJ9.eyJrZXkiOiJqYWNrIn0.c2ln"))
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Add([]byte("..."))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parse(raw)
		if err != nil {
			return
		}
		if p.alg == "" || p.claims == nil || len(p.signed) >= len(raw) {
			t.Errorf("%q gave %+v", raw, p)
		}
		for _, v := range p.claims {
			if s := seconds(v); s > math.MaxInt64/2 || s < 0 && s != none {
				t.Errorf("%s is %d", v, s)
			}
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(64)
	by := &credential{}
	add := func(name string, exp, now int64) {
		raw := []byte(name)
		c.put(c.hash(raw), &token{raw: raw, claim: "key", by: by, exp: exp}, now)
	}
	find := func(name string) *token { return c.find(c.hash([]byte(name)), []byte(name), "key") }
	for i := range 10_000 {
		add(fmt.Sprint(i), 0, 1)
		if find(fmt.Sprint(i)) == nil {
			t.Fatal("the newest token is not remembered")
		}
	}
	kept := 0
	for i := range 10_000 {
		if find(fmt.Sprint(i)) != nil {
			kept++
		}
	}
	if kept > 64 {
		t.Errorf("%d tokens are remembered, want at most 64", kept)
	}
	long := string(make([]byte, maxTokenSize+1))
	add(long, 0, 1)
	if find(long) != nil {
		t.Error("a token above the limit is remembered")
	}
	if c.find(c.hash([]byte("9999")), []byte("9999"), "iss") != nil {
		t.Error("a token is found under another claim")
	}
}

// Expired tokens give way first.
func TestExpiredTokensGiveWay(t *testing.T) {
	c := newCache(ways) // one set
	by := &credential{grace: 5}
	for i, exp := range []int64{0, 100, 200, 0} {
		raw := []byte{byte(i)}
		c.put(c.hash(raw), &token{raw: raw, by: by, exp: exp}, 50)
	}
	raw := []byte("new")
	c.put(c.hash(raw), &token{raw: raw, by: by}, 106)
	for i, want := range []bool{true, false, true, true} {
		raw := []byte{byte(i)}
		if got := c.find(c.hash(raw), raw, "") != nil; got != want {
			t.Errorf("token %d is remembered: %v, want %v", i, got, want)
		}
	}
}

func TestCacheFromManyLoops(t *testing.T) {
	c := newCache(64)
	by := &credential{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 5000 {
				raw := []byte(fmt.Sprint(i % 200))
				h := c.hash(raw)
				if got := c.find(h, raw, "key"); got != nil {
					if string(got.raw) != string(raw) {
						t.Errorf("found %s, want %s", got.raw, raw)
						return
					}
					continue
				}
				c.put(h, &token{raw: raw, claim: "key", by: by}, 1)
			}
		})
	}
	wg.Wait()
}
