package httpd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Two of fasthttp's goroutines outlive a server: its clock for ever, the
	// sweeper of idle workers until its next round, up to 10 s later.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

func start(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	if o.Name == "" {
		o.Name = "test server"
	}
	if o.Addresses == nil && o.Listeners == nil {
		o.Addresses = []string{"127.0.0.1:0"}
	}
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
	})
	return s, s.Addrs()[0].String()
}

func hello(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") }

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func TestServes(t *testing.T) {
	_, addr := start(t, Options{Handler: hello, ServerHeader: "Sluice/1"})
	res, err := client().Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if string(body) != "hello" || res.Header.Get("Server") != "Sluice/1" {
		t.Errorf("%q %v", body, res.Header)
	}
}

func TestPortInUseNamesAddressAndSetting(t *testing.T) {
	_, addr := start(t, Options{Handler: hello})
	_, err := Listen(Options{Name: "Admin API", Setting: "deployment.admin.admin_listen", Addresses: []string{"127.0.0.1:0", addr}, Handler: hello})
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{"Admin API", addr, "already in use", "deployment.admin.admin_listen"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	for _, address := range []string{"203.0.113.1:1", "nonsense", ""} {
		if _, err := Listen(Options{Name: "x", Addresses: []string{address}, Handler: hello}); err == nil {
			t.Errorf("listened on %q", address)
		}
	}
	if _, err := Listen(Options{Name: "x", Setting: "apisix.control", Handler: hello}); err == nil || !strings.Contains(err.Error(), "apisix.control") {
		t.Errorf("no address: %v", err)
	}
}

func TestUnixSocketAndHandedOverListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	start(t, Options{Handler: hello, Addresses: []string{"unix:" + path}})
	c := client()
	c.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}
	res, err := c.Get("http://unix/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, addr := start(t, Options{Handler: hello, Listeners: []net.Listener{l}})
	if addr != l.Addr().String() {
		t.Errorf("%s", addr)
	}
}

func TestPanicIsOneRequests500(t *testing.T) {
	_, addr := start(t, Options{Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/panic" {
			panic("boom")
		}
	}})
	for path, want := range map[string]int{"/panic": 500, "/": 200} {
		res, err := client().Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	_, addr := start(t, Options{Handler: hello, BodyLimit: 10})
	for body, want := range map[string]int{strings.Repeat("x", 10): 200, strings.Repeat("x", 11): 413} {
		res, err := client().Post("http://"+addr, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d bytes: %d", len(body), res.StatusCode)
		}
	}
}

func TestSilentClientIsClosed(t *testing.T) {
	_, addr := start(t, Options{Handler: hello, ReadTimeout: 50 * time.Millisecond, IdleTimeout: 50 * time.Millisecond})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("not closed: %v", err)
	}
}

func TestConnectionLimit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	_, addr := start(t, Options{MaxConns: 1, Handler: func(*fasthttp.RequestCtx) {
		entered <- struct{}{}
		<-release
	}})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	second, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = second.SetReadDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(second).ReadString('\n')
	if err != nil || !strings.Contains(line, "503") {
		t.Errorf("the second connection got %q, %v", line, err)
	}
	close(release)
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, addr := start(t, Options{Handler: func(ctx *fasthttp.RequestCtx) {
		close(entered)
		<-release
		ctx.SetBodyString("late")
	}})
	answer := make(chan string)
	go func() {
		res, err := client().Get("http://" + addr)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- string(body)
	}()
	<-entered
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	close(release)
	if got := <-answer; got != "late" {
		t.Error(got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("still listening")
	}
}

// pair writes a certificate with its key and returns both paths.
func pair(t *testing.T, dir, name string) (certFile, keyFile string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err = tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, cert
}

func TestHTTPSAndClientCertificates(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, _ := pair(t, dir, "server")
	caFile, _, clientCert := pair(t, dir, "client")
	_, _, strangerCert := pair(t, dir, "stranger")
	roots := x509.NewCertPool()
	text, _ := os.ReadFile(certFile)
	roots.AppendCertsFromPEM(text)
	get := func(addr string, certs ...tls.Certificate) error {
		c := client()
		c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, Certificates: certs}
		res, err := c.Get("https://" + addr)
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	plain, err := ServerTLS(certFile, keyFile, "")
	if err != nil {
		t.Fatal(err)
	}
	_, addr := start(t, Options{Handler: hello, TLS: plain})
	if err := get(addr); err != nil {
		t.Error(err)
	}
	mutual, err := ServerTLS(certFile, keyFile, caFile)
	if err != nil {
		t.Fatal(err)
	}
	_, addr = start(t, Options{Handler: hello, TLS: mutual})
	if err := get(addr, clientCert); err != nil {
		t.Error(err)
	}
	if get(addr) == nil || get(addr, strangerCert) == nil {
		t.Error("a client without a proper certificate got in")
	}
	for _, broken := range [][3]string{{"/none", keyFile, ""}, {certFile, keyFile, "/none"}, {certFile, keyFile, keyFile}} {
		if _, err := ServerTLS(broken[0], broken[1], broken[2]); err == nil {
			t.Errorf("%v accepted", broken)
		}
	}
}
