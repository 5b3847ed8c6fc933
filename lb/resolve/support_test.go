package resolve

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a name server on loopback whose records a test can change.
type zone struct {
	addr    string
	queries atomic.Int64

	mu      sync.Mutex
	records map[string][]dns.RR // by name and type: "a.test. A"
	rcodes  map[string]int      // by name
	mute    bool                // answers nothing
	noEDNS  bool                // refuses queries with EDNS
	cut     bool                // truncates over UDP
	counts  map[string]int
}

func startZone(t *testing.T, records ...string) *zone {
	t.Helper()
	z := &zone{rcodes: make(map[string]int), counts: make(map[string]int)}
	z.set(t, records...)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.addr = packets.LocalAddr().String()
	streams, err := net.Listen("tcp", z.addr)
	if err != nil {
		t.Skipf("the TCP port next to the UDP one is taken: %v", err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: streams, Handler: z}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			s.Shutdown()
			<-ended
		})
	}
	return z
}

// set replaces all records, given in the form of zone files.
func (z *zone) set(t *testing.T, records ...string) {
	t.Helper()
	all := make(map[string][]dns.RR)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		k := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		all[k] = append(all[k], rr)
	}
	z.mu.Lock()
	z.records = all
	z.mu.Unlock()
}

func (z *zone) change(f func()) {
	z.mu.Lock()
	f()
	z.mu.Unlock()
}

func (z *zone) count(question string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.counts[question]
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.queries.Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.ToLower(q.Question[0].Name)
	k := name + " " + dns.TypeToString[q.Question[0].Qtype]
	z.counts[k]++
	if z.mute {
		return
	}
	a := new(dns.Msg)
	a.SetReply(q)
	if z.noEDNS && q.IsEdns0() != nil {
		a.Rcode = dns.RcodeFormatError
		w.WriteMsg(a)
		return
	}
	if code, ok := z.rcodes[name]; ok {
		a.Rcode = code
		w.WriteMsg(a)
		return
	}
	a.Answer = z.records[k]
	if alias := z.records[name+" CNAME"]; len(a.Answer) == 0 && alias != nil {
		a.Answer = alias
	}
	if len(a.Answer) == 0 && !slices.ContainsFunc([]string{" A", " AAAA", " SRV"}, func(t string) bool { return z.records[name+t] != nil }) {
		a.Rcode = dns.RcodeNameError
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && z.cut {
		a.Truncated, a.Answer = true, nil
	}
	w.WriteMsg(a)
}

func startResolver(t *testing.T, o Options) *Resolver {
	t.Helper()
	if o.Hosts == "" {
		o.Hosts = "-"
	}
	if o.ResolvConf == "" {
		o.ResolvConf = file(t, "options ndots:1\n")
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// first returns the first answer of a name.
func first(t *testing.T, r *Resolver, host string, kind Kind) []Target {
	t.Helper()
	s := r.Subscribe(host, kind, nil)
	defer s.Close()
	select {
	case <-s.Tried():
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not tried within 20 s", host)
	}
	return s.Targets()
}

func addrsOf(targets []Target) string {
	var out []string
	for _, t := range targets {
		out = append(out, t.Addr.String())
	}
	return strings.Join(out, " ")
}

func next[T any](t *testing.T, ch chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came within 20 s")
		panic("unreachable")
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
