package forwardauth_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

// The page's example asks a service at 127.0.0.1:9000; here it is this one.
func TestPage(t *testing.T) {
	service := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "123" {
			w.Header().Set("Location", "https://login.example.com/")
			w.WriteHeader(403)
			return
		}
		w.Header().Set("X-User-ID", "i-am-a-user")
	})
	page, err := os.ReadFile("../../docs/plugins/forward-auth.md")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(page), "127.0.0.1:9000", service)), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway.RunPage(t, copied)
}
