package listen

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/pool"
)

func TestTLSUpstream(t *testing.T) {
	var names []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(append([]byte("got "), body...))
	}))
	s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names = append(names, h.ServerName)
		return nil, nil
	}}
	s.StartTLS()
	defer s.Close()
	keys := pool.NewKeys()
	g := newGateway(t, func(_ *Config, u *req.Upstream, _ *req.Effective) {
		u.Scheme = "https"
		u.TLS = &req.UpstreamTLS{Base: &tls.Config{InsecureSkipVerify: true}, Key: pool.Key{Scheme: "https"}, Keys: keys}
		key := u.TLS.Key
		key.Addr = u.Nodes[0].Addr
		u.Pools[0] = keys.Acquire(key)
	}, strings.TrimPrefix(s.URL, "https://"))
	send := func(host string, size int) {
		t.Helper()
		q, _ := http.NewRequest("POST", "http://"+g.addr+"/", strings.NewReader(strings.Repeat("x", size)))
		q.Host = host
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || len(body) != size+4 || resp.StatusCode != 200 {
			t.Errorf("status %d, %d bytes of %d, %v", resp.StatusCode, len(body), size+4, err)
		}
	}
	for range 20 {
		send("a.example.com", 10)
	}
	for range 5 {
		send("b.example.com:8080", 3_000_000)
	}
	if len(names) != 2 || names[0] != "a.example.com" || names[1] != "b.example.com" {
		t.Errorf("handshakes for %v, want one for each host name", names)
	}
}

func TestTLSUpstreamFailures(t *testing.T) {
	plain := backend(t, func(w http.ResponseWriter, r *http.Request) {})
	untrusted := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer untrusted.Close()
	f := func(name, node string, cfg *tls.Config) {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(_ *Config, u *req.Upstream, _ *req.Effective) {
				u.TLS = &req.UpstreamTLS{Base: cfg, ByNode: []*tls.Config{cfg}}
			}, node)
			resp, err := http.Get("http://" + g.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 502 {
				t.Errorf("status %d, want 502", resp.StatusCode)
			}
		})
	}
	f("no TLS there", plain, &tls.Config{InsecureSkipVerify: true})
	f("certificate not trusted", strings.TrimPrefix(untrusted.URL, "https://"), &tls.Config{ServerName: "example.com"})
}
