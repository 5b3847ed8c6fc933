package chain

import (
	"bytes"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// HideArg takes an argument out of the request's query, for the upstream and
// for the stages that follow.
func HideArg(ctx *req.Ctx, name string) {
	target := ctx.Req.Target()
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	out := append(ctx.ValueBuf[:0], target...)
	start := len(out) + 1
	for query := ctx.Query; len(query) > 0; {
		var pair []byte
		pair, query, _ = bytes.Cut(query, ampersand)
		arg, _, _ := bytes.Cut(pair, equals)
		if equalDecoded(arg, name) {
			continue
		}
		if len(out) < start {
			out = append(out, '?')
		} else {
			out = append(out, '&')
		}
		out = append(out, pair...)
	}
	ctx.ValueBuf = out
	ctx.Req.SetTarget(out)
	ctx.Query = nil
	if len(out) >= start {
		ctx.Query = ctx.Req.Keep(out[start:])
	}
}

var ampersand, equals = []byte{'&'}, []byte{'='}

// equalDecoded compares the name of an argument, as a query encodes it, with a
// plain one.
func equalDecoded(b []byte, name string) bool {
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(b):
			hi, lo := unhex(b[i+1]), unhex(b[i+2])
			if hi < 16 && lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		if n >= len(name) || name[n] != c {
			return false
		}
		n++
	}
	return n == len(name)
}

// unhex is the value of a hex digit, 255 for any other byte.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// HideCookie takes a cookie out of the request's Cookie fields.
func HideCookie(ctx *req.Ctx, name string) {
	h := &ctx.Req.Header
	out := ctx.ValueBuf[:0]
	for i := h.IndexID(h1.Cookie, 0); i >= 0; i = h.IndexID(h1.Cookie, i+1) {
		for rest := h.Value(i); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, semicolon)
			pair = bytes.TrimSpace(pair)
			key, _, _ := bytes.Cut(pair, equals)
			if len(pair) == 0 || string(key) == name {
				continue
			}
			if len(out) > 0 {
				out = append(out, "; "...)
			}
			out = append(out, pair...)
		}
	}
	ctx.ValueBuf = out
	if len(out) == 0 {
		h.DelID(h1.Cookie)
		return
	}
	h.SetID(h1.Cookie, out)
}

var semicolon = []byte{';'}
