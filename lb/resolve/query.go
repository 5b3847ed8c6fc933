package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	maxAliases  = 8   // CNAMEs followed for one name
	maxServices = 128 // SRV records used of one answer
	maxTargets  = 512 // servers kept for one name
	udpSize     = 1232
	// localTTL is how long what did not come from a name server is used before
	// it is looked at again.
	localTTL = 5 * time.Second
)

var (
	errNoName = errors.New("the name does not exist")
	errNoData = errors.New("the name has no such records")
)

// resolve answers a question with its search domains. The time to live is the
// smallest of all records that were used.
func (r *Resolver) resolve(ctx context.Context, q question) ([]Target, time.Duration, error) {
	if a, err := netip.ParseAddr(q.name); err == nil && q.kind == Addresses {
		return []Target{{Addr: a.Unmap()}}, r.options.MaxTTL, nil
	}
	if q.kind == Addresses {
		if targets := r.local(q.name); targets != nil {
			return targets, localTTL, nil
		}
	}
	conf, err := r.conf.load()
	if err != nil && len(r.options.Servers) == 0 {
		return nil, 0, fmt.Errorf("no name servers for %s: %w", q.name, err)
	}
	s := session{resolver: r, servers: r.options.Servers}
	if len(s.servers) == 0 {
		s.servers = conf.servers
	}
	if len(s.servers) == 0 {
		return nil, 0, fmt.Errorf("no name servers for %s: set dns_resolver or add a nameserver to %s", q.name, r.options.ResolvConf)
	}
	names := []string{dns.Fqdn(q.name)}
	if !r.options.NoSearch && conf != nil {
		names = conf.NameList(q.name)
	}
	var first error
	for _, name := range names {
		targets, ttl, err := s.ask(ctx, name, q.kind)
		if err == nil {
			return targets, ttl, nil
		}
		if first == nil || errors.Is(first, errNoName) {
			first = err
		}
		if !errors.Is(err, errNoName) && !errors.Is(err, errNoData) {
			break // a server that fails says nothing about the other names
		}
	}
	return nil, 0, fmt.Errorf("resolve %s: %w", q.name, first)
}

// local answers from the hosts file, and knows localhost without it.
func (r *Resolver) local(name string) []Target {
	name = strings.TrimSuffix(name, ".")
	addrs := r.hosts.lookup(name)
	if addrs == nil && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return r.toTargets(addrs)
}

// toTargets prefers IPv4, as queries do.
func (r *Resolver) toTargets(addrs []netip.Addr) (out []Target) {
	for _, want4 := range []bool{true, false} {
		if !want4 && r.options.NoIPv6 {
			break
		}
		for _, a := range addrs {
			if a.Is4() == want4 {
				out = append(out, Target{Addr: a})
			}
		}
		if out != nil {
			break
		}
	}
	return out
}

// session is the queries of one attempt to resolve a name.
type session struct {
	resolver *Resolver
	servers  []string
	// good is the server that answered last; the next query begins there.
	good int
}

