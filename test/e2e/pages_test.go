package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/pages"
)

// Every page of a plugin shows an example; each of them works on the real
// gateway, through the Admin API.
func TestExamplesOfThePluginPages(t *testing.T) {
	t.Parallel()
	list, err := filepath.Glob(filepath.Join(gateway.Root(), "docs/plugins/*.md"))
	if err != nil || len(list) == 0 {
		t.Fatalf("%d pages, error %v", len(list), err)
	}
	g := gateway.Start(t, gateway.Options{})
	upstream := echo(t)
	for _, page := range list {
		t.Run(filepath.Base(page), func(t *testing.T) {
			if why := needsMore[filepath.Base(page)]; why != "" {
				t.Skip(why)
			}
			site := &pageSite{t: t, g: g, upstream: upstream}
			defer site.clear()
			pages.Run(t, page, pages.Site{Admin: site.admin, Do: site.do})
		})
	}
}

// needsMore are pages whose examples need more than a gateway and an upstream.
var needsMore = map[string]string{
	"forward-auth.md": "asks a service of the reader's own",
}

// echo answers with what it saw of a request, as the pages expect.
func echo(t *testing.T) (addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"Method": r.Method, "URI": r.RequestURI, "Host": r.Host, "Body": string(body), "Header": r.Header,
		})
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// pageSite is the gateway as one page uses it.
type pageSite struct {
	t        *testing.T
	g        *gateway.Gateway
	upstream string
	made     []string
	settled  bool
	markers  int
}

func (s *pageSite) admin(method, path, body string) {
	s.t.Helper()
	a := s.g.Admin(method, "/"+path, strings.ReplaceAll(body, "127.0.0.1:1980", s.upstream))
	if a.Status > 201 {
		s.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	if method == "PUT" && !slices.Contains(s.made, path) {
		s.made = append(s.made, path)
	}
	s.settled = false
}

// settle waits until everything written so far is live. Changes take effect in
// their order: a route written last shows it.
func (s *pageSite) settle() {
	s.t.Helper()
	if s.settled {
		return
	}
	s.markers++
	uri := fmt.Sprintf("/marker-%d-%d", time.Now().UnixNano(), s.markers)
	s.admin("PUT", "routes/page-marker", fmt.Sprintf(`{"uri":%q,"host":"marker.test","upstream":{"nodes":{%q:1}}}`, uri, s.upstream))
	// The host keeps plugins of the page's own routes away; global rules may
	// refuse the marker, but not with the answer of a route that is missing.
	s.g.WaitAnswer(uri, func(a gateway.Answer) bool { return a.Status != 404 }, "Host", "marker.test")
	s.settled = true
}

func (s *pageSite) do(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	s.settle()
	q, err := http.NewRequest(method, "http://"+s.g.Proxy+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if strings.EqualFold(name, "Host") {
			q.Host = strings.TrimSpace(value)
			continue
		}
		q.Header.Add(name, strings.TrimSpace(value))
	}
	resp, err := pageClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(text)
}

var pageClient = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		DisableCompression: true,
		DialContext:        (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	},
}

// clear removes what the page made, newest first.
func (s *pageSite) clear() {
	for _, path := range slices.Backward(s.made) {
		s.g.Admin("DELETE", "/"+path+"?force=true", nil)
	}
}
