package regex

// node is one construct of a parsed pattern. Options such as (?i) are resolved
// by the parser and stand in no node.
type node struct {
	kind kind
	set  byteSet // one
	kids []node

	group    int  // capture, backref: the group's number
	lo, hi   int  // repeat: how often; hi < 0 is without limit
	lazy     bool // repeat
	behind   bool // look
	negative bool // look
	fold     bool // backref
}

type kind uint8

const (
	concat kind = iota // no kids: matches the empty text
	alternate
	one // one byte out of set
	repeat
	capture
	textStart       // \A, ^
	textEnd         // \z
	finalEnd        // \Z, $: the end, or before a newline that ends the text
	lineStart       // ^ in multi-line mode
	lineEnd         // $ in multi-line mode
	wordBoundary    // \b
	notWordBoundary // \B
	// What follows has no equivalent in a regular language.
	atomicGroup
	look
	backref
)

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }
func (s *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.add(byte(c))
	}
}

func (s *byteSet) union(t byteSet) {
	for i := range s {
		s[i] |= t[i]
	}
}

func (s byteSet) not() byteSet {
	for i := range s {
		s[i] = ^s[i]
	}
	return s
}

// folded adds the other case of every ASCII letter; other bytes have none.
func (s byteSet) folded() byteSet {
	for c := byte('a'); c <= 'z'; c++ {
		if s.has(c) || s.has(c-32) {
			s.add(c)
			s.add(c - 32)
		}
	}
	return s
}

// single returns the only byte of the set.
func (s *byteSet) single() (byte, bool) {
	found, n := byte(0), 0
	for c := 0; c < 256; c++ {
		if s.has(byte(c)) {
			found = byte(c)
			n++
		}
	}
	return found, n == 1
}

func setOf(ranges ...byte) byteSet {
	var s byteSet
	for i := 0; i < len(ranges); i += 2 {
		s.addRange(ranges[i], ranges[i+1])
	}
	return s
}

// The classes that escapes and names stand for, in the C locale.
var (
	digits     = setOf('0', '9')
	wordBytes  = setOf('0', '9', 'A', 'Z', 'a', 'z', '_', '_')
	spaces     = setOf('\t', '\r', ' ', ' ')
	horizontal = setOf('\t', '\t', ' ', ' ', 0xA0, 0xA0)
	vertical   = setOf('\n', '\r', 0x85, 0x85)
	newline    = setOf('\n', '\n')
	anyByte    = setOf(0, 0xFF)
)

var posix = map[string]byteSet{
	"alpha":  setOf('A', 'Z', 'a', 'z'),
	"lower":  setOf('a', 'z'),
	"upper":  setOf('A', 'Z'),
	"alnum":  setOf('0', '9', 'A', 'Z', 'a', 'z'),
	"ascii":  setOf(0, 127),
	"blank":  setOf('\t', '\t', ' ', ' '),
	"cntrl":  setOf(0, 31, 127, 127),
	"digit":  digits,
	"graph":  setOf(33, 126),
	"print":  setOf(32, 126),
	"punct":  setOf(33, 47, 58, 64, 91, 96, 123, 126),
	"space":  spaces,
	"word":   wordBytes,
	"xdigit": setOf('0', '9', 'A', 'F', 'a', 'f'),
}

// width is how many bytes a node matches; ok is false when that varies.
func (n *node) width() (w int, ok bool) {
	switch n.kind {
	case one:
		return 1, true
	case concat, capture, atomicGroup:
		for i := range n.kids {
			k, ok := n.kids[i].width()
			if !ok {
				return 0, false
			}
			w += k
		}
		return w, true
	case alternate:
		for i := range n.kids {
			k, ok := n.kids[i].width()
			if !ok || i > 0 && k != w {
				return 0, false
			}
			w = k
		}
		return w, true
	case repeat:
		k, ok := n.kids[0].width()
		return k * n.lo, ok && n.lo == n.hi
	case backref:
		return 0, false
	}
	return 0, true // assertions
}

// any reports whether f holds for the node or anything in it.
func (n *node) any(f func(*node) bool) bool {
	if f(n) {
		return true
	}
	for i := range n.kids {
		if n.kids[i].any(f) {
			return true
		}
	}
	return false
}
