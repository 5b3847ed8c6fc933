package match

import (
	"sort"

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

// candidates is a list in the order of before. Most lists have one element,
// which stands in the list itself and not in memory of its own.
type candidates struct {
	first candidate // no route: the list is empty
	own   *owner    // of the array behind rest
	rest  []candidate
}

func (cs *candidates) empty() bool { return cs.first.route == nil }

func (cs *candidates) len() int {
	if cs.empty() {
		return 0
	}
	return 1 + len(cs.rest)
}

func (cs *candidates) at(i int) *candidate {
	if i == 0 {
		return &cs.first
	}
	return &cs.rest[i-1]
}

func (cs *candidates) insert(own *owner, c candidate) {
	switch {
	case cs.empty():
		cs.first = c
		return
	case c.before(&cs.first):
		c, cs.first = cs.first, c
	case !cs.first.before(&c):
		return // the same pair twice in one entry
	}
	i := sort.Search(len(cs.rest), func(i int) bool { return !cs.rest[i].before(&c) })
	if i < len(cs.rest) && !c.before(&cs.rest[i]) {
		return
	}
	cs.copyRest(own)
	cs.rest = insertAt(cs.rest, i, c)
}

// remove takes out everything that belongs to the route called id.
func (cs *candidates) remove(own *owner, id string) {
	cs.copyRest(own)
	kept := cs.rest[:0]
	for i := range cs.rest {
		if cs.rest[i].route.ID != id {
			kept = append(kept, cs.rest[i])
		}
	}
	clear(cs.rest[len(kept):])
	cs.rest = kept
	if !cs.empty() && cs.first.route.ID == id {
		cs.first = candidate{}
		if len(cs.rest) > 0 {
			cs.first = cs.rest[0]
			cs.rest = removeAt(cs.rest, 0)
		}
	}
	if len(cs.rest) == 0 {
		cs.rest = nil
	}
}

func (cs *candidates) copyRest(own *owner) {
	if cs.own != own {
		cs.own = own
		cs.rest = append([]candidate(nil), cs.rest...)
	}
}

// spot holds the candidates for one path or one static prefix. With its key it
// is two neighbouring cache lines.
type spot struct {
	candidates
	ext *spotExt // nil for most
}

// spotExt is what few spots have.
type spotExt struct {
	own *owner
	// byHost holds, in the modes in which a host is only a condition, the
	// candidates that demand one. Looking the host up here saves trying all of
	// them.
	byHost *hostIndex[candidates]
	// below holds, for the spot of a directory, the prefixes that go on inside
	// the next segment.
	below radixTree[spot]
}

func (p *spot) empty() bool { return p.candidates.empty() && p.ext == nil }

// hosts returns byHost.
func (p *spot) hosts() *hostIndex[candidates] {
	if p.ext == nil {
		return nil
	}
	return p.ext.byHost
}

// writable returns the extension for changing it.
func (p *spot) writable(own *owner) *spotExt {
	switch {
	case p.ext == nil:
		p.ext = &spotExt{own: own}
	case p.ext.own != own:
		x := *p.ext
		x.own = own
		p.ext = &x
	}
	return p.ext
}

// writableHosts returns byHost for changing it.
func (p *spot) writableHosts(own *owner) *hostIndex[candidates] {
	x := p.writable(own)
	switch {
	case x.byHost == nil:
		x.byHost = &hostIndex[candidates]{own: own}
	case x.byHost.own != own:
		h := *x.byHost
		h.own = own
		x.byHost = &h
	}
	return x.byHost
}

// trim drops an extension that holds nothing any more.
func (p *spot) trim() {
	if p.ext != nil && p.ext.byHost == nil && p.ext.below.empty() {
		p.ext = nil
	}
}
