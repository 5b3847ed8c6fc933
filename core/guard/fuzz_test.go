package guard

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/guard/corpus"
	"github.com/sluicegw/sluice/core/h1"
)

// FuzzPath holds what a normalised path promises: it has no dot segments and
// no empty ones, its two forms say the same, and normalising it once more
// changes nothing.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/", "/a/b", "//a/./b/../c/", "/a%2f..%2Fb", "/%2e%2e/x", "/caf%c3%a9", "/a%2F/b", "/a/%2Fb", "/a%2F%2fb//",
		"/..;/x", "/a\\..\\b", "/%c0%af", "/a;b/c;d", "/\x80\xff", "/a%252e", "/.a/..b/...", "/a%2Fb/..%2f../c", "/%", "/%zz",
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, options uint8) {
		raw = append([]byte("/"), raw...)
		for _, c := range raw {
			if c <= ' ' || c == 0x7f {
				return // no target: Scan refuses it
			}
		}
		p := &Policy{tailSlash: options&1 != 0, servlet: options&2 != 0, encodedSlash: options&4 != 0}
		head := append(append([]byte("GET "), raw...), " HTTP/1.1\r\nHost: a\r\n\r\n"...)
		ctx := newCtx()
		if n, err := ctx.Req.Scan(head, nil); n != len(head) || err != nil {
			return
		}
		if err := p.Check(ctx); err != nil {
			return
		}
		target := string(ctx.Req.Target())
		wire, query, _ := strings.Cut(target, "?")
		for i := range len(target) {
			if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' {
				t.Fatalf("%q became the target %q", raw, target)
			}
		}
		text, err := url.PathUnescape(wire)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, wire, err)
		}
		segs := strings.Split(text, "/")
		for i, s := range segs {
			if s == "." || s == ".." || s == "" && i > 0 && i < len(segs)-1 {
				t.Fatalf("%q became %q", raw, wire)
			}
		}
		path := string(ctx.Path)
		if options&7 == 0 && path != text {
			t.Fatalf("%q: routes match %q, the upstream sees %q", raw, path, text)
		}
		if options&6 == 0 && strings.TrimSuffix(path, "/") != strings.TrimSuffix(text, "/") {
			t.Fatalf("%q: routes match %q, the upstream sees %q", raw, path, text)
		}
		if options&3 == 0 && path != text && strings.ReplaceAll(path, "%2F", "/") != text {
			// %252F is the one other thing that decodes to a kept slash.
			if !strings.Contains(wire, "%252F") {
				t.Fatalf("%q: routes match %q, the upstream sees %q", raw, path, text)
			}
		}

		again := newCtx()
		head = append(append([]byte("GET "), target...), " HTTP/1.1\r\nHost: a\r\n\r\n"...)
		if _, err := again.Req.Scan(head, &h1.Limits{MaxHead: 1 << 20, MaxURI: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(again); err != nil {
			t.Fatalf("%q became %q, which is refused: %v", raw, target, err)
		}
		// With %2F kept for matching the path may differ: the second time
		// nothing but decoding is needed.
		if string(again.Req.Target()) != target || !p.encodedSlash && string(again.Path) != path || string(again.Query) != query {
			t.Fatalf("%q became %q, then %q", raw, target, again.Req.Target())
		}
		if got, err := url.PathUnescape(string(h1.AppendEscapedPath(nil, ctx.Path))); err != nil || got != path {
			t.Fatalf("%q escaped and decoded is %q", path, got)
		}
	})
}

