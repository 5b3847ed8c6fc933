package vars

import (
	"crypto/tls"
	"math/big"

	"github.com/sluicegw/sluice/core/req"
)

// TLSState is implemented by streams of TLS connections.
type TLSState interface {
	// TLSState is the state after the handshake; nil when there is none.
	TLSState() *tls.ConnectionState
}

func tlsValue(ctx *req.Ctx, v id, buf []byte) (Kind, []byte, []byte) {
	s, ok := ctx.Stream.(TLSState)
	if !ok {
		return Unset, nil, buf
	}
	cs := s.TLSState()
	if cs == nil {
		return Unset, nil, buf
	}
	switch v {
	case sslProtocol:
		return static(versionName(cs.Version), buf)
	case sslCipher:
		return static(cipherName(cs.CipherSuite), buf)
	case sslServerName:
		return name(cs.ServerName, buf)
	case sslSessionReused:
		if cs.DidResume {
			return static("r", buf)
		}
		return static(".", buf)
	case sslClientVerify:
		switch {
		case len(cs.PeerCertificates) == 0:
			return static("NONE", buf)
		case len(cs.VerifiedChains) == 0:
			return static("FAILED", buf)
		}
		return static("SUCCESS", buf)
	}
	if len(cs.PeerCertificates) == 0 {
		return Unset, nil, buf
	}
	cert := cs.PeerCertificates[0]
	switch v {
	case sslClientSDN:
		out := append(buf, cert.Subject.String()...)
		return String, out[len(buf):], out
	case sslClientIDN:
		out := append(buf, cert.Issuer.String()...)
		return String, out[len(buf):], out
	}
	out := appendSerial(buf, cert.SerialNumber)
	return String, out[len(buf):], out
}

func appendSerial(dst []byte, n *big.Int) []byte {
	const digits = "0123456789ABCDEF"
	for _, b := range n.Bytes() {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return "unknown"
}

// cipherName uses OpenSSL's names, which logs and dashboards know.
func cipherName(id uint16) string {
	switch id {
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		return "ECDHE-ECDSA-AES128-GCM-SHA256"
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
		return "ECDHE-RSA-AES128-GCM-SHA256"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return "ECDHE-ECDSA-AES256-GCM-SHA384"
	case tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return "ECDHE-RSA-AES256-GCM-SHA384"
	case tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return "ECDHE-ECDSA-CHACHA20-POLY1305"
	case tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return "ECDHE-RSA-CHACHA20-POLY1305"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:
		return "ECDHE-ECDSA-AES128-SHA"
	case tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:
		return "ECDHE-RSA-AES128-SHA"
	case tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		return "ECDHE-ECDSA-AES256-SHA"
	case tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:
		return "ECDHE-RSA-AES256-SHA"
	}
	return tls.CipherSuiteName(id)
}
