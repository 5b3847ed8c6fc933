package match

import (
	"iter"

	"github.com/sluicegw/sluice/core/req"
)

// Condition names what a request did not satisfy, in the order in which the
// conditions are checked.
type Condition uint8

// The conditions of a candidate.
const (
	Fits Condition = iota
	ByMethod
	ByRemoteAddr
	ByHost
	ByVars
	ByCond
	ByURI
)

// String returns the name of the route's field that the condition stands for.
func (c Condition) String() string {
	switch c {
	case Fits:
		return "fits"
	case ByMethod:
		return "methods"
	case ByRemoteAddr:
		return "remote_addrs"
	case ByHost:
		return "hosts"
	case ByVars:
		return "vars"
	case ByCond:
		return "filter"
	case ByURI:
		return "uri"
	}
	return "unknown"
}

// Candidate is a route at one of its places, as explained to a user.
type Candidate struct {
	Entry *Entry
	// URI and Host are the patterns as written, the host in lower case.
	URI, Host string
	// Failed is the first condition that does not hold.
	Failed Condition
	// Detail says more about it, such as the expression that failed.
	Detail string
	// Chosen marks the candidate that serves the request: the first that fits.
	Chosen bool
}

// Explain lists the candidates of a request in the order in which Match tries
// them, those behind the chosen one included. It sets what Match sets.
func (t *Table) Explain(ctx *req.Ctx) []Candidate {
	var out []Candidate
	s := search{t: t, ctx: ctx, explain: &out}
	s.run()
	for i := range out {
		if out[i].Failed == Fits {
			out[i].Chosen = true
			break
		}
	}
	t.Match(ctx)
	return out
}

// ExplainRoute tells for every (uri, host) pair of the route called id which
// condition keeps it from serving the request, whether or not the table gets to
// try it. It is nil when there is no such route.
func (t *Table) ExplainRoute(ctx *req.Ctx, id string) []Candidate {
	e := t.Get(id)
	if e == nil {
		return nil
	}
	// A table with only this route has its places and no others.
	only := New(t.opt)
	tx := only.Edit()
	if err := tx.Put(e); err != nil {
		panic("BUG: an entry that was accepted does not compile any more: " + err.Error())
	}
	only = tx.Commit()
	reached := only.Explain(ctx)
	t.Match(ctx)

	at, _ := e.locations(t.opt.Mode)
	out := make([]Candidate, 0, len(at))
	for i := range at {
		c := Candidate{Entry: e, URI: at[i].uri, Host: at[i].host.written, Failed: ByURI}
		if c.Host != "" && !at[i].host.fits(ctx) {
			c.Failed = ByHost
		}
		for _, r := range reached {
			if r.URI == c.URI && r.Host == c.Host {
				c.Failed, c.Detail = r.Failed, r.Detail
			}
		}
		out = append(out, c)
	}
	return out
}

// note records a candidate of an explanation.
func (s *search) note(c *candidate) {
	n := Candidate{Entry: c.e, URI: c.uri, Host: c.host, Failed: s.failed(c)}
	if n.Failed == ByVars {
		n.Detail = c.e.Vars.Failed(s.ctx)
	}
	*s.explain = append(*s.explain, n)
}

// Place is one position of the table with the candidates that compete for it,
// in the order in which they are tried.
type Place struct {
	// Host is the host pattern, "" for routes without host. In the modes in
	// which a host is only a condition, places are listed per host as well.
	Host string
	// Path is the exact path, or the static part before the first wildcard.
	Path  string
	Exact bool
	// Candidates have no verdict: Failed, Detail and Chosen are zero.
	Candidates []Candidate
}

// Places yields every position, for checks such as shadowed and ambiguous
// routes. Only the order of the candidates means something.
func (t *Table) Places() iter.Seq[Place] {
	return func(yield func(Place) bool) {
		_ = t.hosts.all(func(host string, ps *paths) bool { return ps.each(host, yield) }) &&
			t.any.each("", yield)
	}
}

func (p *paths) each(host string, yield func(Place) bool) bool {
	return p.all(func(path string, exact bool, s *spot) bool {
		if !s.candidates.empty() && !yield(newPlace(host, path, exact, &s.candidates)) {
			return false
		}
		return s.hosts() == nil || s.hosts().all(func(h string, cs *candidates) bool {
			return yield(newPlace(h, path, exact, cs))
		})
	})
}

func newPlace(host, path string, exact bool, list *candidates) Place {
	pl := Place{Host: host, Path: path, Exact: exact, Candidates: make([]Candidate, list.len())}
	for i := range pl.Candidates {
		c := list.at(i)
		pl.Candidates[i] = Candidate{Entry: c.e, URI: c.uri, Host: c.host}
	}
	return pl
}
