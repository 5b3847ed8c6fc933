package lint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/match"
)

// pair is a route at one of its places: one host and one path pattern.
type pair struct {
	id       string
	uri      string
	host     string // lower case, "" for any
	priority int
	methods  h1.MethodSet // 0: all
	addrs    []netip.Prefix
	vars     string            // compact JSON, "" for none
	equals   map[string]string // what vars demand at the top: variable, value
	static   string            // of uri
	exact    bool
}

// pairsOf lists the pairs of a route. hosts are those that hold for it.
func (o *Options) pairsOf(r *conf.Route, hosts []string) []pair {
	if !r.Enabled() {
		return nil
	}
	p := pair{id: string(r.ID), priority: r.Priority}
	var err error
	if p.methods, err = match.Methods(r.Methods); err != nil {
		return nil // not served
	}
	if p.addrs, err = match.RemoteAddrs(r.RemoteAddresses()); err != nil {
		return nil
	}
	p.vars, p.equals = readVars(r.Vars)
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var list []pair
	for _, uri := range r.Paths() {
		p.uri = uri
		p.static, p.exact = o.split(uri)
		for _, h := range hosts {
			p.host = strings.ToLower(h)
			list = append(list, p)
		}
	}
	return list
}

// split returns the part of a path pattern that decides its place.
func (o *Options) split(uri string) (static string, exact bool) {
	end := len(uri)
	if i := strings.IndexByte(uri, '*'); i >= 0 {
		end = i
	}
	if o.Match.Mode == modeWithParameter {
		if strings.HasPrefix(uri, ":") {
			end = 0
		} else if i := strings.Index(uri, "/:"); i >= 0 {
			end = min(end, i+1)
		}
	}
	return uri[:end], end == len(uri)
}

// place is the pair's position in the routing table.
func (o *Options) place(p *pair) string {
	kind := "^"
	if p.exact {
		kind = "="
	}
	host := p.host
	if o.Match.Mode != match.ModeHostURI {
		host = "" // only a condition
	}
	return host + " " + kind + p.static
}

// before is the order in which pairs of one place are tried; it is that of
// package match.
func before(a, b *pair) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(len(b.uri), len(a.uri)),
		cmp.Compare(a.id, b.id), cmp.Compare(a.uri, b.uri), cmp.Compare(a.host, b.host))
}

// covers tells whether every request that b takes fits a too, both being at
// one place.
func (a *pair) covers(b *pair) bool {
	return (a.methods == 0 || b.methods != 0 && b.methods&^a.methods == 0) &&
		(len(a.addrs) == 0 || len(b.addrs) > 0 && within(b.addrs, a.addrs)) &&
		(a.vars == "" || a.vars == b.vars) &&
		(a.host == b.host || hostCovers(a.host, b.host)) &&
		(a.exact || a.uri == a.static+"*" || a.uri == b.uri)
}

// meets tells whether some request may fit both, both being at one place.
func (a *pair) meets(b *pair) bool {
	if a.methods != 0 && b.methods != 0 && a.methods&b.methods == 0 {
		return false
	}
	if len(a.addrs) > 0 && len(b.addrs) > 0 && !overlap(a.addrs, b.addrs) {
		return false
	}
	if a.host != b.host && !hostCovers(a.host, b.host) && !hostCovers(b.host, a.host) {
		return false
	}
	for name, value := range a.equals {
		if other, ok := b.equals[name]; ok && other != value {
			return false
		}
	}
	x, y := tail(a.uri), tail(b.uri)
	return a.exact || strings.HasSuffix(x, y) || strings.HasSuffix(y, x)
}

// tail is the literal text behind the last wildcard.
func tail(uri string) string {
	star, colon := strings.LastIndexByte(uri, '*'), strings.LastIndex(uri, "/:")
	at := max(star, colon+1)
	if at < 0 {
		return ""
	}
	rest := uri[at:]
	if i := strings.IndexByte(rest[1:], '/'); i >= 0 && (rest[0] == ':' || at == 0 || uri[at-1] == '/') {
		return rest[1+i:] // the wildcard has a name
	}
	if at > 0 && uri[at-1] == '/' {
		return ""
	}
	return rest[1:]
}

// hostCovers tells whether pattern a fits every host that b fits.
func hostCovers(a, b string) bool {
	if a == "" || a == "*" {
		return true
	}
	suffix, wild := strings.CutPrefix(a, "*")
	return wild && b != "" && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix)
}

func within(inner, outer []netip.Prefix) bool {
	return !slices.ContainsFunc(inner, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
	})
}

func overlap(a, b []netip.Prefix) bool {
	return slices.ContainsFunc(a, func(p netip.Prefix) bool { return slices.ContainsFunc(b, p.Overlaps) })
}

// readVars returns the rule in one form, and what it demands of variables.
func readVars(raw json.RawMessage) (text string, equals map[string]string) {
	if len(raw) == 0 || string(raw) == "[]" || string(raw) == "null" {
		return "", nil
	}
	var buf bytes.Buffer
	if json.Compact(&buf, raw) != nil {
		return string(raw), nil
	}
	var rule [][]any
	if json.Unmarshal(raw, &rule) != nil {
		return buf.String(), nil
	}
	for _, e := range rule {
		if len(e) != 3 || e[1] != "==" {
			continue
		}
		if name, ok := e[0].(string); ok {
			if equals == nil {
				equals = map[string]string{}
			}
			equals[name] = fmt.Sprint(e[2])
		}
	}
	return buf.String(), equals
}

// where names a pair for a reader.
func (a *pair) where() string { return a.host + a.uri }
