// Package routes generates routing tables of a realistic mix, with requests
// that are known to match them, for benchmarks and tests.
package routes

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Options say what to generate.
type Options struct {
	// N is the number of routes, at least 1.
	N int
	// Seed makes the result reproducible.
	Seed uint64
	// Upstream is the JSON text of every route's upstream; empty for a node on
	// 127.0.0.1:1980.
	Upstream string
}

// Set is a routing table and requests for it.
type Set struct {
	Routes   []Route
	Requests []Request // one for every route, in the order of Routes
}

// Route is a route as the Admin API and etcd hold it.
type Route struct {
	ID   string
	JSON []byte
}

// Request is a request that its set routes to WantID.
type Request struct {
	Method, Host, Path, Query string
	Header                    [][2]string // names in lower case
	ClientAddr                string      // empty: any
	WantID                    string
}

// Target is the request's path with its query.
func (r *Request) Target() string {
	if r.Query == "" {
		return r.Path
	}
	return r.Path + "?" + r.Query
}

// definition holds the fields of a route that matter for matching.
type definition struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	URI         string          `json:"uri,omitempty"`
	URIs        []string        `json:"uris,omitempty"`
	Host        string          `json:"host,omitempty"`
	Hosts       []string        `json:"hosts,omitempty"`
	Methods     []string        `json:"methods,omitempty"`
	RemoteAddrs []string        `json:"remote_addrs,omitempty"`
	Vars        [][]any         `json:"vars,omitempty"`
	Priority    int             `json:"priority,omitempty"`
	Upstream    json.RawMessage `json:"upstream"`
}

var (
	versions  = []string{"v1", "v2", "v3"}
	resources = []string{
		"users", "orders", "invoices", "products", "carts", "payments", "sessions", "reports", "search",
		"catalog", "inventory", "shipments", "accounts", "devices", "events", "notifications", "tokens",
	}
	actions = []string{"list", "create", "export", "summary", "status", "history", "settings", "metrics"}
)

// Generate makes a set. The mix follows what large installations look like:
// 60 % of the routes belong to hosts with about ten routes each, 20 % to one
// host with very many paths, 10 % to wildcard hosts and 10 % have no host; six
// in ten paths are exact; a third binds methods, a tenth looks at variables
// (and competes with a sibling at the same place), some restrict the client's
// address.
func Generate(opt Options) *Set {
	g := &generator{rnd: rand.New(rand.NewPCG(opt.Seed, 0x51)), set: &Set{}}
	g.upstream = json.RawMessage(opt.Upstream)
	if opt.Upstream == "" {
		g.upstream = json.RawMessage(`{"type":"roundrobin","nodes":{"127.0.0.1:1980":1}}`)
	}
	for len(g.set.Routes) < opt.N {
		g.next(opt.N - len(g.set.Routes))
	}
	return g.set
}

type generator struct {
	rnd      *rand.Rand
	upstream json.RawMessage
	set      *Set
	n        int
}

func (g *generator) pick(s []string) string { return s[g.rnd.IntN(len(s))] }

// next adds a route, or a pair of competing ones when there is room for two.
func (g *generator) next(room int) {
	n := g.n
	g.n++
	d := definition{Upstream: g.upstream}
	r := Request{Method: "GET"}

	// The host.
	switch kind := n % 10; {
	case kind < 6:
		d.Host = fmt.Sprintf("%s-%d.team%d.example.com", g.resource(n/60), n/60, n%7)
		r.Host = d.Host
	case kind < 8:
		d.Host, r.Host = "api.example.com", "api.example.com"
	case kind < 9:
		base := fmt.Sprintf("tenant%d.apps.example.net", n/40)
		d.Hosts = []string{"*." + base}
		r.Host = "www." + base
	default:
		r.Host = "anything.example.org"
	}

	// The path; the number keeps it unique.
	base := "/api/" + g.pick(versions) + "/" + g.pick(resources) + "/" + strconv.Itoa(n)
	switch g.rnd.IntN(10) {
	case 0, 1, 2, 3:
		d.URI = base + "/" + g.pick(actions)
		r.Path = d.URI
	case 4, 5:
		action := g.pick(actions)
		d.URIs = []string{base, base + "/" + action}
		r.Path = base + "/" + action
	case 6, 7, 8:
		d.URI = base + "/*"
		r.Path = base + "/items/" + strconv.Itoa(g.rnd.IntN(1e6))
	default:
		d.URI = base + "*"
		r.Path = base + "-v" + strconv.Itoa(g.rnd.IntN(100))
	}

	if g.rnd.IntN(3) == 0 {
		d.Methods = []string{"GET", "POST"}
		if g.rnd.IntN(2) == 0 {
			d.Methods = []string{"POST", "PUT", "DELETE"}
			r.Method = "POST"
		}
	}
	if g.rnd.IntN(40) == 0 {
		d.RemoteAddrs = []string{"10.0.0.0/8", "192.168.0.0/16", "fd00::/8"}
		r.ClientAddr = "10.1.2.3"
	}
	if g.rnd.IntN(20) == 0 && room > 1 {
		// A canary in front of its sibling.
		canary, cr := d, r
		canary.Priority = 10
		switch g.rnd.IntN(3) {
		case 0:
			canary.Vars = [][]any{{"http_x_canary", "==", "yes"}}
			cr.Header = [][2]string{{"x-canary", "yes"}}
		case 1:
			canary.Vars = [][]any{{"arg_version", "in", []string{"2", "3"}}}
			cr.Query = "lang=en&version=2"
		default:
			canary.Vars = [][]any{{"cookie_group", "~~", "^(beta|alpha)$"}}
			cr.Header = [][2]string{{"cookie", "sid=8f2c; group=beta"}}
		}
		g.add(&canary, &cr)
	}
	g.add(&d, &r)
}

// resource names a host's service by its number, always the same.
func (g *generator) resource(n int) string { return resources[n%len(resources)] }

func (g *generator) add(d *definition, r *Request) {
	id := strconv.Itoa(len(g.set.Routes) + 1)
	d.ID, d.Name, r.WantID = id, "route-"+id, id
	text, err := json.Marshal(d)
	if err != nil {
		panic("BUG: a generated route is not JSON: " + err.Error())
	}
	g.set.Routes = append(g.set.Routes, Route{ID: id, JSON: text})
	g.set.Requests = append(g.set.Requests, *r)
}
