package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/match"
)

const (
	// maxRivals bounds the pairs that one is compared with at its place.
	maxRivals = 64
	// maxPerRoute bounds what is said of one route under one rule.
	maxPerRoute = 3
)

// places compares routes that compete for the same requests.
func (l *linter) places() {
	byPlace := map[string][]pair{}
	pairs := map[string]int{} // by route
	priorities := false
	for _, r := range l.set.routes {
		for _, p := range l.opt.pairsOf(r, l.set.hosts(r)) {
			key := l.opt.place(&p)
			byPlace[key] = append(byPlace[key], p)
			pairs[p.id]++
			priorities = priorities || p.priority != 0
		}
	}
	shadowed := map[string][]finding{}
	for _, key := range slices.Sorted(maps.Keys(byPlace)) {
		list := byPlace[key]
		slices.SortFunc(list, func(a, b pair) int { return before(&a, &b) })
		l.compete(list, l.wildcardLevel(byPlace, key), shadowed)
	}
	for _, id := range slices.Sorted(maps.Keys(shadowed)) {
		found := shadowed[id]
		severity, extent := Warning, "it never serves"
		if len(found) < pairs[id] {
			severity, extent = Hint, fmt.Sprintf("%d of its %d places are taken", len(found), pairs[id])
		}
		for i := range found[:min(len(found), maxPerRoute)] {
			l.add("shadowed", severity, "routes/"+id, "", "%s; %s", found[i].text, extent)
		}
	}
	if priorities {
		l.priorities(byPlace)
	}
}

type finding struct{ text string }

// wildcardLevel lists the pairs that are tried before those of a place without
// host whatever the host is: those with the host "*".
func (l *linter) wildcardLevel(byPlace map[string][]pair, key string) []pair {
	if l.opt.Match.Mode != match.ModeHostURI || !strings.HasPrefix(key, " ") {
		return nil
	}
	return byPlace["*"+key]
}

// compete compares the pairs of a place in their order. first are pairs of
// another place that are all tried before.
func (l *linter) compete(list, first []pair, shadowed map[string][]finding) {
	general := first[:min(len(first), maxRivals)] // pairs without vars and addresses
	general = slices.Clone(general)
	ambiguous := map[string]int{}
	for i := range list {
		p := &list[i]
		rival := findCover(general, p)
		recent := list[max(0, i-maxRivals):i]
		if rival == nil {
			rival = findCover(recent, p)
		}
		switch {
		case rival != nil:
			shadowed[p.id] = append(shadowed[p.id], finding{shadowText(rival, p)})
		default:
			for j := range recent {
				q := &recent[j]
				if undecided(q, p) && ambiguous[p.id] < maxPerRoute {
					ambiguous[p.id]++
					l.add("ambiguous", Warning, "routes/"+p.id, "", "%s", ambiguousText(q, p))
				}
			}
		}
		if p.vars == "" && len(p.addrs) == 0 && len(general) < maxRivals {
			general = append(general, *p)
		}
	}
}

func findCover(list []pair, p *pair) *pair {
	for i := range list {
		if list[i].id != p.id && list[i].covers(p) {
			return &list[i]
		}
	}
	return nil
}

// undecided tells whether only their ids decide between two pairs of a place.
func undecided(a, b *pair) bool {
	return a.id != b.id && a.priority == b.priority && len(a.uri) == len(b.uri) && a.meets(b)
}

// shadowText says why a is in the way of b.
func shadowText(a, b *pair) string {
	why := "the lower id goes first"
	switch {
	case a.host != b.host && a.host == "*":
		why = "a route with a host goes before one without"
	case a.priority != b.priority:
		why = fmt.Sprintf("its priority %d is higher than %d", a.priority, b.priority)
	case len(a.uri) != len(b.uri):
		why = "its path is written longer"
	}
	return fmt.Sprintf("route %s (%s) takes every request that fits %s: %s", a.id, a.where(), b.where(), why)
}

func ambiguousText(a, b *pair) string {
	return fmt.Sprintf("route %s (%s) may fit the same requests as %s, and only the lower id decides: give one a priority", a.id, a.where(), b.where())
}

// priorities finds routes whose priority cannot do what it seems to.
func (l *linter) priorities(byPlace map[string][]pair) {
	told := map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(byPlace)) {
		list := byPlace[key]
		host, path, _ := strings.Cut(key, " ")
		exact := path[0] == '='
		path = path[1:]
		hosts := []string{host}
		if host != "" {
			hosts = append(hosts, "")
		}
		for _, h := range hosts {
			for n := len(path); n >= 0; n-- {
				if n == len(path) && !exact && h == host {
					continue // the place itself
				}
				for _, q := range byPlace[h+" ^"+path[:n]] {
					l.outranked(&q, &list[0], h != host, told)
				}
			}
			if exact && h != host {
				for _, q := range byPlace[h+" ="+path] {
					l.outranked(&q, &list[0], true, told)
				}
			}
		}
	}
}

// outranked reports q, which has the higher priority and still comes after p.
func (l *linter) outranked(q, p *pair, byHost bool, told map[string]int) {
	if q.id == p.id || q.priority <= p.priority || q.priority == 0 || told[q.id] >= maxPerRoute {
		return
	}
	if q.methods != 0 && p.methods != 0 && q.methods&p.methods == 0 {
		return
	}
	told[q.id]++
	why := "an exact or longer path goes first"
	if byHost {
		why = "a route with a host goes first"
	}
	l.add("priority-ignored", Warning, "routes/"+q.id, "priority",
		"priority %d does not lift it (%s) over route %s (%s): %s; priority only orders routes of the same host and path", q.priority, q.where(), p.id, p.where(), why)
}
