package build

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/pool"
)

// sessions is how many TLS sessions are remembered per upstream, so that new
// connections to its nodes resume them.
const sessions = 256

// setTLS compiles how connections to the nodes are secured, and completes the
// key that idle ones must agree with.
func (b *Builder) setTLS(u *req.Upstream, c *conf.Upstream, key *pool.Key) error {
	base := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // as APISIX: verify is off unless asked for
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
		NextProtos:         []string{"http/1.1"},
	}
	if t := c.TLS; t != nil {
		base.InsecureSkipVerify = !t.Verify
		key.Verify = t.Verify
		cert, pkey := t.ClientCert, t.ClientKey
		if t.ClientCertID != "" {
			ssl := b.ssls[string(t.ClientCertID)]
			if ssl == nil {
				return fmt.Errorf("tls.client_cert_id: ssl %q does not exist", t.ClientCertID)
			}
			cert, pkey = ssl.Cert, ssl.Key
		}
		if cert != "" {
			pair, err := tls.X509KeyPair([]byte(cert), []byte(pkey))
			if err != nil {
				return fmt.Errorf("tls: client certificate: %w", err)
			}
			base.Certificates = []tls.Certificate{pair}
			sum := sha256.Sum256(pair.Certificate[0])
			key.Certificate = hex.EncodeToString(sum[:])
		}
	}
	u.TLS = &req.UpstreamTLS{Base: base, Key: *key, Keys: b.pools}
	if u.PassHost == req.PassClientHost {
		return nil
	}
	u.TLS.ByNode = make([]*tls.Config, len(u.Nodes))
	for i, n := range u.Nodes {
		cfg := base.Clone()
		cfg.ServerName = n.Host
		if u.PassHost == req.PassRewrite {
			cfg.ServerName = string(u.Host)
			if h, _, err := net.SplitHostPort(cfg.ServerName); err == nil {
				cfg.ServerName = h
			}
		}
		u.TLS.ByNode[i] = cfg
	}
	return nil
}

// setSSL keeps certificates that upstreams refer to.
func (b *Builder) setSSL(id string, c *conf.SSL) error {
	b.ssls[id] = c
	b.recompileClients(id)
	return nil
}

func (b *Builder) removeSSL(id string) {
	delete(b.ssls, id)
	b.recompileClients(id)
}

// recompileClients makes the upstreams anew that present certificate id. One
// that fails keeps the certificate it had.
func (b *Builder) recompileClients(id string) {
	b.eachUpstream(func(up *upstream) {
		if t := up.conf.TLS; t == nil || string(t.ClientCertID) != id {
			return
		}
		if err := b.compileUpstream(up); err != nil {
			b.opt.Log.Error("upstream keeps its old client certificate", "upstream", up.id, "ssl", id, "error", err)
		}
	})
}
