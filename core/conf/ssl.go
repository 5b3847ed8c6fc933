package conf

// SSL is a certificate with the names it serves, or (type client) one that we
// present to upstreams.
type SSL struct {
	Meta

	Type      string     `json:"type,omitempty"` // server (default) or client
	SNI       string     `json:"sni,omitempty"`
	SNIs      []string   `json:"snis,omitempty"`
	Cert      string     `json:"cert,omitempty"`  // PEM
	Key       string     `json:"key,omitempty"`   // PEM, encrypted text or a reference
	Certs     []string   `json:"certs,omitempty"` // further pairs, beside Keys
	Keys      []string   `json:"keys,omitempty"`
	Client    *SSLClient `json:"client,omitempty"`
	Protocols []string   `json:"ssl_protocols,omitempty"`
	Status    *int       `json:"status,omitempty"`
}

// SSLClient asks clients for a certificate.
type SSLClient struct {
	CA    string `json:"ca"`
	Depth int    `json:"depth"`
	// SkipMTLSURIRegex exempts request paths.
	SkipMTLSURIRegex []string `json:"skip_mtls_uri_regex,omitempty"`
}

// Names returns sni or snis.
func (s *SSL) Names() []string { return oneOrMany(s.SNI, s.SNIs) }

// Enabled tells whether the certificate is in use.
func (s *SSL) Enabled() bool { return s.Status == nil || *s.Status != 0 }
