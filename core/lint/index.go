package lint

import (
	"slices"

	"github.com/sluicegw/sluice/core/conf"
)

// Index knows which routes compete for the same requests, so that a changed
// route is compared with its few rivals and not with all routes. It is for one
// goroutine.
type Index struct {
	opt Options
	// get returns a route as it is served, nil when there is none.
	get    func(id string) *conf.Route
	places map[string][]string // route ids
	at     map[string][]string // places of a route
	// hosts are those of services that have any; users are the routes of a
	// service that take them.
	hosts map[string][]string
	users map[string]map[string]bool
}

// NewIndex makes an empty index. get looks a route up, nil when there is none.
func NewIndex(o Options, get func(id string) *conf.Route) *Index {
	return &Index{
		opt: o, get: get, places: map[string][]string{}, at: map[string][]string{},
		hosts: map[string][]string{}, users: map[string]map[string]bool{},
	}
}

// Put enters a route in place of an earlier one with its id.
func (x *Index) Put(r *conf.Route) {
	id := string(r.ID)
	x.Delete(id)
	var keys []string
	for _, p := range x.pairs(r) {
		key := x.opt.place(&p)
		if slices.Contains(keys, key) {
			continue
		}
		keys = append(keys, key)
		x.places[key] = append(x.places[key], id)
	}
	if len(keys) > 0 {
		x.at[id] = keys
	}
	if service := string(r.ServiceID); service != "" && len(r.HostPatterns()) == 0 {
		if x.users[service] == nil {
			x.users[service] = map[string]bool{}
		}
		x.users[service][id] = true
	}
}

// pairs lists the pairs of a route with the hosts that hold for it.
func (x *Index) pairs(r *conf.Route) []pair {
	hosts := r.HostPatterns()
	if len(hosts) == 0 {
		hosts = x.hosts[string(r.ServiceID)]
	}
	return x.opt.pairsOf(r, hosts)
}

// PutService enters the hosts of a service; without any it is forgotten.
func (x *Index) PutService(id string, hosts []string) {
	if slices.Equal(x.hosts[id], hosts) {
		return
	}
	if len(hosts) == 0 {
		delete(x.hosts, id)
	} else {
		x.hosts[id] = hosts
	}
	for route := range x.users[id] {
		r := x.get(route)
		switch {
		case r == nil: // gone; its own removal follows
		case string(r.ServiceID) != id || len(r.HostPatterns()) > 0:
			delete(x.users[id], route)
		default:
			x.Put(r)
		}
	}
}

// Delete removes a route.
func (x *Index) Delete(id string) {
	for _, key := range x.at[id] {
		list := x.places[key]
		if i := slices.Index(list, id); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if len(list) == 0 {
			delete(x.places, key)
		} else {
			x.places[key] = list
		}
	}
	delete(x.at, id)
}

// Len is the number of routes.
func (x *Index) Len() int { return len(x.at) }

// CheckRoute compares a route, entered or not, with its rivals: those that
// take its requests, those whose requests it takes, and those between which
// and it only the id decides. At most maxRivals are looked at.
func (x *Index) CheckRoute(r *conf.Route) []Finding {
	var out []Finding
	id := string(r.ID)
	looked := map[string]bool{id: true}
	for _, p := range x.pairs(r) {
		key := x.opt.place(&p)
		for _, other := range x.places[key] {
			if looked[other] {
				continue
			}
			if len(looked) > maxRivals || len(out) == maxPerRoute {
				return out
			}
			looked[other] = true
			if rival := x.get(other); rival != nil {
				out = append(out, x.compare(key, &p, x.pairs(rival))...)
			}
		}
	}
	return out
}

// compare returns the first finding between a pair and those of a rival at the
// same place.
func (x *Index) compare(key string, p *pair, rivals []pair) []Finding {
	for i := range rivals {
		q := &rivals[i]
		if x.opt.place(q) != key {
			continue
		}
		first, second := p, q
		if before(second, first) < 0 {
			first, second = second, first
		}
		f := Finding{Severity: Warning, Object: "routes/" + second.id}
		switch {
		case first.covers(second):
			f.Rule, f.Text = "shadowed", shadowText(first, second)
		case undecided(first, second):
			f.Rule, f.Text = "ambiguous", ambiguousText(first, second)
		default:
			continue
		}
		return []Finding{f}
	}
	return nil
}
