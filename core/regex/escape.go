package regex

import (
	"strconv"
	"strings"
)

// escape reads a backslash and what it stands for, outside a class.
func (p *parser) escape() (node, error) {
	if p.pos+1 == len(p.src) {
		return node{}, p.errorf("a backslash at the end")
	}
	c := p.src[p.pos+1]
	if s, ok := classEscape(c); ok {
		p.pos += 2
		return node{kind: one, set: s}, nil
	}
	switch c {
	case 'A', 'z', 'Z', 'b', 'B':
		p.pos += 2
		return node{kind: map[byte]kind{
			'A': textStart, 'z': textEnd, 'Z': finalEnd, 'b': wordBoundary, 'B': notWordBoundary,
		}[c]}, nil
	case 'N':
		if strings.HasPrefix(p.src[p.pos+2:], "{") {
			return node{}, p.errorf("\\N{...} is not supported")
		}
		p.pos += 2
		return node{kind: one, set: newline.not()}, nil
	case 'C':
		p.pos += 2
		return node{kind: one, set: anyByte}, nil
	case 'R':
		p.pos += 2
		cr, lf := node{kind: one, set: setOf('\r', '\r')}, node{kind: one, set: newline}
		return node{kind: atomicGroup, kids: []node{{kind: alternate, kids: []node{
			{kind: concat, kids: []node{cr, lf}}, {kind: one, set: vertical},
		}}}}, nil
	case 'g', 'k':
		p.pos += 2
		return p.reference(c)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		end := p.pos + 1
		for end < len(p.src) && digits.has(p.src[end]) {
			end++
		}
		n, err := strconv.Atoi(p.src[p.pos+1 : end])
		if err != nil || n > 9 && n > p.groups {
			return node{}, p.errorf("%q is a reference or an octal number depending on the groups before it; write \\g{n} or \\o{n}", p.src[p.pos:end])
		}
		p.pos = end
		return p.refByNumber(n)
	}
	b, err := p.byteEscape()
	if err != nil {
		return node{}, err
	}
	return p.literal(b), nil
}

// classEscape returns the set of an escape that means one both inside and
// outside of brackets.
func classEscape(c byte) (byteSet, bool) {
	switch c {
	case 'd':
		return digits, true
	case 'D':
		return digits.not(), true
	case 'w':
		return wordBytes, true
	case 'W':
		return wordBytes.not(), true
	case 's':
		return spaces, true
	case 'S':
		return spaces.not(), true
	case 'h':
		return horizontal, true
	case 'H':
		return horizontal.not(), true
	case 'v':
		return vertical, true
	case 'V':
		return vertical.not(), true
	}
	return byteSet{}, false
}

// reference reads what follows \g or \k.
func (p *parser) reference(c byte) (node, error) {
	open := p.peek()
	var text string
	ok := true
	switch {
	case open == '{':
		p.pos++
		text, ok = p.until("}")
	case c == 'k' && open == '<':
		p.pos++
		text, ok = p.until(">")
	case c == 'k' && open == '\'':
		p.pos++
		text, ok = p.until("'")
	case c == 'g' && (open == '<' || open == '\''):
		return node{}, p.errorf("a call of a group (\\g<...>) is not supported")
	case c == 'g':
		end := p.pos
		for end < len(p.src) && (digits.has(p.src[end]) || end == p.pos && (p.src[end] == '-' || p.src[end] == '+')) {
			end++
		}
		text, p.pos = p.src[p.pos:end], end
	default:
		ok = false
	}
	if !ok || text == "" {
		return node{}, p.errorf("a malformed reference")
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || c == 'k':
		if strings.Trim(text, nameBytes) != "" || digits.has(text[0]) {
			return node{}, p.errorf("a malformed reference")
		}
		return p.refByName(text), nil
	case text[0] == '-':
		return p.refByNumber(p.groups + 1 + n)
	case text[0] == '+':
		return node{}, p.errorf("a reference to a later group (\\g{+n}) is not supported")
	}
	return p.refByNumber(n)
}

// byteEscape reads an escape that stands for a single byte.
func (p *parser) byteEscape() (byte, error) {
	if p.pos+1 == len(p.src) {
		return 0, p.errorf("a backslash at the end")
	}
	start := p.pos
	c := p.src[p.pos+1]
	p.pos += 2
	fail := func(what string) (byte, error) {
		p.pos = start
		return 0, p.errorf("%s", what)
	}
	number := func(text string, base int) (byte, error) {
		n, err := strconv.ParseUint(text, base, 8)
		if err != nil {
			return fail("a character number that is malformed or above 255; write the bytes of its UTF-8 form")
		}
		return byte(n), nil
	}
	switch c {
	case 'a':
		return '\a', nil
	case 'e':
		return 0x1B, nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'c':
		if !p.more() || p.peek() < 32 || p.peek() > 126 {
			return fail("\\c needs a printable character")
		}
		x := p.src[p.pos]
		p.pos++
		if 'a' <= x && x <= 'z' {
			x -= 32
		}
		return x ^ 64, nil
	case '0':
		return number(p.digits(8, 2, "0"), 8)
	case 'o':
		if !p.take("{") {
			return fail("\\o needs a number in braces")
		}
		text, ok := p.until("}")
		if !ok {
			return fail("\\o{ without }")
		}
		return number(text, 8)
	case 'x':
		if p.take("{") {
			text, ok := p.until("}")
			if !ok {
				return fail("\\x{ without }")
			}
			return number(text, 16)
		}
		return number(p.digits(16, 2, "0"), 16)
	}
	if c < 0x80 && wordBytes.has(c) && c != '_' {
		switch c {
		case 'p', 'P', 'X':
			return fail("\\" + string(c) + " is not supported: it would look at single bytes of characters")
		case 'K', 'G':
			return fail("\\" + string(c) + " is not supported")
		}
		return fail("\\" + string(c) + " has no meaning")
	}
	return c, nil
}

// digits reads up to n digits of a base behind prefix.
func (p *parser) digits(base, n int, prefix string) string {
	end := p.pos
	for end < len(p.src) && end-p.pos < n {
		if _, err := strconv.ParseUint(p.src[end:end+1], base, 8); err != nil {
			break
		}
		end++
	}
	text := p.src[p.pos:end]
	p.pos = end
	return prefix + text
}
