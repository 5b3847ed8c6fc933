package admin

import (
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestKeyOrderAndRoles(t *testing.T) {
	b := newBench(t, nil)
	f := func(method, path, header, cookie string, status int, why string) {
		t.Helper()
		r := b.send(method, base+path, "", "X-API-KEY", header, "Cookie", cookie)
		if r.status != status {
			t.Errorf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.text)
		}
		if why != "" && r.text != `{"error_msg":"failed to check token","description":"`+why+"\"}\n" {
			t.Errorf("%s %s: %s", method, path, r.text)
		}
	}
	f("GET", "/routes", "", "", 401, "missing apikey")
	f("GET", "/routes", "wrong", "", 401, "wrong apikey")
	f("GET", "/routes", testKey, "", 200, "")
	f("GET", "/routes?api_key="+testKey, "", "", 200, "")
	f("GET", "/routes", "", "x_api_key="+testKey, 200, "")
	f("GET", "/routes?api_key=wrong", testKey, "", 401, "wrong apikey")
	f("GET", "/routes?api_key=", testKey, "", 200, "")
	f("GET", "/routes", "wrong", "x_api_key="+testKey, 401, "wrong apikey")
	f("GET", "/routes", "viewkey", "", 200, "")
	f("DELETE", "/routes/1", "viewkey", "", 401, "invalid method for role viewer")
	f("POST", "/changes", "viewkey", "", 401, "invalid method for role viewer")
	f("PUT", "/plugins/reload", "", "", 401, "missing apikey")
	f("GET", "/plugins/list", "", "", 401, "missing apikey")
	f("POST", "/schema/validate/routes", "", "", 401, "missing apikey")
	f("POST", "/configs/validate", "", "", 401, "missing apikey")
	f("HEAD", "", "", "", 200, "")
}

func TestKeyNotRequired(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Access.KeyRequired = false })
	if r := b.send("GET", base+"/routes", "", "X-API-KEY", ""); r.status != 200 {
		t.Fatal(r)
	}
}

func TestNobodyGetsInWithoutKeys(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Access.Keys = []Key{{Name: "empty"}} })
	if r := b.send("GET", base+"/routes", "", "X-API-KEY", "x"); r.status != 401 {
		t.Fatal(r)
	}
}

// Trap 17 of the contract: all addresses are listened on, loopback is let in.
func TestAllowAdmin(t *testing.T) {
	networks, err := ParseAllow([]string{"127.0.0.0/24", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *Options) { o.Access.Allow = networks })
	if r := b.send("GET", base+"/routes", ""); r.status != 200 {
		t.Fatal(r)
	}
	b = newBench(t, func(o *Options) { o.Access.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		if r := b.send(method, base, "", "X-API-KEY", ""); r.status != 403 {
			t.Errorf("%s: %v", method, r)
		}
	}
	for _, broken := range []string{"", "localhost", "10.0.0.0/33", "10.0.0"} {
		if _, err := ParseAllow([]string{broken}); err == nil {
			t.Errorf("%q accepted", broken)
		}
	}
}

func TestAccessChangesLive(t *testing.T) {
	b := newBench(t, nil)
	b.api.SetAccess(Access{KeyRequired: true, Keys: []Key{{Name: "new", Key: "new-key"}}})
	if r := b.send("GET", base+"/routes", ""); r.status != 401 {
		t.Errorf("the old key still opens: %v", r)
	}
	if r := b.send("PUT", base+"/routes/1", `{"uri":"/a"}`, "X-API-KEY", "new-key"); r.status != 201 || b.journal[0].Admin != "new" {
		t.Errorf("the new key does not: %v", r)
	}
}

func TestHeadersAndCORS(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Access.CORS = true })
	r := b.send("GET", base+"/routes/9", "")
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-API-VERSION": "v3", "Server": "Sluice/test",
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers": "*", "Access-Control-Max-Age": "3600",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r = b.send("OPTIONS", base+"/routes/9", "", "X-API-KEY", "")
	if r.status != 200 || r.header.Get("Access-Control-Allow-Methods") != "POST, GET, PUT, OPTIONS, DELETE, PATCH" {
		t.Errorf("preflight: %v", r)
	}
	b = newBench(t, nil)
	if r := b.send("GET", base+"/routes", ""); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS headers without enable_admin_cors")
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.key")
	keys := make([]string, 8)
	made := make([]bool, len(keys))
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, created, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i], made[i] = key, created
		})
	}
	wg.Wait()
	creators := 0
	for i := range keys {
		if keys[i] != keys[0] || len(keys[i]) != 32 {
			t.Errorf("keys %q and %q", keys[i], keys[0])
		}
		if made[i] {
			creators++
		}
	}
	if creators != 1 {
		t.Errorf("%d made a key", creators)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadOrCreateKey(path); err == nil {
		t.Error("an empty key file was accepted")
	}
	if _, _, err := LoadOrCreateKey("/nonexistent/dir/key"); err == nil {
		t.Error("no error for a missing directory")
	}
}
