package resolve

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestLookups(t *testing.T) {
	z := startZone(t,
		"a.test. 60 A 10.0.0.2", "a.test. 60 A 10.0.0.1", "a.test. 60 A 10.0.0.1",
		"a.test. 60 AAAA 2001:db8::1",
		"six.test. 60 AAAA 2001:db8::2",
		"alias.test. 60 CNAME other.test.", "other.test. 60 CNAME a.test.",
		"loop.test. 60 CNAME loop2.test.", "loop2.test. 60 CNAME loop.test.",
		"dangling.test. 60 CNAME nowhere.test.",
	)
	r := startResolver(t, Options{Servers: []string{z.addr}})
	f := func(host, want string) {
		t.Helper()
		if got := addrsOf(first(t, r, host, Addresses)); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	f("a.test", "10.0.0.1 10.0.0.2")
	f("A.Test.", "10.0.0.1 10.0.0.2")
	f("six.test", "2001:db8::2")
	f("alias.test", "10.0.0.1 10.0.0.2")
	f("loop.test", "")
	f("dangling.test", "")
	f("nowhere.test", "")
	f("10.9.8.7", "10.9.8.7")
	f("2001:db8::5", "2001:db8::5")
	f(strings.Repeat("x", 64)+".test", "")
	f("localhost", "127.0.0.1")

	four := startResolver(t, Options{Servers: []string{z.addr}, NoIPv6: true})
	if got := first(t, four, "six.test", Addresses); got != nil {
		t.Errorf("without IPv6: %v", got)
	}
}

func TestServices(t *testing.T) {
	z := startZone(t,
		"_http._tcp.s.test. 60 SRV 10 5 8080 one.test.",
		"_http._tcp.s.test. 60 SRV 20 1 8081 two.test.",
		"_http._tcp.s.test. 60 SRV 20 1 8082 gone.test.",
		"one.test. 60 A 10.0.0.1", "two.test. 60 A 10.0.0.2",
		"_off._tcp.s.test. 60 SRV 0 0 0 .",
	)
	r := startResolver(t, Options{Servers: []string{z.addr}})
	want := []Target{
		{Addr: addr("10.0.0.1"), Host: "one.test", Port: 8080, Weight: 5, Priority: 10},
		{Addr: addr("10.0.0.2"), Host: "two.test", Port: 8081, Weight: 1, Priority: 20},
	}
	if got := first(t, r, "_http._tcp.s.test", Services); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := first(t, r, "_off._tcp.s.test", Services); got != nil {
		t.Errorf("a service that is not offered: %+v", got)
	}
}

func TestSearchDomains(t *testing.T) {
	z := startZone(t, "web.prod.test. 60 A 10.0.0.1", "web.dev.test. 60 A 10.0.0.2", "x.y. 60 A 10.0.0.3")
	conf := file(t, "search dev.test prod.test\nnameserver "+z.addr+"\noptions ndots:2\n")
	r := startResolver(t, Options{ResolvConf: conf, Servers: []string{z.addr}})
	f := func(host, want string) {
		t.Helper()
		if got := addrsOf(first(t, r, host, Addresses)); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	f("web", "10.0.0.2")
	f("web.prod.test", "10.0.0.1")
	f("x.y", "10.0.0.3")
	f("web.", "")

	plain := startResolver(t, Options{ResolvConf: conf, Servers: []string{z.addr}, NoSearch: true})
	if got := first(t, plain, "web", Addresses); got != nil {
		t.Errorf("without search: %v", got)
	}
}

func TestResolvConfIsReadAgain(t *testing.T) {
	parsed, err := parseResolvConf([]byte("nameserver 10.0.0.2\nnameserver ::1\nnameserver junk\n"))
	if err != nil || !slices.Equal(parsed.servers, []string{"10.0.0.2:53", "[::1]:53"}) {
		t.Errorf("servers %v, %v", parsed.servers, err)
	}
	path := file(t, "nameserver 10.0.0.1\n")
	f := resolvFile{path: path}
	load := func() string {
		t.Helper()
		c, err := f.load()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.servers, " ")
	}
	if got := load(); got != "10.0.0.1:53" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(path, []byte("nameserver 10.0.0.1\nnameserver 10.0.0.22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := load(); got != "10.0.0.1:53 10.0.0.22:53" {
		t.Errorf("after a change: %s", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := load(); got != "10.0.0.1:53 10.0.0.22:53" {
		t.Errorf("while it is missing: %s", got)
	}
}

func TestHostsComeFirst(t *testing.T) {
	z := startZone(t, "a.test. 60 A 10.0.0.1")
	hosts := file(t, "# comment\n192.0.2.1 A.test b.test # more\n::1 b.test six.test\nbad line\n")
	r := startResolver(t, Options{Servers: []string{z.addr}, Hosts: hosts})
	f := func(host, want string) {
		t.Helper()
		if got := addrsOf(first(t, r, host, Addresses)); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	f("a.test", "192.0.2.1")
	f("b.test", "192.0.2.1")
	f("six.test", "::1")
	if z.queries.Load() != 0 {
		t.Errorf("%d queries for names of the hosts file", z.queries.Load())
	}
}

func TestAnotherServerIsAskedWhenOneFails(t *testing.T) {
	good := startZone(t, "a.test. 60 A 10.0.0.1")
	mute := startZone(t)
	mute.change(func() { mute.mute = true })
	sick := startZone(t)
	sick.change(func() { sick.rcodes["a.test."] = dns.RcodeServerFailure })
	for _, bad := range []*zone{mute, sick} {
		r := startResolver(t, Options{Servers: []string{bad.addr, good.addr}, Timeout: 50 * time.Millisecond})
		if got := addrsOf(first(t, r, "a.test", Addresses)); got != "10.0.0.1" {
			t.Errorf("got %q", got)
		}
	}
}

func TestTruncatedAnswersAreFetchedOverTCP(t *testing.T) {
	z := startZone(t, "a.test. 60 A 10.0.0.1")
	z.change(func() { z.cut = true })
	r := startResolver(t, Options{Servers: []string{z.addr}})
	if got := addrsOf(first(t, r, "a.test", Addresses)); got != "10.0.0.1" {
		t.Errorf("got %q", got)
	}
}

func TestServersWithoutEDNS(t *testing.T) {
	z := startZone(t, "a.test. 60 A 10.0.0.1")
	z.change(func() { z.noEDNS = true })
	r := startResolver(t, Options{Servers: []string{z.addr}})
	if got := addrsOf(first(t, r, "a.test", Addresses)); got != "10.0.0.1" {
		t.Errorf("got %q", got)
	}
}

func TestChangesAreToldOnce(t *testing.T) {
	z := startZone(t, "a.test. 1 A 10.0.0.1", "a.test. 1 A 10.0.0.2")
	r := startResolver(t, Options{Servers: []string{z.addr}, Valid: 5 * time.Millisecond})
	changes := make(chan string, 100)
	s := r.Subscribe("a.test", Addresses, func(n []Target) { changes <- addrsOf(n) })
	defer s.Close()
	if got := next(t, changes); got != "10.0.0.1 10.0.0.2" {
		t.Fatalf("first: %s", got)
	}
	z.set(t, "a.test. 1 A 10.0.0.2", "a.test. 1 A 10.0.0.1") // another order only
	before := z.count("a.test. A")
	eventually(t, "a few refreshes", func() bool { return z.count("a.test. A") > before+3 })
	z.set(t, "a.test. 1 A 10.0.0.3")
	if got := next(t, changes); got != "10.0.0.3" {
		t.Fatalf("then: %s, want the new address and nothing for the order", got)
	}
	if got := addrsOf(s.Targets()); got != "10.0.0.3" {
		t.Errorf("the subscription has %s", got)
	}
}

func TestTheLastGoodAnswerStays(t *testing.T) {
	z := startZone(t, "a.test. 1 A 10.0.0.1")
	failed := make(chan error, 1000)
	r := startResolver(t, Options{
		Servers: []string{z.addr}, Valid: 5 * time.Millisecond, Timeout: 50 * time.Millisecond, MaxRetry: 10 * time.Millisecond,
		OnError: func(name string, err error) {
			if name == "a.test" {
				failed <- err
			}
		},
	})
	s := r.Subscribe("a.test", Addresses, nil)
	defer s.Close()
	eventually(t, "an answer", func() bool { return s.Targets() != nil })
	f := func(words string, change func()) {
		t.Helper()
		z.change(change)
		for {
			if err := next(t, failed); strings.Contains(err.Error(), words) {
				break
			}
		}
		if got := addrsOf(s.Targets()); got != "10.0.0.1" {
			t.Errorf("%s: the subscription has %q", words, got)
		}
	}
	f("SERVFAIL", func() { z.rcodes["a.test."] = dns.RcodeServerFailure })
	f("does not exist", func() { z.rcodes["a.test."] = dns.RcodeNameError })
	f("timeout", func() { z.mute = true })
	z.change(func() { z.mute = false; delete(z.rcodes, "a.test.") })
	z.set(t, "a.test. 1 A 10.0.0.9")
	eventually(t, "the new address", func() bool { return addrsOf(s.Targets()) == "10.0.0.9" })
}

func TestSubscriptionsShareQueriesAndEnd(t *testing.T) {
	z := startZone(t, "a.test. 60 A 10.0.0.1")
	r := startResolver(t, Options{Servers: []string{z.addr}})
	told := make(chan string, 10)
	a := r.Subscribe("a.test", Addresses, func(n []Target) { told <- "a " + addrsOf(n) })
	if got := next(t, told); got != "a 10.0.0.1" {
		t.Fatal(got)
	}
	b := r.Subscribe("A.test", Addresses, func(n []Target) { told <- "b " + addrsOf(n) })
	if got := next(t, told); got != "b 10.0.0.1" {
		t.Fatal(got)
	}
	if z.queries.Load() != 1 {
		t.Errorf("%d queries for two subscriptions", z.queries.Load())
	}
	a.Close()
	a.Close()
	if len(r.names) != 1 {
		t.Error("a name with a subscriber was forgotten")
	}
	b.Close()
	if len(r.names) != 0 {
		t.Error("a name without subscribers is kept")
	}
}

func TestStopWaitsForNothingLong(t *testing.T) {
	z := startZone(t)
	z.change(func() { z.mute = true })
	r, err := New(Options{Servers: []string{z.addr}, Timeout: time.Minute, Hosts: "-"})
	if err != nil {
		t.Fatal(err)
	}
	r.Subscribe("a.test", Addresses, nil)
	eventually(t, "a query", func() bool { return z.queries.Load() > 0 })
	start := time.Now()
	r.Stop()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("stopping took %v", d)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	z := startZone(t)
	z.change(func() { z.mute = true })
	r := startResolver(t, Options{Servers: []string{z.addr}, Concurrency: 3, Timeout: time.Minute})
	for i := range 20 {
		r.Subscribe(fmt.Sprintf("n%d.test", i), Addresses, nil)
	}
	eventually(t, "three queries", func() bool { return z.queries.Load() >= 3 })
	if len(r.slots) != 3 || z.queries.Load() != 3 {
		t.Errorf("%d names at once, %d queries", len(r.slots), z.queries.Load())
	}
}

func TestTimesToLive(t *testing.T) {
	f := func(o Options, ttl, want time.Duration) {
		t.Helper()
		if err := o.fill(); err != nil {
			t.Fatal(err)
		}
		r := Resolver{options: o}
		if got := r.bound(ttl); got != want {
			t.Errorf("%v became %v, want %v", ttl, got, want)
		}
	}
	f(Options{}, 0, time.Second)
	f(Options{}, time.Minute, time.Minute)
	f(Options{}, 48*time.Hour, time.Hour)
	f(Options{MinTTL: 10 * time.Second}, time.Second, 10*time.Second)
	f(Options{Valid: 7 * time.Second}, time.Minute, 7*time.Second)
}

func TestTheShortestTimeToLiveOfAChainCounts(t *testing.T) {
	z := startZone(t, "alias.test. 7 CNAME a.test.", "a.test. 60 A 10.0.0.1", "a.test. 50 A 10.0.0.2")
	r := startResolver(t, Options{Servers: []string{z.addr}})
	for name, want := range map[string]time.Duration{"alias.test": 7 * time.Second, "a.test": 50 * time.Second} {
		if _, ttl, err := r.resolve(t.Context(), question{name, Addresses}); err != nil || ttl != want {
			t.Errorf("%s: %v, %v; want %v", name, ttl, err, want)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	f := func(o Options, words string) {
		t.Helper()
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: error %v, want one about %q", o, err, words)
		}
	}
	f(Options{Servers: []string{"dns.example"}}, "dns.example")
	f(Options{MinTTL: 2 * time.Hour}, "time to live")
	r := startResolver(t, Options{Servers: []string{"10.0.0.1", "[::1]:54", "::1"}})
	if want := []string{"10.0.0.1:53", "[::1]:54", "[::1]:53"}; !slices.Equal(r.options.Servers, want) {
		t.Errorf("servers %v, want %v", r.options.Servers, want)
	}
}

func TestWithoutServersTheErrorSaysWhatToDo(t *testing.T) {
	r := startResolver(t, Options{ResolvConf: file(t, "search x\n")})
	if _, _, err := r.resolve(t.Context(), question{"a.test", Addresses}); err == nil || !strings.Contains(err.Error(), "dns_resolver") {
		t.Errorf("error %v", err)
	}
}
