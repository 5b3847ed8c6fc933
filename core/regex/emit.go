package regex

import (
	"fmt"
	"math"
	"strings"
)

// Both engines work on characters, PCRE here on bytes. Bytes below 0x80 are
// themselves; the others stand in patterns and texts as characters of a
// private area, which have no case and belong to no class.
const highBase = 0xE000

func charOf(b byte) rune {
	if b < 0x80 {
		return rune(b)
	}
	return highBase + rune(b)
}

// emitter writes nodes in the syntax of an engine.
type emitter struct {
	strings.Builder
	backtracking bool
	// irregular is set when a construct cannot be written for RE2.
	irregular string
	groups    int   // groups opened so far in the output
	index     []int // of the pattern's groups in the output
	markers   []int // groups that catch the newline that a '$' stands before
}

func (e *emitter) emit(n *node, tail bool) {
	switch n.kind {
	case concat:
		for i := range n.kids {
			k := &n.kids[i]
			if k.kind == alternate {
				e.emitGroup("(?:", k, tail && i == len(n.kids)-1)
				continue
			}
			e.emit(k, tail && i == len(n.kids)-1)
		}
	case alternate:
		for i := range n.kids {
			if i > 0 {
				e.WriteByte('|')
			}
			e.emit(&n.kids[i], tail)
		}
	case one:
		e.set(n.set)
	case repeat:
		e.WriteString("(?:")
		e.emit(&n.kids[0], false)
		if e.backtracking && n.kids[0].any(func(k *node) bool { return k.kind == atomicGroup }) {
			// regexp2 v2.13.0 takes (?:(?>a+)){2} for a{2,}. Something behind
			// the group, here an assertion that always holds, keeps it from
			// doing so.
			e.WriteString(`(?!\A\z.)`)
		}
		e.WriteByte(')')
		e.quantity(n)
	case capture:
		e.groups++
		e.index = append(e.index, e.groups)
		e.emitGroup("(", &n.kids[0], tail)
	case textStart:
		e.WriteString(`\A`)
	case textEnd:
		e.WriteString(`\z`)
	case finalEnd:
		e.finalEnd(tail)
	case lineStart:
		if !e.backtracking {
			e.irregular = "^ in multi-line mode"
			return
		}
		e.WriteString(`(?:\A|(?<=\n)(?!\z))`)
	case lineEnd:
		if e.backtracking {
			e.WriteString(`(?=\n|\z)`)
		} else {
			e.WriteString(`(?m:$)`)
		}
	case wordBoundary, notWordBoundary:
		e.boundary(n.kind == wordBoundary)
	default:
		e.irregularNode(n)
	}
}

func (e *emitter) emitGroup(open string, n *node, tail bool) {
	e.WriteString(open)
	e.emit(n, tail)
	e.WriteByte(')')
}

// finalEnd writes '$'. RE2 has no assertion for "before the last newline", so
// that newline is matched, in a group of its own that tells to take it off
// again. That is only right where nothing can follow.
func (e *emitter) finalEnd(tail bool) {
	switch {
	case e.backtracking:
		e.WriteString(`(?=\n?\z)`)
	case !tail:
		e.irregular = "$ before the end of the pattern"
	default:
		e.groups++
		e.markers = append(e.markers, e.groups)
		e.WriteString(`(?:\z|(\n)\z)`)
	}
}

func (e *emitter) boundary(yes bool) {
	const w = `[0-9A-Z_a-z]`
	switch {
	case !e.backtracking && yes:
		e.WriteString(`\b`)
	case !e.backtracking:
		e.WriteString(`\B`)
	case yes:
		e.WriteString(`(?:(?<=` + w + `)(?!` + w + `)|(?<!` + w + `)(?=` + w + `))`)
	default:
		e.WriteString(`(?:(?<=` + w + `)(?=` + w + `)|(?<!` + w + `)(?!` + w + `))`)
	}
}

func (e *emitter) irregularNode(n *node) {
	open := ""
	switch n.kind {
	case atomicGroup:
		e.irregular, open = "an atomic group or possessive quantifier", "(?>"
	case look:
		e.irregular = "a look-around assertion"
		open = "(?" + map[bool]string{true: "<"}[n.behind] + map[bool]string{false: "=", true: "!"}[n.negative]
	case backref:
		e.irregular = "a back-reference"
		if n.fold {
			fmt.Fprintf(e, `(?i:\%d)`, n.group)
		} else {
			fmt.Fprintf(e, `(?:\%d)`, n.group)
		}
		return
	}
	e.emitGroup(open, &n.kids[0], false)
}

func (e *emitter) quantity(n *node) {
	switch {
	case n.lazy && n.hi < 0 && e.backtracking:
		// regexp2 v2.13.0 skips starting points behind a lazy loop without
		// limit that begins an atomic group. A limit that no text reaches
		// keeps it from doing so.
		fmt.Fprintf(e, "{%d,%d}", n.lo, math.MaxInt32-1)
	case n.lo == 0 && n.hi < 0:
		e.WriteByte('*')
	case n.lo == 1 && n.hi < 0:
		e.WriteByte('+')
	case n.lo == 0 && n.hi == 1:
		e.WriteByte('?')
	case n.hi < 0:
		fmt.Fprintf(e, "{%d,}", n.lo)
	default:
		fmt.Fprintf(e, "{%d,%d}", n.lo, n.hi)
	}
	if n.lazy {
		e.WriteByte('?')
	}
}

func (e *emitter) set(s byteSet) {
	if c, ok := s.single(); ok {
		e.char(c)
		return
	}
	if s == (byteSet{}) {
		e.WriteString(`[^\x00-\x7F` + e.escape(0x80) + `-` + e.escape(0xFF) + `]`)
		return
	}
	e.WriteByte('[')
	for lo := 0; lo < 256; lo++ {
		if !s.has(byte(lo)) {
			continue
		}
		// A range must not run from the real characters into the private ones.
		hi, limit := lo, 255
		if lo < 0x80 {
			limit = 0x7F
		}
		for hi < limit && s.has(byte(hi+1)) {
			hi++
		}
		e.WriteString(e.escape(byte(lo)))
		if hi > lo {
			e.WriteByte('-')
			e.WriteString(e.escape(byte(hi)))
		}
		lo = hi
	}
	e.WriteByte(']')
}

// char writes a literal byte.
func (e *emitter) char(c byte) {
	if c < 0x80 && wordBytes.has(c) || c == '/' || c == '-' || c == ' ' || c == ':' {
		e.WriteByte(c)
		return
	}
	e.WriteString(e.escape(c))
}

func (e *emitter) escape(c byte) string {
	switch {
	case c < 0x80:
		return fmt.Sprintf(`\x%02X`, c)
	case e.backtracking:
		return fmt.Sprintf(`\u%04X`, charOf(c))
	}
	return fmt.Sprintf(`\x{%04X}`, charOf(c))
}
