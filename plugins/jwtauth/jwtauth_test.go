package jwtauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/jwtauth"
)

const (
	missing   = `{"message":"Missing JWT token in request"}` + "\n"
	malformed = `{"message":"JWT token invalid"}` + "\n"
	noKey     = `{"message":"missing user key in JWT token"}` + "\n"
	unknown   = `{"message":"Invalid user key in JWT token"}` + "\n"
	unproven  = `{"message":"failed to verify jwt"}` + "\n"
)

// sign makes a token. The algorithm in the head is that of the method.
func sign(t testing.TB, alg string, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func publicPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// keyPair makes a key for an algorithm: what signs, and what a consumer holds.
func keyPair(t testing.TB, alg string) (private any, consumer map[string]any) {
	t.Helper()
	consumer = map[string]any{"key": "k-" + alg, "algorithm": alg}
	switch alg[:2] {
	case "HS":
		consumer["secret"] = "a shared secret"
		return []byte("a shared secret"), consumer
	case "RS", "PS":
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		consumer["public_key"] = publicPEM(t, k.Public())
		return k, consumer
	case "ES":
		curve := map[string]elliptic.Curve{"256": elliptic.P256(), "384": elliptic.P384(), "512": elliptic.P521()}[alg[2:]]
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		consumer["public_key"] = publicPEM(t, k.Public())
		return k, consumer
	}
	public, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	consumer["public_key"] = publicPEM(t, public)
	return k, consumer
}

func putConsumer(g *gateway.Gateway, name string, c map[string]any) error {
	text, _ := json.Marshal(c)
	return g.TryPut(conf.KindConsumer, name, fmt.Sprintf(`{"username":%q,"plugins":{"jwt-auth":%s}}`, name, text))
}

// jack's key is "jack", his secret "jacks-secret".
func start(t testing.TB, plugin string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"jwt-auth":{"key":"jack","secret":"jacks-secret"}}}`)
	g.Put(conf.KindConsumer, "nobody", `{"username":"nobody"}`)
	g.Route(gateway.Upstream(t), `{"jwt-auth":`+plugin+`}`)
	return g
}

var secret = []byte("jacks-secret")

// try sends a token; it returns who the upstream was told calls, or the body of
// the refusal.
func try(t *testing.T, g *gateway.Gateway, token string) (int, string) {
	t.Helper()
	resp, body := g.Get("/", "Authorization: Bearer "+token)
	if resp.StatusCode == 200 {
		return 200, gateway.Saw(t, body).Header.Get("X-Consumer-Username")
	}
	if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="jwt"` {
		t.Errorf("challenge %q", got)
	}
	return resp.StatusCode, body
}

// Every token is sent twice: the second time it may be remembered.
func expect(t *testing.T, g *gateway.Gateway, name, token string, status int, want string) {
	t.Helper()
	for _, turn := range []string{"first", "second"} {
		if got, body := try(t, g, token); got != status || body != want {
			t.Errorf("%s, %s time: %d %q, want %d %q", name, turn, got, body, status, want)
		}
	}
}

var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

