package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// pki writes a CA and certificates signed by it into a directory.
type pki struct {
	t   *testing.T
	dir string
	key *ecdsa.PrivateKey
	ca  *x509.Certificate
	n   int64
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{t: t, dir: t.TempDir()}
	p.key = p.newKey()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.write("ca.crt", "CERTIFICATE", der)
	return p
}

func (p *pki) newKey() *ecdsa.PrivateKey {
	p.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) write(name, kind string, der []byte) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// issue writes name.crt and name.key for 127.0.0.1 and the given DNS name.
func (p *pki) issue(name, dns string) {
	p.t.Helper()
	p.n++
	key := p.newKey()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(100 + p.n), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, DNSNames: []string{dns}}
	if dns == "" {
		tmpl.DNSNames, tmpl.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, p.ca, key.Public(), p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name+".crt", "CERTIFICATE", der)
	kder, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name+".key", "EC PRIVATE KEY", kder)
}

// secureServer is an etcd as an operator runs it, with TLS.
func secureServer(t *testing.T, p *pki, cert string, demandClientCert bool) string {
	t.Helper()
	return operatorsServer(t, "https", func(cfg *embed.Config) {
		cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = p.path(cert+".crt"), p.path(cert+".key")
		if demandClientCert {
			cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.ClientCertAuth = p.path("ca.crt"), true
		}
	})
}

// operatorsServer is an etcd with settings that the embedded one does not have.
func operatorsServer(t *testing.T, scheme string, set func(*embed.Config)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: scheme, Host: l.Addr().String()}
	_ = l.Close()
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "secure", t.TempDir()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{u}, []url.URL{u}
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.EnableGRPCGateway = false
	cfg.UnsafeNoFsync = true
	set(cfg)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	s, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	<-s.Server.ReadyNotify()
	return u.String()
}

func TestTLS(t *testing.T) {
	p := newPKI(t)
	p.issue("server", "")
	p.issue("named", "etcd.internal")
	p.issue("client", "client")
	other := newPKI(t)
	other.issue("client", "client")

	plain := secureServer(t, p, "server", false)
	named := secureServer(t, p, "named", false)
	mutual := secureServer(t, p, "server", true)
	unsecured := "http://" + sharedServer(t).Addr()

	f := func(name, host string, tls *store.EtcdTLS, want string) {
		t.Helper()
		e, err := store.NewEtcd(store.EtcdConfig{Hosts: []string{host}, TLS: tls, StartupRetry: -1, HealthCheckTimeout: 5 * time.Second, Log: quiet()})
		if err == nil {
			err = e.Connect(t.Context())
			_ = e.Close()
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v\nwant %q in it", name, err, want)
		}
	}
	ca := p.path("ca.crt")
	f("verified", plain, &store.EtcdTLS{CAFile: ca}, "")
	f("unknown CA", plain, &store.EtcdTLS{CAFile: other.path("ca.crt")}, "check the CA certificates")
	f("system CAs", plain, nil, "check the CA certificates")
	f("not verified", plain, &store.EtcdTLS{SkipVerify: true}, "")
	f("certificate for a name, asked by address", named, &store.EtcdTLS{CAFile: ca}, "x509:")
	f("certificate for a name, sni", named, &store.EtcdTLS{CAFile: ca, ServerName: "etcd.internal"}, "")
	f("client certificate", mutual, &store.EtcdTLS{CAFile: ca, CertFile: p.path("client.crt"), KeyFile: p.path("client.key")}, "")
	f("no client certificate", mutual, &store.EtcdTLS{CAFile: ca}, mutual)
	f("wrong client certificate", mutual, &store.EtcdTLS{CAFile: ca, CertFile: other.path("client.crt"), KeyFile: other.path("client.key")}, mutual)
	f("https to a plain server", strings.Replace(unsecured, "http:", "https:", 1), &store.EtcdTLS{CAFile: ca}, "use http://")
	f("http to a TLS server", strings.Replace(plain, "https:", "http:", 1), nil, "is http:// or https:// right?")

	f("no CA file", plain, &store.EtcdTLS{CAFile: p.path("none")}, "cannot read the CA")
	f("CA file without certificate", plain, &store.EtcdTLS{CAFile: p.path("client.key")}, "no certificate in PEM form")
	f("certificate without key", plain, &store.EtcdTLS{CAFile: ca, CertFile: p.path("client.crt")}, "belong together")
	f("certificate and other key", plain, &store.EtcdTLS{CAFile: ca, CertFile: p.path("client.crt"), KeyFile: p.path("server.key")}, "client.crt")
	f("certificate for http", unsecured, &store.EtcdTLS{CertFile: p.path("client.crt"), KeyFile: p.path("client.key")}, "is not an https:// URL")
}

