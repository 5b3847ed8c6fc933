package conf

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/sluicegw/sluice/core/conf/schema"
)

func (c *check) ssl(m map[string]any) error {
	str := func(field string) string { s, _ := m[field].(string); return s }
	if err := checkPair(str("cert"), str("key")); err != nil {
		return err
	}
	if str("type") == "client" {
		return nil
	}
	certs, _ := m["certs"].([]any)
	keys, _ := m["keys"].([]any)
	if len(certs) != len(keys) {
		return refuse("mismatched number of certs and keys")
	}
	for i := range certs {
		cert, _ := certs[i].(string)
		key, _ := keys[i].(string)
		if err := checkPair(cert, key); err != nil {
			return refuse("failed to handle cert-key pair[%d]: %s", i+1, err)
		}
	}
	if client, ok := m["client"].(map[string]any); ok {
		ca, _ := client["ca"].(string)
		if !isReference(ca) && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
			return refuse("failed to validate client_cert: failed to parse cert: no certificate found in client.ca")
		}
		patterns, _ := client["skip_mtls_uri_regex"].([]any)
		for _, p := range patterns {
			text, _ := p.(string)
			if _, err := schema.Pattern(text); err != nil {
				return refuse("invalid regular expression in client.skip_mtls_uri_regex: %s", err)
			}
		}
	}
	seen := map[string]bool{}
	names, _ := m["snis"].([]any)
	for _, n := range names {
		name, _ := n.(string)
		name = strings.ToLower(name)
		if seen[name] {
			c.warn("snis names %q more than once", name)
		}
		seen[name] = true
	}
	return nil
}

// checkPair refuses a certificate and private key that do not parse or do not
// belong together. References are fetched later and pass.
func checkPair(cert, key string) error {
	if isReference(cert) {
		return nil
	}
	block, _ := pem.Decode([]byte(cert))
	if block == nil {
		return refuse("failed to parse cert: no PEM block found")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return refuse("failed to parse cert: %s", err)
	}
	if isReference(key) {
		return nil
	}
	if block, _ := pem.Decode([]byte(key)); block == nil {
		return refuse("failed to parse key: no PEM block found (the text is neither a private key nor one that " +
			"a key of data_encryption.keyring opens)")
	}
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		return refuse("failed to parse key: %s", err)
	}
	return nil
}

func isReference(s string) bool {
	return len(s) > 7 && strings.EqualFold(s[:7], "$env://") ||
		len(s) > 10 && strings.EqualFold(s[:10], "$secret://")
}
