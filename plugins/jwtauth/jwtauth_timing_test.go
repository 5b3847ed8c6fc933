//go:build !race

package jwtauth_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicegw/sluice/test/gateway"
)

func measured(t testing.TB, alg string) (*gateway.Gateway, string) {
	g := gateway.Start(t, gateway.Options{})
	private, c := keyPair(t, alg)
	if err := putConsumer(g, "jack", c); err != nil {
		t.Fatal(err)
	}
	g.Route("127.0.0.1:1", `{"jwt-auth":{}}`)
	token := sign(t, alg, private, jwt.MapClaims{
		"key": "k-" + alg, "sub": "1234567890", "name": "Jack Somebody", "iss": "https://issuer.example.com/realms/one",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	})
	return g, "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

func TestRememberedTokenDoesNotAllocate(t *testing.T) {
	g, head := measured(t, "RS256")
	if n := g.Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkJWTAuth(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256"} {
		g, head := measured(b, alg)
		b.Run(alg+" remembered", func(b *testing.B) { g.Measure(b, head) })
	}
}
