package resolve

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Set is the domain names that a configuration uses. It subscribes to a name
// when it is first looked up and keeps the answer fresh until the name is no
// longer retained.
type Set struct {
	resolver *Resolver
	patience time.Duration
	onChange func(host string)

	mu    sync.Mutex
	hosts map[string]*member
}

// member is a name of a set.
type member struct {
	sub *Subscription
	// looking counts the lookups under way, which will see a change themselves;
	// seen is what the last of them returned.
	looking int
	seen    []Target
}

// NewSet returns an empty set. onChange is called on a goroutine of the
// resolver with a name, in lower case, whose addresses are no longer those that
// Lookup returned last. A lookup waits up to patience for a name's first
// answer, so that an upstream is usually complete as soon as it is configured.
func NewSet(r *Resolver, patience time.Duration, onChange func(host string)) *Set {
	return &Set{resolver: r, patience: patience, onChange: onChange, hosts: make(map[string]*member)}
}

// Lookup returns the addresses of a name that are known, none when there are
// none yet. It is what node.Expand takes.
func (s *Set) Lookup(host string) []netip.Addr {
	host = strings.ToLower(host)
	s.mu.Lock()
	m := s.hosts[host]
	if m == nil {
		m = new(member)
		m.sub = s.resolver.Subscribe(host, Addresses, func(now []Target) { s.changed(host, m, now) })
		s.hosts[host] = m
	}
	m.looking++
	s.mu.Unlock()
	if m.sub.Targets() == nil && s.patience > 0 {
		timer := time.NewTimer(s.patience)
		select {
		case <-m.sub.Tried():
		case <-timer.C:
		}
		timer.Stop()
	}
	s.mu.Lock()
	m.looking--
	m.seen = m.sub.Targets()
	seen := m.seen
	s.mu.Unlock()
	addrs := make([]netip.Addr, len(seen))
	for i, t := range seen {
		addrs[i] = t.Addr
	}
	return addrs
}

func (s *Set) changed(host string, m *member, now []Target) {
	s.mu.Lock()
	known := m.looking > 0 || slices.Equal(m.seen, now) || s.hosts[host] != m
	s.mu.Unlock()
	if !known && s.onChange != nil {
		s.onChange(host)
	}
}

// Retain ends the subscriptions to all names but those in hosts.
func (s *Set) Retain(hosts []string) {
	keep := make(map[string]bool, len(hosts))
	for _, h := range hosts {
		keep[strings.ToLower(h)] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, m := range s.hosts {
		if !keep[host] {
			m.sub.Close()
			delete(s.hosts, host)
		}
	}
}

// Len returns how many names are kept fresh.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hosts)
}