// FuzzCheck sends anything through the guard. What comes out must be one
// message, the same when it is sent again, read alike by net/http, and free of
// what a client may not say.
func FuzzCheck(f *testing.F) {
	cases, err := corpus.Load()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		if len(c.Send) < 1000 {
			f.Add(c.Send, uint8(len(c.Options)))
		}
	}
	policies := []*Policy{
		mustPolicy(f, Settings{}),
		mustPolicy(f, Settings{TrustedAddresses: []string{"192.0.2.0/24"}, DeleteURITailSlash: true, DropUnderscores: true}),
		mustPolicy(f, Settings{TrustedAddresses: []string{}, NormalizeURILikeServlet: true}),
		mustPolicy(f, Settings{MatchURIEncodedSlash: true, RealIPFrom: []string{"192.0.2.0/24"}, RealIPHeader: "X-Forwarded-For", RealIPRecursive: true}),
	}
	f.Fuzz(func(t *testing.T, in []byte, which uint8) {
		p := policies[which%4]
		ctx := newCtx()
		r := &ctx.Req
		n, err := r.Scan(in, nil)
		if err != nil || n == 0 {
			return
		}
		if p.Check(ctx) != nil {
			return
		}
		Forward(ctx)
		drop := h1.IDs(h1.Connection, h1.Upgrade)
		out := append(r.AppendHead(nil, nil, nil, drop), "\r\n"...)
		if r.Seen()&(h1.Identity|1<<h1.Shadow|h1.HopByHop&^(drop|1<<h1.TransferEncoding)) != 0 {
			t.Fatalf("%q passed as %q", in, out)
		}
		if len(ctx.Host) == 0 {
			return // HTTP/1.0 without Host: the relay names the node
		}
		o, oerr := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		if oerr != nil {
			t.Fatalf("net/http refuses %q: %v", out, oerr)
		}
		if r.Form() != h1.AsteriskForm && !p.tailSlash && !p.servlet && !p.encodedSlash && o.URL.Path != string(ctx.Path) {
			t.Fatalf("routes match %q, net/http sees %q", ctx.Path, o.URL.Path)
		}
		if o.Method != string(r.Method()) || o.RequestURI != string(r.Target()) || o.URL.RawQuery == "" && len(ctx.Query) > 0 {
			t.Fatalf("net/http reads %s %s from %q", o.Method, o.RequestURI, out)
		}
		if r.Chunked != (len(o.TransferEncoding) > 0) || !r.Chunked && o.ContentLength != max(r.ContentLength, 0) {
			t.Fatalf("net/http reads length %d, coding %v from %q", o.ContentLength, o.TransferEncoding, out)
		}
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Host", "X-Real-Ip", "X-Forwarded-For"} {
			if len(o.Header[name]) == 0 {
				t.Fatalf("no %s in %q", name, out)
			}
		}
		if !strings.HasSuffix(o.Header.Get("X-Forwarded-For"), ctx.Client.String()) {
			t.Fatalf("X-Forwarded-For %q does not end with %s", o.Header.Get("X-Forwarded-For"), ctx.Client)
		}

		again := newCtx()
		if _, err := again.Req.Scan(out, &h1.Limits{MaxHead: 1 << 20, MaxURI: 1 << 20, MaxFields: 200}); err != nil {
			t.Fatalf("%q became %q, which is refused: %v", in, out, err)
		}
		if err := p.Check(again); err != nil {
			t.Fatalf("%q became %q, which is refused: %v", in, out, err)
		}
		was, is := fieldsOf(&r.Header), fieldsOf(&again.Req.Header)
		if !slices.Equal(was, is) || !bytes.Equal(r.Target(), again.Req.Target()) {
			t.Fatalf("%q became\n%q, then\n%q", in, was, is)
		}
	})
}

// fieldsOf lists the fields that do not change from hop to hop, Host aside.
func fieldsOf(h *h1.Header) []string {
	var all []string
	for i := range h.Len() {
		if h1.IDs(h1.Host, h1.Connection, h1.Upgrade).Has(h.ID(i)) && h.ID(i) != h1.Other || h1.Forwarding.Has(h.ID(i)) {
			continue
		}
		all = append(all, string(h.Name(i))+": "+string(h.Value(i)))
	}
	return all
}
