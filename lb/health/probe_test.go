package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/lb/node"
)

func TestProbeRequests(t *testing.T) {
	f := func(want string, host string, change func(*Config)) {
		t.Helper()
		a := DefaultActive()
		c := &Config{Active: &a}
		if change != nil {
			change(c)
		}
		n := &node.Node{Host: host, Addr: netip.MustParseAddrPort("10.0.0.1:8080")}
		if a.Port == 0 {
			a.Port = 80
		}
		got := string(newProbe(n, c, new(verdicts), nil).request)
		if got != strings.ReplaceAll(want, "\n", "\r\n") {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	const tail = "connection: close\nuser-agent: sluice-health\n"
	f("GET / HTTP/1.1\nhost: a.example\n"+tail+"\n", "a.example", nil)
	f("GET / HTTP/1.1\nhost: 10.0.0.1\n"+tail+"\n", "10.0.0.1", nil)
	f("GET / HTTP/1.1\nhost: [::1]:81\n"+tail+"\n", "::1", func(c *Config) { c.Active.Port = 81 })
	f("GET / HTTP/1.1\nhost: rewritten\n"+tail+"\n", "a.example", func(c *Config) { c.RewriteHost = "rewritten" })
	f("GET / HTTP/1.1\nhost: own:1\n"+tail+"\n", "a.example", func(c *Config) { c.RewriteHost, c.Active.Host = "rewritten", "own:1" })
	f("POST /x?y=1 HTTP/1.1\nconnection: close\nuser-agent: sluice-health\ncontent-length: 3\nHost: h\nX-A: b\n\nabc", "a.example",
		func(c *Config) {
			c.Active.Method, c.Active.Path, c.Active.Body = "POST", "/x?y=1", "abc"
			c.Active.Headers = []string{"Host: h", "X-A: b"}
		})
}

func TestReadStatus(t *testing.T) {
	f := func(in string, status int, failure string) {
		t.Helper()
		got, err := readStatus(bufio.NewReaderSize(strings.NewReader(in), 4096))
		if got != status || (err == nil) != (failure == "") || err != nil && !strings.Contains(err.Error(), failure) {
			t.Errorf("%.60q: %d, %v; want %d, %q", in, got, err, status, failure)
		}
	}
	f("HTTP/1.1 200 OK\r\n\r\n", 200, "")
	f("HTTP/1.0 404\r\nA: b\r\n\r\n", 404, "")
	f("HTTP/1.1 204 \n\n", 204, "")
	f("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 302 Found\r\n\r\n", 302, "")
	f("", 0, "EOF")
	f("HTTP/1.1 200 OK\r\n", 0, "EOF")
	f("HTTP/1.1 200", 0, "EOF")
	f("HTTP/2 200 OK\r\n\r\n", 0, "not an HTTP/1.x")
	f("HTTP/1.1  200 OK\r\n\r\n", 0, "not an HTTP/1.x")
	f("HTTP/1.1 20 OK\r\n\r\n", 0, "not an HTTP/1.x")
	f("HTTP/1.1 2000 OK\r\n\r\n", 0, "not an HTTP/1.x")
	f("HTTP/1.1 099 OK\r\n\r\n", 0, "not an HTTP/1.x")
	f("HTTP/1.1 101 Switching\r\n\r\n", 0, "not asked for")
	f(strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 20), 0, "interim")
	f("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("b", 5000)+"\r\n\r\n", 0, "a line of more")
	f("HTTP/1.1 200 OK\r\n"+strings.Repeat("A: "+strings.Repeat("b", 4000)+"\r\n", 30)+"\r\n", 0, "a head of more")
}

func FuzzReadStatus(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nA: b\r\n\r\n")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 x\n\n")
	f.Add("HTTP/1.1 2x0\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		status, err := readStatus(bufio.NewReaderSize(strings.NewReader(in), 4096))
		if err == nil && (status < 200 || status > 599) {
			t.Errorf("%q has the status %d", in, status)
		}
		if err != nil && status != 0 {
			t.Errorf("%q has the status %d and the error %v", in, status, err)
		}
	})
}

func TestHTTPSProbes(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // for its certificate of example.com
	web.StartTLS()
	cert := web.TLS.Certificates[0]
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())

	var name string
	b := startBackend(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{
			Certificates: []tls.Certificate{cert},
			GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				name = h.ServerName
				return nil, nil
			},
		})
		says(ok200)(s)
		s.Close()
	})
	f := func(host string, verify bool, roots *x509.CertPool, report node.Report) {
		t.Helper()
		a := DefaultActive()
		a.Type, a.VerifyTLS = HTTPS, verify
		n := &node.Node{Host: host, Addr: b.addr()}
		p := newProbe(n, &Config{Active: &a}, makeVerdicts(a.HealthyStatuses, nil), roots)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if o := p.run(ctx); !o.counts || o.report != report {
			t.Errorf("%s, verify %v: %+v, want %v", host, verify, o, report)
		}
	}
	f("example.com", true, roots, node.Success)
	b.stop()
	if name != "example.com" {
		t.Errorf("the server name was %q", name)
	}
	b = startBackend(t, *b.serve.Load())
	f("example.com", true, nil, node.TCPFailure)
	f("other.test", true, roots, node.TCPFailure)
	f("other.test", false, nil, node.Success)
}