func TestSettingsThatAreRefused(t *testing.T) {
	f := func(want string, cfg store.EtcdConfig) {
		t.Helper()
		e, err := store.NewEtcd(cfg)
		if err == nil {
			_ = e.Close()
			t.Errorf("accepted: %+v", cfg.Hosts)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("names no endpoint", store.EtcdConfig{})
	f("is not an http:// or https:// URL", store.EtcdConfig{Hosts: []string{"ftp://x"}})
	f("is not an http:// or https:// URL", store.EtcdConfig{Hosts: []string{"http://"}})
	f("mixes http and https", store.EtcdConfig{Hosts: []string{"http://a:1", "https://b:1"}})
	f("belong together", store.EtcdConfig{Hosts: []string{"a:1"}, User: "u"})
}

func TestLogin(t *testing.T) {
	// The cheapest hash: the test is about logging in, not about its price.
	host := operatorsServer(t, "http", func(cfg *embed.Config) { cfg.BcryptCost = uint(bcrypt.MinCost) })
	c := direct(t, host)
	putDirect(t, c, "/apisix/routes/1", `{}`)
	ctx := t.Context()
	admin := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admin(c.UserAdd(ctx, "root", "secret"))
	admin(c.UserGrantRole(ctx, "root", "root"))
	admin(c.RoleAdd(ctx, "gw"))
	admin(c.RoleGrantPermission(ctx, "gw", "/apisix/", clientv3.GetPrefixRangeEnd("/apisix/"), clientv3.PermissionType(clientv3.PermReadWrite)))
	admin(c.UserAdd(ctx, "gw", "gwpass"))
	admin(c.UserGrantRole(ctx, "gw", "gw"))
	admin(c.UserAdd(ctx, "nobody", "pass"))
	admin(c.AuthEnable(ctx))

	f := func(name, user, password, want string) {
		t.Helper()
		var log logBuffer
		e := newEtcd(t, store.EtcdConfig{Hosts: []string{host}, User: user, Password: password, StartupRetry: -1, Log: log.logger()})
		err := e.Connect(ctx)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log does not say it: %s", name, log.String())
		}
	}
	f("right", "gw", "gwpass", "")
	f("wrong password", "gw", "x", "check deployment.etcd.user and password")
	f("no login", "", "", "set deployment.etcd.user and password")
	f("no permission", "nobody", "pass", "read and write permission on the prefix")

	e := newEtcd(t, store.EtcdConfig{Hosts: []string{host}, User: "gw", Password: "gwpass"})
	b := follow(t, e)
	if full := b.next(); len(full.Objects) != 1 {
		t.Fatalf("%+v", full)
	}
	if _, err := e.Put(ctx, conf.KindRoute, "2", []byte(`{}`), store.PutOptions{TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	b.until("the change", func() bool { return len(b.state) == 2 })

	wrong := newEtcd(t, store.EtcdConfig{Hosts: []string{host}, User: "gw", Password: "x"})
	_, err := wrong.Get(ctx, conf.KindRoute, "1")
	var u *store.UnavailableError
	if !errors.As(err, &u) || !strings.Contains(u.Hint, "user and password") || !strings.Contains(err.Error(), "get route 1") {
		t.Fatalf("%v", err)
	}
}

func TestUnreachableStoreAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var log logBuffer
	e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + addr}, StartupRetry: 2, ResyncDelay: 10 * time.Millisecond, Log: log.logger(), Timeout: 5 * time.Second})
	began := time.Now()
	err = e.Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "check deployment.etcd.host") {
		t.Fatalf("%v", err)
	}
	if n := strings.Count(log.String(), "etcd is not reachable"); n != 3 {
		t.Fatalf("%d lines for three tries:\n%s", n, log.String())
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Fatalf("a refused connection took %v to report", d)
	}
	st := e.Status()
	if st.Reachable || !strings.Contains(st.LastError, "connection refused") || st.Endpoints[0].Reachable {
		t.Fatalf("%+v", st)
	}

	// It comes up later: Run finds it.
	b := follow(t, e)
	eventually(t, "Run's word that it retries", func() bool { return strings.Contains(log.String(), "retrying") })
	ownServer(t, t.TempDir(), addr)
	b.next()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Connect(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}
