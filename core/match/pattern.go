package match

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sluicegw/sluice/core/req"
)

// pattern is a compiled path pattern. The static part before the first
// wildcard decides its place in the tree; what follows is checked last, when
// all other conditions of a candidate hold.
type pattern struct {
	static string
	exact  bool // no wildcard at all: static is the whole path
	// tail is what follows static. Nil when nothing needs checking: the
	// pattern is exact, or ends with one wildcard whose capture nobody named.
	tail  []token
	names []string
}

// token is one piece of a pattern's tail.
type token struct {
	kind tokenKind
	lit  string // literal
	name int8   // index of the capture, -1 when the text is not kept
}

type tokenKind uint8

const (
	literal  tokenKind = iota
	segment            // ":name": one or more bytes other than '/'
	anything           // "*": any text, slashes included
)

// unnamed is what the capture of a bare "*" segment is called.
const unnamed = ":ext"

// parsePattern compiles a path pattern. params enables ":name" segments.
//
// A '*' that begins a segment takes the rest of that segment as its name. One
// inside a segment stands for any text.
func parsePattern(uri string, params bool) (pattern, error) {
	if uri == "" {
		return pattern{}, fmt.Errorf("the path pattern is empty: write a path such as \"/*\"")
	}
	var p pattern
	start := 0 // of the literal being collected
	flush := func(end int) {
		if start < end {
			p.tail = append(p.tail, token{kind: literal, lit: uri[start:end], name: -1})
		}
	}
	for i := 0; i < len(uri); {
		begins := i == 0 || uri[i-1] == '/'
		switch {
		case uri[i] == '*' && begins:
			flush(i)
			end := segmentEnd(uri, i)
			name := uri[i+1 : end]
			if name == "" {
				name = unnamed
			}
			p.tail = append(p.tail, token{kind: anything, name: int8(len(p.names))})
			p.names = append(p.names, name)
			i, start = end, end
		case uri[i] == '*':
			flush(i)
			p.tail = append(p.tail, token{kind: anything, name: -1})
			i++
			start = i
		case uri[i] == ':' && begins && params:
			flush(i)
			end := segmentEnd(uri, i)
			if end == i+1 {
				return pattern{}, fmt.Errorf("path pattern %q: a parameter has no name at byte %d: write \":name\"", uri, i)
			}
			p.tail = append(p.tail, token{kind: segment, name: int8(len(p.names))})
			p.names = append(p.names, uri[i+1:end])
			i, start = end, end
		default:
			i++
		}
		if len(p.names) > req.MaxParams {
			return pattern{}, fmt.Errorf("path pattern %q has more than %d wildcards", uri, req.MaxParams)
		}
	}
	flush(len(uri))
	if p.tail[0].kind == literal {
		p.static, p.tail = p.tail[0].lit, p.tail[1:]
	}
	switch {
	case len(p.tail) == 0:
		p.exact, p.tail = true, nil
	case len(p.tail) == 1 && p.tail[0].kind == anything && (p.tail[0].name < 0 || p.names[0] == unnamed):
		p.tail, p.names = nil, nil
	}
	return p, nil
}

func segmentEnd(uri string, i int) int {
	if j := strings.IndexByte(uri[i:], '/'); j >= 0 {
		return i + j
	}
	return len(uri)
}

// match reports whether path, which begins with the static part, fits the
// tail, and fills in the captures.
//
// It works from the end to the beginning with the shortest text for each '*',
// which gives the same captures as the longest text from the beginning, and
// only ever has to go back to the last '*': the cost is at most
// len(path) x len(pattern).
func (p *pattern) match(path []byte, spans *[req.MaxParams]req.Span) bool {
	low := len(p.static)
	end := len(path)     // text that is not matched yet ends here
	i := len(p.tail) - 1 // tokens that are not matched yet end here
	star, starBegin := -1, 0
	for {
		if i < 0 {
			if end == low {
				return true
			}
		} else {
			switch t := &p.tail[i]; t.kind {
			case anything:
				star, starBegin = i, end
				t.capture(spans, end, end)
				i--
				continue
			case literal:
				if end-len(t.lit) >= low && string(path[end-len(t.lit):end]) == t.lit {
					end -= len(t.lit)
					i--
					continue
				}
			case segment:
				begin := max(low, bytes.LastIndexByte(path[:end], '/')+1)
				if begin < end {
					t.capture(spans, begin, end)
					end = begin
					i--
					continue
				}
			}
		}
		// Give the last '*' one byte more and go on from there.
		if star < 0 || starBegin == low {
			return false
		}
		starBegin--
		if n := p.tail[star].name; n >= 0 {
			spans[n].Start = uint32(starBegin)
		}
		end, i = starBegin, star-1
	}
}

func (t *token) capture(spans *[req.MaxParams]req.Span, start, end int) {
	if t.name >= 0 {
		spans[t.name] = req.Span{Start: uint32(start), End: uint32(end)}
	}
}
