// Package match finds the route of a request: an immutable table that every
// configuration change replaces by a copy sharing all but the touched branch.
package match

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Entry is a route with the conditions under which it serves a request.
// Neither the entry nor what it points to may change once it was given to
// Tx.Put.
type Entry struct {
	// Route is what a match yields. Its ID names the entry and, as the last
	// criterion, decides the order among equals.
	Route *req.Route
	// Hosts are the host patterns: "a.com", "a.com:8080", "*.a.com" (any depth
	// of sub-domains) or "*". Empty means any host. A route without hosts takes
	// those of its service; whoever builds the entry looks them up.
	Hosts []string
	// URIs are the path patterns, at least one.
	URIs []string
	// Methods are the methods served; the empty set means all.
	Methods h1.MethodSet
	// RemoteAddrs are the client addresses served; none means all.
	RemoteAddrs []netip.Prefix
	// Vars is the expression over variables; nil means none.
	Vars *expr.Expr
	// Cond is one more condition, checked behind Vars; nil means none.
	Cond func(*req.Ctx) bool
	// Priority orders the routes at one place of the table, higher first. It
	// never lifts a prefix over an exact path, nor a route without host over
	// one with.
	Priority int
}

var (
	errEmptyHost = errors.New("it is empty: leave hosts out to serve any host")
	errHostStar  = errors.New("a '*' may only stand at the beginning")
)

// Methods returns the set of the methods called names. It fails for a name
// that routes cannot be bound to.
func Methods(names []string) (h1.MethodSet, error) {
	var set h1.MethodSet
	for _, name := range names {
		m := h1.MethodOf([]byte(name))
		if m == h1.MethodOther {
			return 0, fmt.Errorf("method %q is not one that a route can be bound to", name)
		}
		set |= m.Bit()
	}
	return set, nil
}

// RemoteAddrs parses client addresses and CIDR ranges, IPv4 and IPv6.
func RemoteAddrs(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := expr.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("remote address %q: %w", s, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// location is where one (host, uri) pair of an entry belongs.
type location struct {
	host hostPattern
	path pattern
	uri  string
}

// locations lists where the entry belongs, without duplicates; nil host
// patterns when it has no hosts.
func (e *Entry) locations(mode Mode) ([]location, error) {
	if e.Route == nil || e.Route.ID == "" {
		return nil, errors.New("an entry needs a route with an id")
	}
	if len(e.URIs) == 0 {
		return nil, fmt.Errorf("route %s has no path pattern: give uri or uris", e.Route.ID)
	}
	hosts := make([]hostPattern, 0, max(1, len(e.Hosts)))
	for _, s := range e.Hosts {
		h, err := parseHost(s)
		if err != nil {
			return nil, fmt.Errorf("route %s: host pattern %q: %w", e.Route.ID, s, err)
		}
		hosts = append(hosts, h)
	}
	if len(hosts) == 0 {
		hosts = append(hosts, hostPattern{})
	}
	out := make([]location, 0, len(hosts)*len(e.URIs))
	for _, uri := range e.URIs {
		p, err := parsePattern(uri, mode == ModeURIWithParameter)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", e.Route.ID, err)
		}
		for _, h := range hosts {
			out = append(out, location{host: h, path: p, uri: uri})
		}
	}
	return out, nil
}
