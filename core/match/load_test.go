package match

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/sluicegw/sluice/bench/routes"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// generated is a table of generated routes with its requests.
type generated struct {
	table *Table
	reqs  []routes.Request
}

func entryOf(t testing.TB, text []byte) *Entry {
	t.Helper()
	var d struct {
		ID, URI, Host string
		URIs, Hosts   []string
		Methods       []string
		RemoteAddrs   []string `json:"remote_addrs"`
		Vars          json.RawMessage
		Priority      int
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	e := &Entry{Route: &req.Route{ID: d.ID}, Hosts: d.Hosts, URIs: d.URIs, Priority: d.Priority}
	if d.Host != "" {
		e.Hosts = []string{d.Host}
	}
	if d.URI != "" {
		e.URIs = []string{d.URI}
	}
	var err error
	if e.Methods, err = Methods(d.Methods); err != nil {
		t.Fatal(err)
	}
	if e.RemoteAddrs, err = RemoteAddrs(d.RemoteAddrs); err != nil {
		t.Fatal(err)
	}
	if d.Vars != nil {
		if e.Vars, err = expr.CompileJSON(d.Vars); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func generate(t testing.TB, n int, mode Mode) *generated {
	t.Helper()
	set := routes.Generate(routes.Options{N: n, Seed: 1})
	tx := New(Options{Mode: mode}).Edit()
	for _, r := range set.Routes {
		if err := tx.Put(entryOf(t, r.JSON)); err != nil {
			t.Fatal(err)
		}
	}
	return &generated{table: tx.Commit(), reqs: set.Requests}
}

// contexts makes a context for every request, as a loop would have filled it.
func contexts(t testing.TB, reqs []routes.Request) []*req.Ctx {
	t.Helper()
	out := make([]*req.Ctx, len(reqs))
	for i := range reqs {
		out[i] = contextOf(t, &reqs[i])
	}
	return out
}

func contextOf(t testing.TB, r *routes.Request) *req.Ctx {
	t.Helper()
	ctx := new(req.Ctx)
	head := r.Method + " " + r.Target() + " HTTP/1.1\r\nHost: " + r.Host + "\r\n"
	for _, f := range r.Header {
		head += f[0] + ": " + f[1] + "\r\n"
	}
	head += "User-Agent: curl/8\r\nAccept: */*\r\n\r\n"
	if n, err := ctx.Req.Scan([]byte(head), new(h1.Limits)); n != len(head) || err != nil {
		t.Fatalf("head not scanned: %d, %v", n, err)
	}
	ctx.Path, ctx.Query = []byte(r.Path), []byte(r.Query)
	ctx.Host = []byte(r.Host)
	ctx.Client = netip.MustParseAddr("203.0.113.9")
	if r.ClientAddr != "" {
		ctx.Client = netip.MustParseAddr(r.ClientAddr)
	}
	ctx.Scratch = make([]byte, 0, 512)
	return ctx
}

func TestGeneratedRequestsMatchTheirRoutes(t *testing.T) {
	for _, mode := range []Mode{ModeHostURI, ModeURI, ModeURIWithParameter} {
		g := generate(t, 5000, mode)
		if g.table.Len() != 5000 {
			t.Fatalf("%d routes", g.table.Len())
		}
		for i := range g.reqs {
			r := &g.reqs[i]
			ctx := contextOf(t, r)
			if !g.table.Match(ctx) || ctx.Route.ID != r.WantID {
				t.Fatalf("mode %d: %s %s%s: got %+v, want route %s", mode, r.Method, r.Host, r.Target(), ctx.Route, r.WantID)
			}
		}
	}
}
