package node

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
)

// Spec is a node as configuration gives it, with its name resolved.
type Spec struct {
	// Host is an IP address (IPv6 with or without brackets) or a domain name.
	Host string
	// Addr is the address that a domain in Host resolved to; not needed when
	// Host is an address.
	Addr netip.Addr
	// Port is 1..65535; the caller has filled in the scheme's default.
	Port uint16
	// Weight is >= 0.
	Weight int
	// Priority is any integer; higher ones are used first.
	Priority int
	// Metadata is a JSON object or nil. It is kept, not copied.
	Metadata []byte
}

// Registry hands out nodes whose state outlives changes of configuration. It
// is for the background threads that build configuration; nothing a request
// runs calls it.
type Registry struct {
	mu     sync.Mutex
	groups map[string]*members // by upstream
}

// members is the states of one upstream, by the text of their address. The
// registry holds a state only while the newest definition of its upstream has
// the node; requests that still run on a node that left hold its state
// themselves.
type members struct {
	group  *Group
	states map[string]*State
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{groups: make(map[string]*members)}
}

// Nodes makes the nodes of an upstream, in the order of specs, and makes their
// states the upstream's: those of nodes that it had before are kept, those of
// nodes that are gone are forgotten. upstream is the stable identity of the
// upstream, such as "upstreams/1" or "routes/7" for one written in a route.
//
// now is in nanoseconds on the monotonic clock that the loops put into
// pick.Input.Now. A node that joins an upstream which the registry already
// knows starts to warm up at now; the first nodes of an upstream count as warm.
func (r *Registry) Nodes(upstream string, specs []Spec, now int64) ([]*Node, error) {
	nodes := make([]*Node, len(specs))
	for i := range specs {
		n, err := newNode(&specs[i], i)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: node %d: %w", upstream, i+1, err)
		}
		nodes[i] = n
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.groups[upstream]
	states := make(map[string]*State, len(nodes))
	var group *Group
	if known != nil {
		group = known.group
	} else {
		group = new(Group)
		group.Cursor.Store(rand.Uint64() >> 1)
	}
	for _, n := range nodes {
		s := states[n.Key]
		if s == nil && known != nil {
			s = known.states[n.Key]
		}
		if s == nil {
			s = &State{group: group}
			if known != nil && len(known.states) > 0 {
				s.rise(now)
			}
		}
		states[n.Key] = s
		n.State = s
	}
	r.groups[upstream] = &members{group, states}
	return nodes, nil
}

// Drop forgets the states of an upstream that is no longer configured.
func (r *Registry) Drop(upstream string) {
	r.mu.Lock()
	delete(r.groups, upstream)
	r.mu.Unlock()
}

// Len returns how many upstreams and how many node states the registry holds.
func (r *Registry) Len() (upstreams, states int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.groups {
		states += len(m.states)
	}
	return len(r.groups), states
}

func newNode(s *Spec, index int) (*Node, error) {
	host := s.Host
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	if s.Port == 0 {
		return nil, fmt.Errorf("%q has no port", s.Host)
	}
	if s.Weight < 0 {
		return nil, fmt.Errorf("%q has the negative weight %d", s.Host, s.Weight)
	}
	addr := s.Addr
	if literal, err := netip.ParseAddr(host); err == nil {
		addr = literal
	}
	if !addr.IsValid() {
		return nil, fmt.Errorf("the domain %q is not resolved to an address", s.Host)
	}
	ap := netip.AddrPortFrom(addr.Unmap(), s.Port)
	return &Node{
		Host:     host,
		Addr:     ap,
		Key:      ap.String(),
		Weight:   s.Weight,
		Priority: s.Priority,
		Index:    index,
		Metadata: s.Metadata,
	}, nil
}
