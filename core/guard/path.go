package guard

import (
	"bytes"
	"encoding/binary"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Classes of bytes in a path.
const (
	pathPlain      uint8 = 1 << iota // may stand in a path as it is, RFC 3986 pchar
	pathUnreserved                   // means the same with and without percent-encoding
)

var pathClass = func() (t [256]uint8) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = pathPlain|pathUnreserved, pathPlain|pathUnreserved
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = pathPlain | pathUnreserved
	}
	for _, c := range "-._~" {
		t[c] = pathPlain | pathUnreserved
	}
	for _, c := range "!$&'()*+,;=:@" {
		t[c] = pathPlain
	}
	return t
}()

// setPath splits a target in origin form and sets Path, Query and, where it
// differs from what the client wrote, Req.Target.
func (p *Policy) setPath(ctx *req.Ctx, target []byte) *h1.Error {
	r := &ctx.Req
	if len(target) > 0 && target[0] == '?' {
		// http://host?query
		ctx.Scratch = append(append(ctx.Scratch[:0], '/'), target...)
		target = r.Keep(ctx.Scratch)
	}

	// Fast path: nothing but plain bytes and single slashes.
	i := 0
	for i < len(target) {
		c := target[i]
		if pathClass[c] != 0 {
			i++
			continue
		}
		if c != '/' || !simpleSegment(target[i+1:]) {
			break
		}
		i++
	}
	simple := i == len(target) || target[i] == '?'
	if !simple {
		if k := bytes.IndexByte(target[i:], '?'); k >= 0 {
			i += k
		} else {
			i = len(target)
		}
	}
	path, query := target[:i], []byte(nil)
	escapeQuery := false
	if i < len(target) {
		query = target[i+1 : len(target) : len(target)]
		var ok bool
		if escapeQuery, ok = checkQuery(query); !ok {
			return h1.ErrTarget
		}
	}
	ctx.Query = query

	if simple && !escapeQuery && r.Form() != h1.AbsoluteForm {
		if !p.tailSlash && !p.servlet {
			ctx.Path = path[:len(path):len(path)]
			return nil
		}
		var err *h1.Error
		ctx.Path, err = p.matched(ctx, path)
		return err
	}
	if r.Form() == h1.AsteriskForm {
		ctx.Path = path
		return nil
	}
	return p.setPathSlow(ctx, path, query)
}

// simpleSegment reports whether the segment at the beginning of b is neither
// empty nor one of those that begin like a dot segment.
func simpleSegment(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] == '/' {
		return false
	}
	if b[0] != '.' {
		return true
	}
	return len(b) > 1 && pathClass[b[1]] != 0 && b[1] != '.' && b[1] != ';'
}

// checkQuery reports whether a query has bytes outside ASCII, which have to be
// escaped, and false for one that no two parsers would read alike.
func checkQuery(b []byte) (escape, ok bool) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	var high uint64
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		d := x ^ '#'*ones
		if (d-ones)&^d&highs != 0 {
			return false, false
		}
		high |= x
		i += 8
	}
	for ; i < len(b); i++ {
		if b[i] == '#' {
			return false, false
		}
		high |= uint64(b[i])
	}
	return high&highs != 0, true
}

// setPathSlow normalises a path and writes the target anew.
func (p *Policy) setPathSlow(ctx *req.Ctx, path, query []byte) *h1.Error {
	r := &ctx.Req
	n := len(path)
	// Decoding never lengthens, escaping at most triples.
	if need := 4*n + 3*len(query) + 1; cap(ctx.Scratch) < need {
		ctx.Scratch = make([]byte, 0, 2*need)
	}
	s := ctx.Scratch[:cap(ctx.Scratch)]
	f := pathForm{text: s[0:0:n], wire: s[n:n]}
	if err := f.normalise(path); err != nil {
		return err
	}
	match, err := p.matched(ctx, f.text)
	if err != nil {
		return err
	}
	if p.encodedSlash && f.encodedSlash && !f.changed && len(match) == len(f.text) {
		match = appendKeepSlash(f.text[:0], f.wire)
	}
	ctx.Path = r.Keep(match)
	wire := f.wire
	if query != nil {
		wire = append(wire, '?')
		for _, c := range query {
			if c < 0x80 {
				wire = append(wire, c)
			} else {
				wire = appendEscape(wire, c)
			}
		}
	}
	if !bytes.Equal(wire, r.RawTarget()) {
		r.SetTarget(wire)
	}
	return nil
}

// matched returns the form of a normalised path that routes match on.
func (p *Policy) matched(ctx *req.Ctx, path []byte) ([]byte, *h1.Error) {
	if p.tailSlash && len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	if p.servlet && bytes.IndexByte(path, ';') >= 0 {
		return stripParams(&ctx.Req, path)
	}
	return path, nil
}

// stripParams removes ";..." from each segment, as servlet containers do
// before they choose a servlet.
func stripParams(r *h1.Request, path []byte) ([]byte, *h1.Error) {
	out := r.Keep(path)[:0]
	for len(path) > 0 {
		// path begins with a slash
		end := bytes.IndexByte(path[1:], '/') + 1
		if end == 0 {
			end = len(path)
		}
		seg := path[1:end]
		if k := bytes.IndexByte(seg, ';'); k >= 0 {
			seg = seg[:k]
			if len(seg) == 0 && end < len(path) {
				return nil, ErrPathParams
			}
			if hasEncodedDots(seg) {
				return nil, ErrPathDots
			}
		}
		out = append(out, '/')
		out = append(out, seg...)
		path = path[end:]
	}
	return out, nil
}

// hasEncodedDots finds what a second decoding would turn into dot segments or
// separators.
func hasEncodedDots(seg []byte) bool {
	for i := 0; i+2 < len(seg); i++ {
		if seg[i] != '%' {
			continue
		}
		switch c := seg[i+2] | 0x20; {
		case seg[i+1] == '2' && (c == 'e' || c == 'f'), seg[i+1] == '5' && c == 'c':
			return true
		}
	}
	return false
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}
