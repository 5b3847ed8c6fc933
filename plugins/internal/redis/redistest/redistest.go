// Package redistest starts real Redis servers for tests.
package redistest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a running redis-server.
type Server struct {
	Port int
	// CA is the certificate of a server with TLS.
	CA  []byte
	t   testing.TB
	cmd *exec.Cmd
	log *safeBuffer
	tls *tls.Config
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// patience is how long a server may take to do what a test waits for.
const patience = 20 * time.Second

// Start runs a server until the test ends. options are further arguments.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	port := freePort(t)
	return start(t, port, nil, append([]string{"--port", strconv.Itoa(port)}, options...))
}

// StartTLS runs a server that speaks TLS with a certificate for localhost.
func StartTLS(t testing.TB, options ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	cert := certificate(t)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, cert.cert)
	write(t, keyFile, cert.key)
	port := freePort(t)
	args := []string{"--port", "0", "--tls-port", strconv.Itoa(port), "--tls-cert-file", certFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", certFile, "--tls-auth-clients", "no"}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert.cert)
	s := start(t, port, &tls.Config{RootCAs: pool, ServerName: "localhost"}, append(args, options...))
	s.CA = cert.cert
	return s
}

func start(t testing.TB, port int, conf *tls.Config, args []string) *Server {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing: install Debian's package redis-server to run the tests of the Redis policies")
	}
	s := &Server{Port: port, t: t, log: &safeBuffer{}, tls: conf}
	args = append([]string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--protected-mode", "no"}, args...)
	s.cmd = exec.Command(bin, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.await("answers", func() bool { return strings.Contains(s.Do("PING"), "PONG") || strings.Contains(s.Do("PING"), "NOAUTH") })
	return s
}

// Host is where servers listen.
const Host = "127.0.0.1"

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(Host, strconv.Itoa(s.Port)) }

// Stop kills the server.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Pause stops the server without closing its connections; Resume lets it go on.
func (s *Server) Pause() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// Do sends one inline command and returns what comes back, "" on failure.
func (s *Server) Do(command string) string {
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if s.tls != nil {
		c = tls.Client(c, s.tls)
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(c, "%s\r\nQUIT\r\n", command); err != nil {
		return ""
	}
	var out bytes.Buffer
	_, _ = out.ReadFrom(c)
	return out.String()
}

func (s *Server) await(what string, ok func() bool) {
	s.t.Helper()
	Await(s.t, "redis-server "+what, ok, s.log.String)
}

// Await polls until ok or the test has waited long enough. why explains a
// failure and may be nil.
func Await(t testing.TB, what string, ok func() bool, why func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			reason := ""
			if why != nil {
				reason = "\n" + why()
			}
			t.Fatalf("%s: not in %v%s", what, patience, reason)
		}
	}
}

// Cluster runs three masters that share the slots.
func Cluster(t testing.TB, options ...string) []*Server {
	t.Helper()
	var list []*Server
	for range 3 {
		list = append(list, Start(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "5000"}, options...)...))
	}
	for i, s := range list {
		from, to := i*16384/3, (i+1)*16384/3-1
		if got := s.Do(fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", from, to)); !strings.Contains(got, "OK") {
			t.Fatalf("slots: %s", got)
		}
		list[0].Do(fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d", s.Port))
	}
	for _, s := range list {
		s.await("is part of the cluster", func() bool {
			info := s.Do("CLUSTER INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return list
}

// Sentinel runs a master with a replica, and a sentinel that watches them under
// the name mymaster.
func Sentinel(t testing.TB) (master, replica, sentinel *Server) {
	t.Helper()
	master = Start(t, "--repl-diskless-sync-delay", "0")
	replica = Start(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", master.Port))
	replica.await("follows its master", func() bool { return strings.Contains(replica.Do("INFO replication"), "master_link_status:up") })
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	write(t, file, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 %d 1\nsentinel down-after-milliseconds mymaster 1500\nsentinel failover-timeout mymaster 2000\n", port, master.Port))
	sentinel = start2(t, port, file)
	sentinel.await("knows the replica", func() bool {
		return strings.Contains(sentinel.Do("SENTINEL replicas mymaster"), strconv.Itoa(replica.Port))
	})
	return master, replica, sentinel
}

func start2(t testing.TB, port int, file string) *Server {
	t.Helper()
	s := &Server{Port: port, t: t, log: &safeBuffer{}}
	s.cmd = exec.Command("redis-server", file, "--sentinel")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.await("answers as sentinel", func() bool { return strings.Contains(s.Do("PING"), "PONG") })
	return s
}

// freePort finds a port that nobody uses, with room for the port of the
// cluster's bus 10000 above it.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		ln.Close()
		if port < 55000 {
			return port
		}
	}
	t.Fatal("no free port below 55000")
	return 0
}

func write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

type pair struct{ cert, key []byte }

// certificate is self-signed for localhost and 127.0.0.1.
func certificate(t testing.TB) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}),
	}
}
