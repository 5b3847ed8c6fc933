package lint

import "slices"

// Before compares two routes with one pair each.
func (x *Index) Before(a, b string) int { return before(x.only(a), x.only(b)) }

// Rivals lists the routes at a route's place, itself included.
func (x *Index) Rivals(id string) []string {
	return slices.Sorted(slices.Values(x.places[x.at[id][0]]))
}

// Places is the number of places.
func (x *Index) Places() int { return len(x.places) }

func (x *Index) only(id string) *pair {
	return &x.pairs(x.get(id))[0]
}
