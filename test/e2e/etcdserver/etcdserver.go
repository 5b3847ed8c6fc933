// Package etcdserver runs real etcd servers inside a test process, the
// external store of the gateway under test.
package etcdserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Server is one etcd member.
type Server struct {
	// Endpoint is the client URL.
	Endpoint string
	// CA is the path of the certificate authority's PEM file, empty without
	// TLS.
	CA string

	t            testing.TB
	dir          string
	client, peer url.URL
	cert, key    string
	tls          *tls.Config
	user, pass   string
	etcd         *embed.Etcd
}

// Start runs an etcd on two given ports; withTLS gives it a certificate for
// 127.0.0.1.
func Start(t testing.TB, clientPort, peerPort string, withTLS bool) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	s.client = url.URL{Scheme: "http", Host: "127.0.0.1:" + clientPort}
	s.peer = url.URL{Scheme: "http", Host: "127.0.0.1:" + peerPort}
	if withTLS {
		s.client.Scheme = "https"
		s.certificates()
	}
	s.Endpoint = s.client.String()
	s.Run()
	t.Cleanup(s.Stop)
	return s
}

// Run starts the server, which must not be running, on its data.
func (s *Server) Run() {
	s.t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(s.dir, "data")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{s.client}, []url.URL{s.client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{s.peer}, []url.URL{s.peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.UnsafeNoFsync = true // the test's machine is not what is under test
	if s.cert != "" {
		cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = s.cert, s.key
	}
	var err error
	if s.etcd, err = embed.StartEtcd(cfg); err != nil {
		s.t.Fatalf("starting etcd: %v", err)
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
	case <-time.After(20 * time.Second):
		s.t.Fatal("etcd was not ready within 20 s")
	}
}

// Stop ends the server; its data stays for the next Run.
func (s *Server) Stop() {
	if s.etcd != nil {
		s.etcd.Close()
		s.etcd = nil
	}
}

// Wipe restarts the server without its data, as another cluster.
func (s *Server) Wipe() {
	s.t.Helper()
	s.Stop()
	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		s.t.Fatal(err)
	}
	s.Run()
}

// EnableAuth creates root with a password and switches authentication on.
func (s *Server) EnableAuth(password string) {
	s.t.Helper()
	c := s.Client()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must := func(what string, err error) {
		if err != nil {
			s.t.Fatalf("etcd: %s: %v", what, err)
		}
	}
	_, err := c.RoleAdd(ctx, "root")
	must("role root", err)
	_, err = c.UserAdd(ctx, "root", password)
	must("user root", err)
	_, err = c.UserGrantRole(ctx, "root", "root")
	must("grant", err)
	_, err = c.AuthEnable(ctx)
	must("enabling authentication", err)
	s.user, s.pass = "root", password
}

// Client returns a client of the server, closed when the test ends.
func (s *Server) Client() *clientv3.Client {
	s.t.Helper()
	return Client(s.t, s.Endpoint, s.tls, s.user, s.pass)
}

// Client returns a client of any etcd, closed when the test ends.
func Client(t testing.TB, endpoint string, conf *tls.Config, user, password string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, TLS: conf,
		Username: user, Password: password, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatalf("etcd client of %s: %v", endpoint, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Put writes a value and returns the revision it got.
func Put(t testing.TB, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := c.Put(ctx, key, value)
	if err != nil {
		t.Fatalf("etcd put %s: %v", key, err)
	}
	return resp.Header.Revision
}

// Delete removes a key.
func Delete(t testing.TB, c *clientv3.Client, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := c.Delete(ctx, key); err != nil {
		t.Fatalf("etcd delete %s: %v", key, err)
	}
}

// certificates makes an authority and a server certificate signed by it.
func (s *Server) certificates() {
	s.t.Helper()
	must := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "etcd"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(s.dir, name)
		must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	s.CA = write("ca.pem", "CERTIFICATE", caDER)
	s.cert = write("etcd.pem", "CERTIFICATE", leafDER)
	s.key = write("etcd.key", "PRIVATE KEY", keyDER)
	pool := x509.NewCertPool()
	caCert, err := x509.ParseCertificate(caDER)
	must(err)
	pool.AddCert(caCert)
	s.tls = &tls.Config{RootCAs: pool}
}
