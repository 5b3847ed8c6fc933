package match

import (
	"bytes"
	"net/netip"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// search is one walk through the candidates of a request. It lives on the
// stack of Match.
type search struct {
	t       *Table
	ctx     *req.Ctx
	path    []byte
	hash    uint64       // of path
	methods h1.MethodSet // the request's method; never empty, MethodOther is a bit of its own
	client  netip.Addr

	chosen *candidate
	spans  [req.MaxParams]req.Span

	explain *[]Candidate // nil on the request path
}

// Match finds the route of a request: it sets ctx.Route and what ctx.Matched
// returns, and reports whether a route fits. It allocates nothing unless the
// table nests more patterns in each other than the arrays below hold.
func (t *Table) Match(ctx *req.Ctx) bool {
	s := search{t: t, ctx: ctx}
	s.run()
	m := ctx.Matched()
	c := s.chosen
	if c == nil {
		ctx.Route = nil
		m.Reset()
		return false
	}
	ctx.Route = c.route
	m.MatchedURI, m.MatchedHost = c.uri, c.host
	if c.tail != nil {
		m.SetCaptures(s.path, c.tail.names, &s.spans)
	} else {
		m.SetCaptures(nil, nil, &s.spans)
	}
	return true
}

func (s *search) run() bool {
	t, ctx := s.t, s.ctx
	s.path = ctx.Path
	if n := len(s.path); t.opt.DeleteTailSlash && n > 1 && s.path[n-1] == '/' {
		s.path = s.path[:n-1]
	}
	s.hash = hashBytes(t.seed, s.path)
	s.methods = ctx.Req.MethodCode.Bit()
	s.client = ctx.Client.Unmap().WithZone("")

	if t.hosts.hosts > 0 {
		var buf [6]*paths
		for _, level := range t.hosts.lookup(t.seed, ctx, buf[:0]) {
			if s.inPaths(level) {
				return true
			}
		}
	}
	return s.inPaths(&t.any)
}

// inPaths tries the exact path and then the prefixes, longest first.
func (s *search) inPaths(ps *paths) bool {
	if !ps.exact.empty() {
		if p := ps.exact.get(s.hash, s.path); p != nil && s.inSpot(p) {
			return true
		}
	}
	if ps.dirs.empty() {
		return false
	}
	// From the deepest directory of the path upwards; the last one is the
	// empty text in front of the first slash.
	end := bytes.LastIndexByte(s.path, '/') + 1
	depth := bytes.Count(s.path, slash)
	for deepest := ps.depths.deepest(); ; depth-- {
		if depth <= deepest && ps.depths.has(depth) {
			name := s.path[:end]
			if d := ps.dirs.get(hashBytes(s.t.seed, name), name); d != nil && s.inDir(d, s.path[end:]) {
				return true
			}
		}
		if end == 0 {
			return false
		}
		end = bytes.LastIndexByte(s.path[:end-1], '/') + 1
	}
}

// inDir tries the prefixes that go on into rest, longest first, and then the
// directory itself.
func (s *search) inDir(d *spot, rest []byte) bool {
	if d.ext != nil && !d.ext.below.empty() {
		var buf [8]*spot
		found := buf[:0]
		for n := &d.ext.below; n != nil; n, rest = n.next(rest) {
			if n.val != nil {
				found = append(found, n.val)
			}
		}
		for i := len(found) - 1; i >= 0; i-- {
			if s.inSpot(found[i]) {
				return true
			}
		}
	}
	return s.inSpot(d)
}

var slash = []byte{'/'}

func (s *search) inSpot(p *spot) bool {
	if h := p.hosts(); h != nil {
		return s.inMerged(p, h)
	}
	if p.first.route == nil {
		return false
	}
	if s.try(&p.first) {
		return true
	}
	for i := range p.rest {
		if s.try(&p.rest[i]) {
			return true
		}
	}
	return false
}

// inMerged tries the candidates of a spot at which some demand a host: the
// lists that the request's host selects, as if they were one list in order.
func (s *search) inMerged(p *spot, byHost *hostIndex[candidates]) bool {
	var buf [6]*candidates
	found := byHost.lookup(s.t.seed, s.ctx, buf[:0])
	var listBuf [7]cursor
	lists := append(listBuf[:0], cursor{list: &p.candidates})
	for _, cs := range found {
		lists = append(lists, cursor{list: cs})
	}
	for {
		var first *cursor
		for i := range lists {
			l := &lists[i]
			if l.next < l.list.len() && (first == nil || l.list.at(l.next).before(first.list.at(first.next))) {
				first = l
			}
		}
		if first == nil {
			return false
		}
		if s.try(first.list.at(first.next)) {
			return true
		}
		first.next++
	}
}

// cursor is a place in a list.
type cursor struct {
	list *candidates
	next int
}

// try checks a candidate's conditions and ends the walk with true when all
// hold. When it explains, it goes on to the end.
func (s *search) try(c *candidate) bool {
	if s.explain != nil {
		s.note(c)
		return false
	}
	if c.methods != 0 && c.methods&s.methods == 0 {
		return false
	}
	if c.more && s.failed(c) != Fits {
		return false
	}
	s.chosen = c
	return true
}

// failed returns the first condition that does not hold, in the order in which
// they are checked.
func (s *search) failed(c *candidate) Condition {
	if c.methods != 0 && c.methods&s.methods == 0 {
		return ByMethod
	}
	if !c.more {
		return Fits
	}
	e := c.e
	if len(e.RemoteAddrs) > 0 && !contains(e.RemoteAddrs, s.client) {
		return ByRemoteAddr
	}
	if e.Vars != nil && !e.Vars.Eval(s.ctx) {
		return ByVars
	}
	if e.Cond != nil && !e.Cond(s.ctx) {
		return ByCond
	}
	if c.tail != nil && !c.tail.match(s.path, &s.spans) {
		return ByURI
	}
	return Fits
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for i := range prefixes {
		if prefixes[i].Contains(a) {
			return true
		}
	}
	return false
}

var _ req.Router = (*Table)(nil)
