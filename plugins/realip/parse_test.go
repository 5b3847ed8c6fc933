package realip

import (
	"net/netip"
	"testing"
)

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4:5", "[::1]:80", "::1", "[::1", "1.2.3.4:", "::ffff:1.2.3.4", "fe80::1%eth0", ":80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, port, ok := parseAddr([]byte(s))
		if ok && (!addr.IsValid() || addr.Zone() != "") {
			t.Errorf("%q: %v %d", s, addr, port)
		}
		if a, err := netip.ParseAddrPort(s); err == nil && a.Port() > 0 && a.Addr().Zone() == "" && len(s) <= 64 {
			if !ok || addr != a.Addr().Unmap() || port != a.Port() {
				t.Errorf("%q: %v %d %v, want %v", s, addr, port, ok, a)
			}
		}
	})
}
