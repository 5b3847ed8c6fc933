package refererrestriction

import (
	"net/url"
	"strings"
	"testing"
)

func TestHostOf(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(hostOf([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("http://xx.com/a/b?c", "xx.com")
	f("https://xx.com", "xx.com")
	f("HTTPS://xx.com:8443/", "xx.com")
	f("//xx.com/a", "xx.com")
	f("http://xx.com?a", "xx.com")
	f("http://xx.com#a", "xx.com")
	f(`http://xx.com\@evil.com/`, "xx.com")
	f("http://good.com@evil.com/", "evil.com")
	f("http://good.com:x@evil.com/", "evil.com")
	f("http://[2001:db8::1]:80/a", "[2001:db8::1]")
	f("http://[2001:db8::1", "")
	f("http://[::1]x", "")
	f("http://xx.com:a", "")
	f("ftp://xx.com", "")
	f("xx.com", "")
	f("http:/xx.com", "")
	f("", "")
	f("http://", "")
}

// Where net/url takes a URL for one, it finds the same host.
func FuzzHostOf(f *testing.F) {
	for _, s := range []string{"http://xx.com/a", "https://a:b@c.d:1/?x", "http://[::1]:80/", "//x", "http://a@b@c/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(hostOf([]byte(s)))
		if strings.ContainsAny(got, "/?#@") {
			t.Fatalf("%q: %q is no host", s, got)
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(s, "%\\ ") || got == "" {
			return
		}
		if want := strings.Trim(u.Hostname(), "[]"); strings.Trim(got, "[]") != want {
			t.Fatalf("%q: %q, net/url says %q", s, got, want)
		}
	})
}