func TestAlgorithms(t *testing.T) {
	g := start(t, `{}`)
	private := map[string]any{}
	for _, alg := range algorithms {
		var c map[string]any
		private[alg], c = keyPair(t, alg)
		if err := putConsumer(g, "c-"+alg, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, alg := range algorithms {
		claims := jwt.MapClaims{"key": "k-" + alg, "exp": in(time.Hour), "nbf": in(-time.Hour)}
		good := sign(t, alg, private[alg], claims)
		expect(t, g, alg, good, 200, "c-"+alg)

		head, body, signature := split(good)
		expect(t, g, alg+" with another payload", head+"."+encode(`{"key":"k-`+alg+`","admin":true}`)+"."+signature, 401, unproven)
		expect(t, g, alg+" with another head", encode(`{"alg":"`+alg+`","x":1}`)+"."+body+"."+signature, 401, unproven)
		expect(t, g, alg+" with a broken signature", head+"."+body+"."+flip(signature), 401, unproven)
		expect(t, g, alg+" without signature", head+"."+body+".", 401, unproven)
		expect(t, g, alg+" as none", encode(`{"alg":"none"}`)+"."+body+".", 401, unproven)
		expect(t, g, alg+" as None", encode(`{"alg":"None","typ":"JWT"}`)+"."+body+"."+signature, 401, unproven)

		claims["exp"] = in(-time.Minute)
		expect(t, g, alg+" expired", sign(t, alg, private[alg], claims), 401, unproven)
		claims["exp"], claims["nbf"] = in(time.Hour), in(time.Minute)
		expect(t, g, alg+" not yet valid", sign(t, alg, private[alg], claims), 401, unproven)
		delete(claims, "nbf")
		for _, other := range algorithms {
			if other == alg {
				continue
			}
			if other[2:] == alg[2:] && strings.ContainsAny(other[:1], "RP") && strings.ContainsAny(alg[:1], "RP") {
				// The same key in the other signature scheme.
				expect(t, g, other+" for "+alg, sign(t, other, private[alg], claims), 401, unproven)
			}
			expect(t, g, other+" key for "+alg, sign(t, other, private[other], claims), 401, unproven)
		}
	}
}

// The public key is public: it must not be taken for the secret of an HMAC.
func TestAlgorithmConfusion(t *testing.T) {
	g := start(t, `{}`)
	for _, alg := range []string{"RS256", "ES256", "PS256", "EdDSA"} {
		_, c := keyPair(t, alg)
		if err := putConsumer(g, "c-"+alg, c); err != nil {
			t.Fatal(err)
		}
		public := c["public_key"].(string)
		block, _ := pem.Decode([]byte(public))
		for _, key := range [][]byte{[]byte(public), []byte(strings.TrimSpace(public)), block.Bytes} {
			for _, hs := range []string{"HS256", "HS384", "HS512"} {
				expect(t, g, hs+" with the public key of "+alg, sign(t, hs, key, jwt.MapClaims{"key": "k-" + alg}), 401, unproven)
			}
		}
	}
}

func split(token string) (head, body, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// flip changes one bit of a signature.
func flip(s string) string {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	b[len(b)/2] ^= 4
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestForms(t *testing.T) {
	g := start(t, `{}`)
	good := sign(t, "HS256", secret, jwt.MapClaims{"key": "jack"})
	head, body, signature := split(good)
	expect(t, g, "without times", good, 200, "jack")
	expect(t, g, "empty", "", 401, malformed)
	expect(t, g, "one part", "abc", 401, malformed)
	expect(t, g, "two parts", head+"."+body, 401, malformed)
	expect(t, g, "four parts", good+".x", 401, malformed)
	expect(t, g, "five parts", good+".x.y", 401, malformed)
	expect(t, g, "head is no base64", "!."+body+"."+signature, 401, malformed)
	expect(t, g, "head is no JSON", encode("{")+"."+body+"."+signature, 401, malformed)
	expect(t, g, "head without alg", encode(`{"typ":"JWT"}`)+"."+body+"."+signature, 401, malformed)
	expect(t, g, "payload is no JSON", head+"."+encode(`{`)+"."+signature, 401, malformed)
	expect(t, g, "payload is null", head+"."+encode(`null`)+"."+signature, 401, malformed)
	expect(t, g, "payload is a list", head+"."+encode(`[]`)+"."+signature, 401, malformed)
	expect(t, g, "signature is no base64", head+"."+body+".!", 401, malformed)
	expect(t, g, "padded", good+"=", 401, malformed)
	expect(t, g, "critical extension", signWith(t, map[string]any{"crit": []string{"x"}, "x": 1}, jwt.MapClaims{"key": "jack"}), 401, malformed)
	expect(t, g, "other head fields", signWith(t, map[string]any{"kid": "1", "typ": "at+jwt"}, jwt.MapClaims{"key": "jack"}), 200, "jack")
	expect(t, g, "no key", sign(t, "HS256", secret, jwt.MapClaims{}), 401, noKey)
	expect(t, g, "false key", sign(t, "HS256", secret, jwt.MapClaims{"key": false}), 401, noKey)
	expect(t, g, "number as key", sign(t, "HS256", secret, jwt.MapClaims{"key": 5}), 401, unknown)
	expect(t, g, "null key", sign(t, "HS256", secret, jwt.MapClaims{"key": nil}), 401, unknown)
	expect(t, g, "unknown key", sign(t, "HS256", secret, jwt.MapClaims{"key": "joe"}), 401, unknown)
	expect(t, g, "wrong secret", sign(t, "HS256", []byte("guess"), jwt.MapClaims{"key": "jack"}), 401, unproven)
	if resp, body := g.Get("/"); resp.StatusCode != 401 || body != missing || resp.Header.Get("WWW-Authenticate") != `Bearer realm="jwt"` {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func signWith(t testing.TB, head map[string]any, claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	for k, v := range head {
		token.Header[k] = v
	}
	s, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTimes(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	node := gateway.Upstream(t)
	f := func(plugin string, grace int, claims jwt.MapClaims, good bool) {
		t.Helper()
		g.Route(node, `{"jwt-auth":`+plugin+`}`)
		g.Put(conf.KindConsumer, "jack", fmt.Sprintf(`{"username":"jack","plugins":{"jwt-auth":{"key":"jack","secret":"jacks-secret","lifetime_grace_period":%d}}}`, grace))
		claims["key"] = "jack"
		status, want := 401, unproven
		if good {
			status, want = 200, "jack"
		}
		expect(t, g, fmt.Sprint(plugin, grace, claims), sign(t, "HS256", secret, claims), status, want)
	}
	f(`{}`, 0, jwt.MapClaims{"exp": in(time.Hour)}, true)
	f(`{}`, 0, jwt.MapClaims{"exp": in(-10 * time.Second)}, false)
	f(`{}`, 60, jwt.MapClaims{"exp": in(-10 * time.Second)}, true)
	f(`{}`, 5, jwt.MapClaims{"exp": in(-10 * time.Second)}, false)
	f(`{}`, 0, jwt.MapClaims{"nbf": in(-10 * time.Second)}, true)
	f(`{}`, 0, jwt.MapClaims{"nbf": in(30 * time.Second)}, false)
	f(`{}`, 60, jwt.MapClaims{"nbf": in(30 * time.Second)}, true)
	f(`{"claims_to_verify":["nbf"]}`, 0, jwt.MapClaims{"exp": in(-time.Hour)}, true)
	f(`{"claims_to_verify":["exp"]}`, 0, jwt.MapClaims{"nbf": in(time.Hour)}, true)
	f(`{"claims_to_verify":["exp"]}`, 0, jwt.MapClaims{"exp": in(-time.Hour)}, false)
	f(`{"claims_to_verify":[]}`, 0, jwt.MapClaims{"exp": in(-time.Hour), "nbf": in(time.Hour)}, true)
	f(`{}`, 0, jwt.MapClaims{"exp": "tomorrow"}, false)
	f(`{}`, 0, jwt.MapClaims{"exp": nil}, false)
	f(`{}`, 0, jwt.MapClaims{"exp": 0}, false)
	f(`{}`, 0, jwt.MapClaims{"exp": -5}, false)
	f(`{}`, 0, jwt.MapClaims{"exp": 1e300}, true)
	f(`{}`, 0, jwt.MapClaims{"nbf": 1e300}, false)
	f(`{}`, 0, jwt.MapClaims{"exp": float64(in(time.Hour)) + 0.5}, true)
}

// A remembered token must not outlive what made it good.
func TestRememberedTokens(t *testing.T) {
	g := start(t, `{}`)
	token := sign(t, "HS256", secret, jwt.MapClaims{"key": "jack"})
	expect(t, g, "at first", token, 200, "jack")
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"jwt-auth":{"key":"jack","secret":"another"}}}`)
	expect(t, g, "after the secret changed", token, 401, unproven)
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"jwt-auth":{"key":"jack","secret":"jacks-secret"}}}`)
	expect(t, g, "with the secret again", token, 200, "jack")
	g.Delete(conf.KindConsumer, "jack")
	expect(t, g, "after the consumer is gone", token, 401, unknown)
	g.Put(conf.KindConsumer, "joe", `{"username":"joe","plugins":{"jwt-auth":{"key":"jack","secret":"jacks-secret"}}}`)
	expect(t, g, "when another holds the key", token, 200, "joe")
	g.Put(conf.KindRoute, "2", `{"uri":"/","plugins":{"jwt-auth":{"key_claim_name":"iss"}}}`)
	expect(t, g, "on a route that goes by another claim", token, 401, noKey)
}

func TestWhereTokensAre(t *testing.T) {
	good := sign(t, "HS256", secret, jwt.MapClaims{"key": "jack"})
	f := func(plugin, path string, status int, uri string, hidden []string, headers ...string) {
		t.Helper()
		g := start(t, plugin)
		resp, body := g.Get(path, headers...)
		if resp.StatusCode != status {
			t.Errorf("%s %s %q: %d %s", plugin, path, headers, resp.StatusCode, body)
			return
		}
		if status != 200 {
			return
		}
		seen := gateway.Saw(t, body)
		if seen.URI != uri {
			t.Errorf("%s: the upstream saw %s, want %s", plugin, seen.URI, uri)
		}
		for _, h := range hidden {
			name, want, _ := strings.Cut(h, ":")
			if got := strings.Join(seen.Header[http.CanonicalHeaderKey(name)], ","); got != want {
				t.Errorf("%s: the upstream saw %s %q, want %q", plugin, name, got, want)
			}
		}
	}
	const hide = `{"hide_credentials":true}`
	f(`{}`, "/a", 200, "/a", []string{"Authorization:" + good}, "Authorization: "+good)
	f(`{}`, "/a", 200, "/a", nil, "Authorization: bearer "+good)
	f(`{}`, "/a", 200, "/a", nil, "Authorization: BEARER "+good)
	f(`{}`, "/a", 401, "", nil, "Authorization: Token "+good)
	f(`{}`, "/a?jwt="+good, 200, "/a?jwt="+good, nil)
	f(`{}`, "/a", 200, "/a", nil, "Cookie: a=b; jwt="+good+"; c=d")
	f(`{}`, "/a?jwt="+good, 401, "", nil, "Authorization: wrong")
	f(`{}`, "/a?jwt=wrong", 401, "", nil, "Cookie: jwt="+good)
	f(hide, "/a", 200, "/a", []string{"Authorization:"}, "Authorization: Bearer "+good)
	f(hide, "/a?b=c&jwt="+good+"&d=e", 200, "/a?b=c&d=e", nil)
	f(hide, "/a", 200, "/a", []string{"Cookie:a=b; c=d"}, "Cookie: a=b; jwt="+good+"; c=d")
	f(hide, "/a", 200, "/a", []string{"Cookie:"}, "Cookie: jwt="+good)
	f(`{"header":"X-Token","query":"t","cookie":"sess"}`, "/a", 200, "/a", nil, "X-Token: "+good)
	f(`{"header":"X-Token","query":"t","cookie":"sess"}`, "/a?t="+good, 200, "/a?t="+good, nil, "Authorization: x")
	f(`{"header":"X-Token","query":"t","cookie":"sess"}`, "/a", 200, "/a", nil, "Cookie: sess="+good)
	f(`{"header":"X-Token"}`, "/a", 401, "", nil, "Authorization: "+good)
}

func TestOtherSettings(t *testing.T) {
	g := start(t, `{"key_claim_name":"iss","realm":"mine"}`)
	token := sign(t, "HS256", secret, jwt.MapClaims{"iss": "jack", "key": "joe"})
	if resp, body := g.Get("/", "Authorization: "+token); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := g.Get("/"); resp.Header.Get("WWW-Authenticate") != `Bearer realm="mine"` {
		t.Errorf("challenge %v", resp.Header)
	}
	g.Put(conf.KindConsumer, "b64", `{"username":"b64","plugins":{"jwt-auth":{"key":"b","secret":"`+
		base64.StdEncoding.EncodeToString([]byte{0, 1, 2, 255})+`","base64_secret":true}}}`)
	token = sign(t, "HS256", []byte{0, 1, 2, 255}, jwt.MapClaims{"iss": "b"})
	if resp, body := g.Get("/", "Authorization: "+token); resp.StatusCode != 200 {
		t.Errorf("base64_secret: %d %s", resp.StatusCode, body)
	}
}

func TestAnonymousConsumer(t *testing.T) {
	g := start(t, `{"anonymous_consumer":"nobody","hide_credentials":true}`)
	for _, headers := range [][]string{nil, {"Authorization: Bearer wrong"}, {"Authorization: Basic x"}} {
		resp, body := g.Get("/", headers...)
		if resp.StatusCode != 200 {
			t.Fatalf("%v: %d %s", headers, resp.StatusCode, body)
		}
		if h := gateway.Saw(t, body).Header; h.Get("X-Consumer-Username") != "nobody" || h["Authorization"] != nil {
			t.Errorf("%v: the upstream saw %v", headers, h)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(c map[string]any, want string) {
		t.Helper()
		if err := putConsumer(g, "a", c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", c, err, want)
		}
	}
	_, ec := keyPair(t, "ES256")
	_, rs := keyPair(t, "RS256")
	f(map[string]any{"secret": "s"}, `property "key" is required`)
	f(map[string]any{"key": "k"}, `property "secret" is required when "algorithm" is "HS256" or "HS512"`)
	f(map[string]any{"key": "k", "algorithm": "HS512"}, `property "secret" is required`)
	f(map[string]any{"key": "k", "algorithm": "none", "secret": "s"}, "algorithm")
	f(map[string]any{"key": "k", "secret": "!", "base64_secret": true}, "base64_secret required but the secret is not in base64 format")
	f(map[string]any{"key": "k", "algorithm": "RS256"}, `dependent schema for "algorithm"`)
	f(map[string]any{"key": "k", "algorithm": "RS256", "public_key": "no key"}, "public_key for RS256")
	f(map[string]any{"key": "k", "algorithm": "RS256", "public_key": ec["public_key"]}, "public_key for RS256")
	f(map[string]any{"key": "k", "algorithm": "ES256", "public_key": rs["public_key"]}, "public_key for ES256")
	f(map[string]any{"key": "k", "algorithm": "ES384", "public_key": ec["public_key"]}, "curve of 256 bits")
	f(map[string]any{"key": "k", "algorithm": "EdDSA", "public_key": rs["public_key"]}, "public_key for EdDSA")
	f(map[string]any{"key": "k", "secret": "s", "lifetime_grace_period": -1}, "lifetime_grace_period")
	if g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"jwt-auth":{"claims_to_verify":["iss"]}}}`) == nil {
		t.Error("an unknown claim was accepted")
	}
	if err := putConsumer(g, "a", map[string]any{"key": "k", "algorithm": "RS256", "public_key": "$env://KEY"}); err != nil {
		t.Errorf("a reference was refused: %v", err)
	}
	// HS384 without a secret is accepted, as it is in APISIX, and lets nobody in.
	if err := putConsumer(g, "b", map[string]any{"key": "b", "algorithm": "HS384"}); err != nil {
		t.Error(err)
	}
	g.Route(gateway.Upstream(t), `{"jwt-auth":{}}`)
	expect(t, g, "empty secret", sign(t, "HS384", []byte{}, jwt.MapClaims{"key": "b"}), 401, unproven)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/jwt-auth.md") }
