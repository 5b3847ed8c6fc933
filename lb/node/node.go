// Package node is one upstream server and the live state that all loops of
// the host share about it.
package node

import "net/netip"

// Node is one server of an upstream as configuration describes it. Immutable;
// what changes while it serves is in State.
type Node struct {
	// Host is what the user wrote: an IP address (IPv6 without brackets) or a
	// domain name.
	Host string
	// Addr is where to connect to. For a domain it is one of its addresses.
	Addr netip.AddrPort
	// Key is the text "host:port" of Addr (IPv6 in brackets), for logs,
	// metrics and hash rings.
	Key string
	// Weight is >= 0; 0 gets no traffic unless the node is its upstream's
	// only one.
	Weight int
	// Priority groups nodes: a lower group is used only when every node of the
	// higher ones was tried or is down.
	Priority int
	// Index is the node's place in its upstream's list.
	Index int
	// Metadata is the node's metadata object as JSON text, nil when there is
	// none.
	Metadata []byte
	// State is never nil in nodes that a Registry made. Nodes with the same
	// address in one upstream share it.
	*State
}

// IsDomain reports whether the user wrote a name and not an address.
func (n *Node) IsDomain() bool {
	_, err := netip.ParseAddr(n.Host)
	return err != nil
}
