package match

import (
	"hash/maphash"
	"sort"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// candidate is an entry at one place: one of its (host, uri) pairs. It is one
// cache line; what a request without further conditions needs stands in it.
type candidate struct {
	methods h1.MethodSet // 0: all
	more    bool         // there are conditions besides the methods
	route   *req.Route
	e       *Entry
	uri     string   // as written
	host    string   // as written, lower case; "" without host
	tail    *pattern // nil: the place in the tree says it all
}

// before is the order in which the candidates of a place are tried.
func (c *candidate) before(d *candidate) bool {
	if c.e.Priority != d.e.Priority {
		return c.e.Priority > d.e.Priority
	}
	if len(c.uri) != len(d.uri) {
		return len(c.uri) > len(d.uri)
	}
	if c.route.ID != d.route.ID {
		return c.route.ID < d.route.ID
	}
	if c.uri != d.uri {
		return c.uri < d.uri
	}
	return c.host < d.host
}

// candidates is a list in the order of before.
type candidates struct {
	own  *owner // of the array behind list
	list []candidate
}

func (cs *candidates) insert(own *owner, c candidate) {
	i := sort.Search(len(cs.list), func(i int) bool { return !cs.list[i].before(&c) })
	if i < len(cs.list) && !c.before(&cs.list[i]) {
		return // the same pair twice in one entry
	}
	cs.writable(own)
	cs.list = insertAt(cs.list, i, c)
}

// remove takes out everything that belongs to the route called id.
func (cs *candidates) remove(own *owner, id string) {
	cs.writable(own)
	kept := cs.list[:0]
	for i := range cs.list {
		if cs.list[i].route.ID != id {
			kept = append(kept, cs.list[i])
		}
	}
	clear(cs.list[len(kept):])
	cs.list = kept
}

func (cs *candidates) writable(own *owner) {
	if cs.own != own {
		cs.own = own
		cs.list = append([]candidate(nil), cs.list...)
	}
}

func (cs *candidates) empty() bool { return len(cs.list) == 0 }

// place holds the candidates for one path or one static prefix.
type place struct {
	candidates
	// byHost holds, in the modes in which a host is only a condition, the
	// candidates that demand one. Looking the host up here saves trying all of
	// them.
	byHost *hostIndex[candidates]
}

func (p *place) empty() bool { return p.candidates.empty() && p.byHost == nil }

// paths holds the places of one host level.
type paths struct {
	exact  hashMap[place]
	prefix radixTree[place]
}

func (p *paths) empty() bool { return p.exact.n == 0 && p.prefix.root == nil }

func (p *paths) edit(own *owner, seed maphash.Seed, l *location) *place {
	if l.path.exact {
		return p.exact.edit(own, hashString(seed, l.path.static), l.path.static)
	}
	return p.prefix.edit(own, l.path.static)
}

func (p *paths) remove(own *owner, seed maphash.Seed, l *location) {
	if l.path.exact {
		p.exact.remove(own, hashString(seed, l.path.static), l.path.static)
	} else {
		p.prefix.remove(own, l.path.static)
	}
}

// hostIndex finds values by host: exact ones and suffixes. Patterns with a
// port are compared with the host and port that the client wrote.
type hostIndex[V any] struct {
	own      *owner
	exact    hashMap[V]
	wild     radixTree[V] // by reversed suffix
	wildPort radixTree[V] // the same for patterns with a port
	ports    int          // how many patterns name a port
	n        int          // patterns
}

func (x *hostIndex[V]) edit(own *owner, seed maphash.Seed, h *hostPattern) *V {
	switch {
	case !h.wild:
		return x.exact.edit(own, hashString(seed, h.key), h.key)
	case h.port:
		return x.wildPort.edit(own, h.key)
	}
	return x.wild.edit(own, h.key)
}

func (x *hostIndex[V]) find(seed maphash.Seed, h *hostPattern) *V {
	switch {
	case !h.wild:
		return x.exact.get(hashString(seed, h.key), []byte(h.key))
	case h.port:
		return x.wildPort.find(h.key)
	}
	return x.wild.find(h.key)
}

// added and removed keep the counts right when a pattern gets its first value
// or loses its last.
func (x *hostIndex[V]) added(h *hostPattern) {
	x.n++
	if h.port {
		x.ports++
	}
}

func (x *hostIndex[V]) remove(own *owner, seed maphash.Seed, h *hostPattern) {
	switch {
	case !h.wild:
		x.exact.remove(own, hashString(seed, h.key), h.key)
	case h.port:
		x.wildPort.remove(own, h.key)
	default:
		x.wild.remove(own, h.key)
	}
	x.n--
	if h.port {
		x.ports--
	}
}

// all calls yield for every host pattern, as written, until it returns false.
func (x *hostIndex[V]) all(yield func(host string, val *V) bool) bool {
	reversed := func(key string, val *V) bool {
		var b strings.Builder
		b.WriteByte('*')
		b.Write(appendReversed(nil, key))
		return yield(b.String(), val)
	}
	return x.exact.all(yield) && x.wild.all(reversed) && x.wildPort.all(reversed)
}
