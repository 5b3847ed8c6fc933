package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/guard/corpus"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// outcome is what became of one message.
type outcome struct {
	status     int
	incomplete bool
	head       []string
	body       string
	ctx        *req.Ctx
}

// relayed are the fields that the relay writes itself.
var relayed = h1.IDs(h1.Connection, h1.Upgrade, h1.ContentLength, h1.TransferEncoding, h1.Expect)

// receive plays the connection: it takes messages out of what a client sends
// in pieces of the given size until one is refused or incomplete.
func receive(p *Policy, newCtx func() *req.Ctx, in []byte, piece int) []outcome {
	var all []outcome
	have := 0
	for {
		o := outcome{ctx: newCtx()}
		r := &o.ctx.Req
		n := 0
		for {
			have = min(have+piece, len(in))
			var err *h1.Error
			if n, err = r.Scan(in[:have], p.Limits()); err != nil {
				return append(all, outcome{status: err.Status})
			}
			if n > 0 || have == len(in) {
				break
			}
		}
		if n == 0 {
			if len(in) > 0 {
				all = append(all, outcome{incomplete: true})
			}
			return all
		}
		in, have = in[n:], have-n
		if err := p.Check(o.ctx); err != nil {
			return append(all, outcome{status: err.Status})
		}
		Forward(o.ctx)
		head := string(r.AppendHead(nil, nil, nil, relayed))
		if !r.HasID(h1.Host) {
			// The relay gives a request without Host the node's own.
			head = strings.Replace(head, "Host: \r\n", "", 1)
		}
		o.head = strings.Split(strings.TrimSuffix(head, "\r\n"), "\r\n")
		switch {
		case r.Chunked:
			o.head = append(o.head, "Transfer-Encoding: chunked")
			var c h1.Chunked
			for done := false; !done; {
				if have == 0 {
					if len(in) == 0 {
						return append(all, outcome{incomplete: true})
					}
					have = min(piece, len(in))
				}
				data, k, end, err := c.Next(in[:have])
				if err != nil {
					return append(all, outcome{status: err.Status})
				}
				o.body += string(data)
				in, have, done = in[k:], have-k, end
			}
		case r.ContentLength >= 0:
			o.head = append(o.head, fmt.Sprintf("Content-Length: %d", r.ContentLength))
			if r.ContentLength > int64(len(in)) {
				return append(all, outcome{incomplete: true})
			}
			k := int(r.ContentLength)
			o.body = string(in[:k])
			in, have = in[k:], max(have-k, 0)
		}
		all = append(all, o)
	}
}

func policyOf(t testing.TB, c *corpus.Case) *Policy {
	o := c.Options
	list := func(k string) []string {
		if o[k] == "" {
			return nil
		}
		return strings.Split(o[k], ",")
	}
	num := func(k string) int {
		n, _ := strconv.Atoi(o[k])
		return n
	}
	return mustPolicy(t, Settings{
		Limits:                  h1.Limits{MaxHead: num("head"), MaxURI: num("uri"), MaxFields: num("fields"), MaxBody: int64(num("body"))},
		TrustedAddresses:        list("trusted"),
		DeleteURITailSlash:      o["tailslash"] != "",
		NormalizeURILikeServlet: o["servlet"] != "",
		MatchURIEncodedSlash:    o["encodedslash"] != "",
		DropUnderscores:         o["nounderscore"] != "",
		RealIPFrom:              list("realip"),
		RealIPHeader:            o["realiphead"],
		RealIPRecursive:         o["recursive"] != "",
	})
}

func TestCorpus(t *testing.T) {
	cases, err := corpus.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 200 {
		t.Fatalf("only %d cases", len(cases))
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.Name, func(t *testing.T) {
			p := policyOf(t, c)
			make := func() *req.Ctx {
				ctx := newCtx()
				if c.Options["peer"] != "" {
					ctx.Peer = netip.MustParseAddrPort(c.Options["peer"])
				}
				ctx.TLS = c.Options["tls"] != ""
				return ctx
			}
			// Whatever pieces it comes in, the outcome is the same.
			for _, piece := range []int{len(c.Send), 1, 3, 7, 64} {
				got := receive(p, make, c.Send, piece)
				if len(got) > 0 && got[len(got)-1].incomplete && len(got) == len(c.Want)+1 {
					got = got[:len(c.Want)] // the connection goes on
				}
				if len(got) != len(c.Want) {
					t.Fatalf("pieces of %d: %d messages, want %d: %+v", piece, len(got), len(c.Want), got)
				}
				for k := range got {
					compare(t, c, &got[k], &c.Want[k], piece)
				}
			}
		})
	}
}

func compare(t *testing.T, c *corpus.Case, got *outcome, want *corpus.Want, piece int) {
	t.Helper()
	if got.status != want.Status || got.incomplete != want.Incomplete {
		t.Fatalf("pieces of %d: status %d, incomplete %v; want %d, %v\n%q", piece, got.status, got.incomplete, want.Status, want.Incomplete, got.head)
	}
	if got.status != 0 || got.incomplete {
		return
	}
	gotPlain, gotOwn := split(got.head)
	wantPlain, wantOwn := split(want.Head)
	if !slices.Equal(gotPlain, wantPlain) {
		t.Fatalf("pieces of %d: head\n%s\nwant\n%s", piece, strings.Join(gotPlain, "\n"), strings.Join(wantPlain, "\n"))
	}
	for _, f := range wantOwn {
		if !slices.Contains(gotOwn, f) {
			t.Fatalf("pieces of %d: no %q in %q", piece, f, gotOwn)
		}
	}
	names := map[string]bool{}
	for _, f := range gotOwn {
		name, _, _ := strings.Cut(f, ":")
		if names[name] {
			t.Fatalf("pieces of %d: %s twice", piece, name)
		}
		names[name] = true
	}
	if got.body != string(want.Body) {
		t.Fatalf("pieces of %d: body %q, want %q", piece, got.body, want.Body)
	}
	for k, v := range map[string]string{
		"path": string(got.ctx.Path), "query": string(got.ctx.Query), "host": string(got.ctx.Host),
		"port": strconv.Itoa(int(got.ctx.Port)), "client": got.ctx.Client.String(),
	} {
		if w, ok := c.Options[k]; ok && w != v {
			t.Fatalf("pieces of %d: %s %q, want %q", piece, k, v, w)
		}
	}
}

// split separates the forwarding fields from the others.
func split(head []string) (plain, own []string) {
	for i, f := range head {
		name, _, _ := strings.Cut(f, ":")
		if i > 0 && (strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-IP") {
			own = append(own, f)
		} else {
			plain = append(plain, f)
		}
	}
	return plain, own
}
