package resolve

import (
	"testing"
)

func FuzzFiles(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost a.test\n::1 b # c\n"))
	f.Add([]byte("nameserver 10.0.0.1\nsearch a b\noptions ndots:3 timeout:x\n"))
	f.Add([]byte("\x00\n\n \t#"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, addrs := range parseHosts(b) {
			for _, a := range addrs {
				if !a.IsValid() || a.Is4In6() {
					t.Errorf("%q has the address %v", name, a)
				}
			}
		}
		if c, err := parseResolvConf(b); err == nil {
			for _, s := range c.servers {
				if _, err := serverAddr(s, "53"); err != nil {
					t.Errorf("a server that is none: %v", err)
				}
			}
		}
	})
}