// ask answers a question about a full name.
func (s *session) ask(ctx context.Context, name string, kind Kind) ([]Target, time.Duration, error) {
	if kind == Services {
		return s.askServices(ctx, name)
	}
	addrs, ttl, err := s.askAddrs(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	targets := make([]Target, 0, len(addrs))
	for _, a := range addrs {
		targets = append(targets, Target{Addr: a})
	}
	return targets, ttl, nil
}

func (s *session) askAddrs(ctx context.Context, name string) (addrs []netip.Addr, ttl time.Duration, err error) {
	types := []uint16{dns.TypeA, dns.TypeAAAA}
	if s.resolver.options.NoIPv6 {
		types = types[:1]
	}
	for _, t := range types {
		ttl, err = s.records(ctx, name, t, func(rr dns.RR) {
			var a netip.Addr
			switch rr := rr.(type) {
			case *dns.A:
				a, _ = netip.AddrFromSlice(rr.A.To4())
			case *dns.AAAA:
				a, _ = netip.AddrFromSlice(rr.AAAA)
			}
			if a.IsValid() && len(addrs) < maxTargets {
				addrs = append(addrs, a.Unmap())
			}
		})
		if err == nil && len(addrs) == 0 {
			err = errNoData
		}
		if !errors.Is(err, errNoData) {
			break
		}
	}
	return addrs, ttl, err
}

func (s *session) askServices(ctx context.Context, name string) ([]Target, time.Duration, error) {
	var services []*dns.SRV
	ttl, err := s.records(ctx, name, dns.TypeSRV, func(rr dns.RR) {
		// A target of "." says that the service is not offered.
		if srv, ok := rr.(*dns.SRV); ok && srv.Target != "." && len(services) < maxServices {
			services = append(services, srv)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	if len(services) == 0 {
		return nil, 0, errNoData
	}
	var targets []Target
	var failed error
	for _, srv := range services {
		addrs, addrTTL, err := s.askAddrs(ctx, srv.Target)
		if err != nil {
			failed = fmt.Errorf("target %s: %w", srv.Target, err)
			if !errors.Is(err, errNoName) && !errors.Is(err, errNoData) {
				// Half a list must not take the place of the last good one
				// because a server did not answer.
				return nil, 0, failed
			}
			continue
		}
		ttl = min(ttl, addrTTL)
		for _, a := range addrs {
			if len(targets) < maxTargets {
				targets = append(targets, Target{
					Addr: a, Host: strings.TrimSuffix(srv.Target, "."),
					Port: srv.Port, Weight: srv.Weight, Priority: srv.Priority,
				})
			}
		}
	}
	if len(targets) == 0 {
		return nil, 0, failed
	}
	return targets, ttl, nil
}

// records calls each with the records of a type that name has, following its
// aliases, and returns the smallest time to live on the way.
func (s *session) records(ctx context.Context, name string, t uint16, each func(dns.RR)) (time.Duration, error) {
	ttl := uint32(1 << 31)
	aliases := 0
	for {
		answer, err := s.exchange(ctx, name, t)
		if err != nil {
			return 0, err
		}
		// An answer may hold the whole chain of aliases or end in the middle.
		found := false
		start := aliases
		for {
			next := ""
			for _, rr := range answer.Answer {
				if !strings.EqualFold(rr.Header().Name, name) || rr.Header().Class != dns.ClassINET {
					continue
				}
				if rr.Header().Rrtype == t {
					found = true
					ttl = min(ttl, rr.Header().Ttl)
					each(rr)
				} else if alias, ok := rr.(*dns.CNAME); ok {
					next = alias.Target
					ttl = min(ttl, alias.Hdr.Ttl)
				}
			}
			if found || next == "" {
				break
			}
			if aliases++; aliases > maxAliases {
				return 0, fmt.Errorf("more than %d aliases", maxAliases)
			}
			name = next
		}
		switch {
		case found:
			return time.Duration(ttl) * time.Second, nil
		case answer.Rcode == dns.RcodeNameError:
			return 0, errNoName
		case aliases == start:
			return 0, errNoData
		}
	}
}

// exchange sends one query to the servers in turn until one gives an answer
// that says something: records, none, or that the name does not exist.
func (s *session) exchange(ctx context.Context, name string, t uint16) (*dns.Msg, error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return nil, fmt.Errorf("%w: %q is not a domain name", errNoName, name)
	}
	query := new(dns.Msg)
	query.SetQuestion(name, t)
	query.SetEdns0(udpSize, false)
	var last error
	for range s.resolver.options.Attempts {
		for i := range s.servers {
			at := (s.good + i) % len(s.servers)
			answer, err := s.send(ctx, s.servers[at], query)
			if err == nil {
				s.good = at
				return answer, nil
			}
			last = fmt.Errorf("name server %s: %w", s.servers[at], err)
			if ctx.Err() != nil {
				return nil, last
			}
		}
	}
	return nil, last
}

func (s *session) send(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	query.Id = dns.Id()
	answer, err := s.transfer(ctx, "udp", server, query)
	if err == nil && (answer.Rcode == dns.RcodeFormatError || answer.Rcode == dns.RcodeNotImplemented) {
		// A server from before EDNS.
		query = query.Copy()
		query.Extra = nil
		answer, err = s.transfer(ctx, "udp", server, query)
	}
	if err == nil && answer.Truncated {
		answer, err = s.transfer(ctx, "tcp", server, query)
	}
	if err != nil {
		return nil, err
	}
	if !answer.Response || len(answer.Question) != 1 ||
		answer.Question[0].Qtype != query.Question[0].Qtype ||
		!strings.EqualFold(answer.Question[0].Name, query.Question[0].Name) {
		return nil, errors.New("the answer is to another question")
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("answered %s", dns.RcodeToString[answer.Rcode])
	}
	return answer, nil
}

func (s *session) transfer(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.resolver.options.Timeout)
	defer cancel()
	client := dns.Client{Net: network, Timeout: s.resolver.options.Timeout}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// The client heeds ctx's deadline but not its end.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	answer, _, err := client.ExchangeWithConnContext(ctx, query, conn)
	return answer, err
}
