package jwtauth

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// consumerConfig is what the user writes on a consumer. exp is the life time of
// tokens that APISIX signed itself, long ago; it has no meaning here.
type consumerConfig struct {
	Key       string `json:"key"`
	Secret    string `json:"secret"`
	PublicKey string `json:"public_key"`
	Algorithm string `json:"algorithm"`
	Base64    bool   `json:"base64_secret"`
	Grace     int64  `json:"lifetime_grace_period"`
}

// credential is a parsed key and what it is good for. A token must be signed
// with this algorithm and no other, whatever its head says.
type credential struct {
	alg   string
	by    jwt.SigningMethod
	key   any   // nil: no token is good
	grace int64 // nanoseconds
	// slow says that verifying takes so long that the loop must not do it.
	slow bool
}

// maxGrace is the longest lifetime_grace_period that makes a difference, in
// seconds: thirty years.
const maxGrace = 1e9

// What APISIX says; clients of the Admin API compare the texts.
var (
	errSecret    = errors.New(`property "secret" is required when "algorithm" is "HS256" or "HS512"`)
	errBase64    = errors.New("base64_secret required but the secret is not in base64 format")
	errPublicKey = errors.New("missing valid public key")
)

func readCredential(raw json.RawMessage) (string, any, error) {
	c := consumerConfig{Algorithm: "HS256"}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", nil, err
	}
	out, err := newCredential(&c)
	if err != nil {
		return "", nil, err
	}
	return c.Key, out, nil
}

// checkConsumer holds what the schema cannot say. References stand for text
// that is not known here.
func checkConsumer(raw json.RawMessage) error {
	c := consumerConfig{Algorithm: "HS256"}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	if isReference(c.Secret) || isReference(c.PublicKey) {
		return nil
	}
	_, err := newCredential(&c)
	return err
}

func isReference(s string) bool {
	lower := strings.ToLower(s)
	return strings.HasPrefix(lower, "$env://") || strings.HasPrefix(lower, "$secret://")
}

func newCredential(c *consumerConfig) (*credential, error) {
	out := &credential{alg: c.Algorithm, by: jwt.GetSigningMethod(c.Algorithm), grace: min(c.Grace, maxGrace) * 1e9}
	var err error
	switch m := out.by.(type) {
	case *jwt.SigningMethodHMAC:
		out.key, err = hmacKey(c)
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		out.key, err = jwt.ParseRSAPublicKeyFromPEM([]byte(c.PublicKey))
	case *jwt.SigningMethodECDSA:
		out.slow = m.CurveBits > 256
		out.key, err = ecdsaKey(c.PublicKey, m.CurveBits)
	case *jwt.SigningMethodEd25519:
		out.key, err = jwt.ParseEdPublicKeyFromPEM([]byte(c.PublicKey))
	default:
		return nil, fmt.Errorf("algorithm %q is not supported", c.Algorithm)
	}
	if err == nil {
		return out, nil
	}
	if c.PublicKey == "" && c.Algorithm[:2] != "HS" {
		return nil, errPublicKey
	}
	if err == errSecret || err == errBase64 {
		return nil, err
	}
	return nil, fmt.Errorf("public_key for %s: %w", c.Algorithm, err)
}

func hmacKey(c *consumerConfig) (any, error) {
	if c.Secret == "" {
		if c.Algorithm == "HS384" {
			// APISIX makes up a secret that nobody knows: no token is good.
			return nil, nil
		}
		return nil, errSecret
	}
	if !c.Base64 {
		return []byte(c.Secret), nil
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(c.Secret, "="))
	if err != nil || len(key) == 0 {
		return nil, errBase64
	}
	return key, nil
}

// ecdsaKey reads a key on the curve that goes with the algorithm.
func ecdsaKey(pem string, bits int) (*ecdsa.PublicKey, error) {
	key, err := jwt.ParseECPublicKeyFromPEM([]byte(pem))
	if err != nil {
		return nil, err
	}
	if got := key.Curve.Params().BitSize; got != bits {
		return nil, fmt.Errorf("the key is on a curve of %d bits, the algorithm's has %d", got, bits)
	}
	return key, nil
}
