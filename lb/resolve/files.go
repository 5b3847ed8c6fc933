package resolve

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxFileBytes bounds what is read of a hosts file or resolv.conf.
const maxFileBytes = 4 << 20

// watchedFile tells whether a file changed since it was read.
type watchedFile struct {
	mod  time.Time
	size int64
	read bool
}

// fresh returns the content of a file that changed or was never read, and nil
// for one that did not change.
func (w *watchedFile) fresh(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		w.read = false
		return nil, err
	}
	if w.read && info.ModTime().Equal(w.mod) && info.Size() == w.size {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return nil, err
	}
	w.mod, w.size, w.read = info.ModTime(), info.Size(), true
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

// hostsFile is /etc/hosts.
type hostsFile struct {
	path  string
	mu    sync.Mutex
	file  watchedFile
	names map[string][]netip.Addr
}

// lookup returns the addresses that the file gives a name in lower case, nil
// when it does not know it or cannot be read.
func (h *hostsFile) lookup(name string) []netip.Addr {
	if h.path == "-" {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.file.fresh(h.path)
	switch {
	case err != nil:
		h.names = nil
	case b != nil:
		h.names = parseHosts(b)
	}
	return h.names[name]
}

// parseHosts reads lines "address name...". Lines that are something else are
// skipped.
func parseHosts(b []byte) map[string][]netip.Addr {
	names := make(map[string][]netip.Addr)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		a, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, n := range fields[1:] {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			names[n] = append(names[n], a.Unmap())
		}
	}
	return names
}

// resolvFile is /etc/resolv.conf.
type resolvFile struct {
	path string
	mu   sync.Mutex
	file watchedFile
	conf *resolvConf
}

// resolvConf is the content of a resolv.conf. Immutable.
type resolvConf struct {
	*dns.ClientConfig
	servers []string // with ports
}

// load returns the present content; the error is why there is none.
func (f *resolvFile) load() (*resolvConf, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.file.fresh(f.path)
	switch {
	case err != nil && f.conf == nil:
		return nil, err
	case err != nil || b == nil:
		return f.conf, nil // a file that is being replaced counts as before
	}
	c, err := parseResolvConf(b)
	if err != nil {
		return f.conf, err
	}
	f.conf = c
	return c, nil
}

func parseResolvConf(b []byte) (*resolvConf, error) {
	parsed, err := dns.ClientConfigFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	c := &resolvConf{ClientConfig: parsed}
	for _, s := range parsed.Servers {
		if addr, err := serverAddr(s, parsed.Port); err == nil {
			c.servers = append(c.servers, addr)
		}
	}
	return c, nil
}
