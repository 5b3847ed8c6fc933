package match

import (
	"net/netip"
	"strconv"

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

	if t.hosts.n > 0 {
		var buf [6]*paths
		levels := t.hosts.lookup(t, ctx, buf[:0])
		for _, level := range levels {
			if s.inPaths(level) {
				return true
			}
		}
	}
	return s.inPaths(&t.any)
}

// inPaths tries the exact path and then the prefixes, longest first.
func (s *search) inPaths(ps *paths) bool {
	if ps.exact.n > 0 {
		if p := ps.exact.get(s.hash, s.path); p != nil && s.inPlace(p) {
			return true
		}
	}
	n := ps.prefix.root
	if n == nil {
		return false
	}
	var buf [12]*place
	places := buf[:0]
	for rest := s.path; n != nil; n, rest = n.next(rest) {
		if n.val != nil {
			places = append(places, n.val)
		}
	}
	for i := len(places) - 1; i >= 0; i-- {
		if s.inPlace(places[i]) {
			return true
		}
	}
	return false
}

func (s *search) inPlace(p *place) bool {
	if p.byHost != nil {
		return s.inMerged(p)
	}
	for i := range p.list {
		if s.try(&p.list[i]) {
			return true
		}
	}
	return false
}

// inMerged tries the candidates of a place at which some demand a host: the
// lists that the request's host selects, as if they were one list in order.
func (s *search) inMerged(p *place) bool {
	var buf [6]*candidates
	found := p.byHost.lookup(s.t, s.ctx, buf[:0])
	var listBuf [7][]candidate
	lists := append(listBuf[:0], p.list)
	for _, cs := range found {
		lists = append(lists, cs.list)
	}
	for {
		first := -1
		for i, l := range lists {
			if len(l) > 0 && (first < 0 || l[0].before(&lists[first][0])) {
				first = i
			}
		}
		if first < 0 {
			return false
		}
		if s.try(&lists[first][0]) {
			return true
		}
		lists[first] = lists[first][1:]
	}
}

// lookup appends what the request's host selects: the exact host (the one with
// a port first), then wildcards from the longest suffix to the shortest.
func (x *hostIndex[V]) lookup(t *Table, ctx *req.Ctx, dst []*V) []*V {
	host := ctx.Host
	ports := x.ports > 0 && ctx.Port != 0
	if x.exact.n > 0 {
		if ports {
			ctx.Scratch = appendHostPort(ctx.Scratch[:0], host, ctx.Port)
			if v := x.exact.get(hashBytes(t.seed, ctx.Scratch), ctx.Scratch); v != nil {
				dst = append(dst, v)
			}
		}
		if v := x.exact.get(hashBytes(t.seed, host), host); v != nil {
			dst = append(dst, v)
		}
	}
	if x.wild.root == nil && (!ports || x.wildPort.root == nil) {
		return dst
	}
	var buf [6]suffix[V]
	found := buf[:0]
	if x.wild.root != nil {
		ctx.Scratch = appendReversed(ctx.Scratch[:0], host)
		found = x.wild.suffixes(ctx.Scratch, found)
	}
	split := len(found)
	if ports && x.wildPort.root != nil {
		ctx.Scratch = appendHostPort(ctx.Scratch[:0], host, ctx.Port)
		reverse(ctx.Scratch)
		found = x.wildPort.suffixes(ctx.Scratch, found)
	}
	// Both runs grow in length: merge them from their ends.
	for i, j := split-1, len(found)-1; i >= 0 || j >= split; {
		if i < 0 || j >= split && found[j].n >= found[i].n {
			dst = append(dst, found[j].val)
			j--
		} else {
			dst = append(dst, found[i].val)
			i--
		}
	}
	return dst
}

// suffix is a wildcard pattern that fits, with the length of its suffix.
type suffix[V any] struct {
	val *V
	n   int
}

// suffixes appends the values of all keys that are a prefix of text, shortest
// first.
func (t *radixTree[V]) suffixes(text []byte, dst []suffix[V]) []suffix[V] {
	n := t.root
	for rest := text; n != nil; n, rest = n.next(rest) {
		if n.val != nil {
			dst = append(dst, suffix[V]{n.val, len(text) - len(rest)})
		}
	}
	return dst
}

func appendHostPort(dst, host []byte, port uint16) []byte {
	dst = append(dst, host...)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(port), 10)
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
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
