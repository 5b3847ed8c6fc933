package regex

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds on patterns. They keep compiling and the recursion over nodes small.
const (
	maxPattern = 8 << 10
	maxDepth   = 200
	maxRepeat  = 65535
)

// parser reads PCRE syntax, byte by byte as PCRE does without its UTF mode.
// What it does not know it refuses: nothing reaches an engine that is not
// spelled out as nodes first.
type parser struct {
	src   string
	pos   int
	opt   options
	depth int

	groups int
	names  map[string]int
	// refs are the references by name, to be resolved at the end, since they
	// may point forward.
	refs []string
	// highest is the highest group number that is referred to.
	highest int
}

type options struct{ fold, multi, dotAll, extended bool }

// maxNamedRef marks a node whose group number is an index into refs.
const namedRef = 1 << 20

func parse(src string, fold bool) (node, *parser, error) {
	p := &parser{src: src, opt: options{fold: fold}, names: map[string]int{}}
	if len(src) > maxPattern {
		return node{}, nil, fmt.Errorf("it is longer than %d bytes", maxPattern)
	}
	n, err := p.alternation()
	if err != nil {
		return node{}, nil, err
	}
	if p.pos < len(src) {
		return node{}, nil, p.errorf("a ')' without '('")
	}
	if p.highest > p.groups {
		return node{}, nil, fmt.Errorf("it refers to group %d and has %d", p.highest, p.groups)
	}
	if err := p.resolve(&n); err != nil {
		return node{}, nil, err
	}
	return n, p, nil
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.pos, fmt.Sprintf(format, args...))
}

func (p *parser) resolve(n *node) error {
	if n.kind == backref && n.group >= namedRef {
		name := p.refs[n.group-namedRef]
		g, ok := p.names[name]
		if !ok {
			return fmt.Errorf("it refers to a group %q that it does not have", name)
		}
		n.group = g
	}
	for i := range n.kids {
		if err := p.resolve(&n.kids[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

// until returns the text up to end and steps over it.
func (p *parser) until(end string) (string, bool) {
	text, _, ok := strings.Cut(p.src[p.pos:], end)
	if ok {
		p.pos += len(text) + len(end)
	}
	return text, ok
}

func (p *parser) alternation() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return node{}, p.errorf("more than %d levels of nesting", maxDepth)
	}
	defer func() { p.depth-- }()
	var branches []node
	for {
		n, err := p.sequence()
		if err != nil {
			return node{}, err
		}
		branches = append(branches, n)
		if !p.take("|") {
			break
		}
	}
	if len(branches) == 1 {
		return branches[0], nil
	}
	return node{kind: alternate, kids: branches}, nil
}

func (p *parser) sequence() (node, error) {
	var seq []node
	for p.skip(); p.more() && p.peek() != '|' && p.peek() != ')'; p.skip() {
		if p.take(`\Q`) {
			text, ok := p.until(`\E`)
			if !ok {
				text, p.pos = p.src[p.pos:], len(p.src)
			}
			for i := range len(text) {
				seq = append(seq, p.literal(text[i]))
			}
			if text == "" {
				continue
			}
		} else if p.take(`\E`) {
			continue
		} else {
			n, nothing, err := p.atom()
			if err != nil {
				return node{}, err
			}
			if nothing {
				continue
			}
			seq = append(seq, n)
		}
		last := &seq[len(seq)-1]
		if err := p.quantifier(last); err != nil {
			return node{}, err
		}
	}
	if len(seq) == 1 {
		return seq[0], nil
	}
	return node{kind: concat, kids: seq}, nil
}

// skip steps over comments, and over blanks in extended mode.
func (p *parser) skip() {
	for p.more() {
		switch c := p.peek(); {
		case p.opt.extended && spaces.has(c):
			p.pos++
		case p.opt.extended && c == '#':
			if _, ok := p.until("\n"); !ok {
				p.pos = len(p.src)
			}
		case strings.HasPrefix(p.src[p.pos:], "(?#"):
			if _, ok := p.until(")"); !ok {
				return // atom reports it
			}
		default:
			return
		}
	}
}

func (p *parser) literal(c byte) node {
	var s byteSet
	s.add(c)
	return p.one(s)
}

func (p *parser) one(s byteSet) node {
	if p.opt.fold {
		s = s.folded()
	}
	return node{kind: one, set: s}
}

// atom reads what a quantifier can follow. nothing is true for a group that
// only sets options.
func (p *parser) atom() (n node, nothing bool, err error) {
	c := p.src[p.pos]
	switch c {
	case '(':
		return p.group()
	case '[':
		n, err = p.class()
		return n, false, err
	case '\\':
		n, err = p.escape()
		return n, false, err
	case '.':
		p.pos++
		if p.opt.dotAll {
			return node{kind: one, set: anyByte}, false, nil
		}
		return node{kind: one, set: newline.not()}, false, nil
	case '^':
		p.pos++
		if p.opt.multi {
			return node{kind: lineStart}, false, nil
		}
		return node{kind: textStart}, false, nil
	case '$':
		p.pos++
		if p.opt.multi {
			return node{kind: lineEnd}, false, nil
		}
		return node{kind: finalEnd}, false, nil
	case '*', '+', '?':
		return node{}, false, p.errorf("%q has nothing to repeat", c)
	case '{':
		if q := quantifierAt(p.src[p.pos:]); q.n > 0 || q.ambiguous {
			return node{}, false, p.errorf("a quantifier has nothing to repeat; write \\{ for a brace")
		}
	}
	p.pos++
	return p.literal(c), false, nil
}

// quantity is a quantifier in braces of n bytes.
type quantity struct {
	lo, hi, n int
	ambiguous bool // versions of PCRE disagree whether it is one
}

func quantifierAt(s string) quantity {
	inside, _, ok := strings.Cut(s[1:], "}")
	if !ok || inside == "" || strings.Trim(inside, "0123456789, \t") != "" || strings.Count(inside, ",") > 1 {
		return quantity{}
	}
	lo, hi, comma := strings.Cut(inside, ",")
	if strings.ContainsAny(inside, " \t") || lo == "" {
		return quantity{ambiguous: strings.ContainsAny(inside, "0123456789")}
	}
	q := quantity{n: len(inside) + 2, hi: -1}
	var err1, err2 error
	q.lo, err1 = strconv.Atoi(lo)
	switch {
	case !comma:
		q.hi = q.lo
	case hi != "":
		q.hi, err2 = strconv.Atoi(hi)
	}
	if err1 != nil || err2 != nil {
		q.lo = maxRepeat + 1
	}
	return q
}

func (p *parser) quantifier(n *node) error {
	p.skip()
	var q quantity
	switch p.peek() {
	case '*':
		q = quantity{lo: 0, hi: -1, n: 1}
	case '+':
		q = quantity{lo: 1, hi: -1, n: 1}
	case '?':
		q = quantity{lo: 0, hi: 1, n: 1}
	case '{':
		q = quantifierAt(p.src[p.pos:])
	}
	if q.ambiguous {
		return p.errorf("%q is a quantifier in some versions of PCRE and plain text in others; write {0,n} or \\{", p.src[p.pos:])
	}
	if q.n == 0 || !p.more() {
		return nil
	}
	switch n.kind {
	case textStart, textEnd, finalEnd, lineStart, lineEnd, wordBoundary, notWordBoundary, look:
		return p.errorf("a quantifier behind an assertion")
	}
	if q.lo > maxRepeat || q.hi > maxRepeat || q.hi >= 0 && q.lo > q.hi {
		return p.errorf("a quantifier out of range")
	}
	p.pos += q.n
	r := node{kind: repeat, lo: q.lo, hi: q.hi, kids: []node{*n}}
	switch {
	case p.take("?"):
		r.lazy = true
	case p.take("+"):
		r = node{kind: atomicGroup, kids: []node{r}}
	}
	*n = r
	p.skip()
	if c := p.peek(); p.more() && (c == '*' || c == '+' || c == '?' || c == '{' && quantifierAt(p.src[p.pos:]).n > 0) {
		return p.errorf("a quantifier behind a quantifier")
	}
	return nil
}

// group reads what begins with '('.
func (p *parser) group() (n node, nothing bool, err error) {
	start := p.pos
	p.pos++
	saved := p.opt
	refuse := func(what string) (node, bool, error) {
		p.pos = start
		return node{}, false, p.errorf("%s is not supported", what)
	}
	if p.take("*") {
		return refuse("a control verb (*...)")
	}
	wrap := node{kind: capture}
	if p.take("?") {
		switch {
		case p.take(":"):
			wrap.kind = concat
		case p.take(">"):
			wrap.kind = atomicGroup
		case p.take("="):
			wrap.kind = look
		case p.take("!"):
			wrap.kind, wrap.negative = look, true
		case p.take("<="):
			wrap.kind, wrap.behind = look, true
		case p.take("<!"):
			wrap.kind, wrap.behind, wrap.negative = look, true, true
		case p.take("#"):
			return refuse("a comment without end")
		case p.take("|"):
			return refuse("a branch reset (?|...)")
		case p.take("("):
			return refuse("a condition (?(...)...)")
		case p.take("P="):
			name, ok := p.until(")")
			if !ok {
				return node{}, false, p.errorf("a reference without end")
			}
			return p.refByName(name), false, nil
		case p.take("P<"), p.take("<"):
			err = p.name(">")
		case p.take("'"):
			err = p.name("'")
		default:
			colon, err := p.options()
			if err != nil {
				return node{}, false, err
			}
			if !colon {
				return node{}, true, nil // they hold to the end of the group around
			}
			wrap.kind = concat
		}
		if err != nil {
			return node{}, false, err
		}
	}
	if wrap.kind == capture {
		p.groups++
		wrap.group = p.groups
	}
	before := p.groups
	inner, err := p.alternation()
	if err != nil {
		return node{}, false, err
	}
	if !p.take(")") {
		p.pos = start
		return node{}, false, p.errorf("a '(' without ')'")
	}
	p.opt = saved
	wrap.kids = []node{inner}
	if wrap.behind {
		if p.groups != before {
			return refuse("a capture inside a look-behind")
		}
		branches := wrap.kids
		if inner.kind == alternate {
			branches = inner.kids
		}
		for i := range branches {
			if _, ok := branches[i].width(); !ok {
				return refuse("a look-behind of varying length")
			}
		}
	}
	return wrap, false, nil
}

// name reads a group's name for the group that comes next.
func (p *parser) name(end string) error {
	name, ok := p.until(end)
	if !ok || name == "" || len(name) > 32 || digits.has(name[0]) || strings.Trim(name, nameBytes) != "" {
		return p.errorf("a malformed group name")
	}
	if _, dup := p.names[name]; dup {
		return p.errorf("two groups are called %q", name)
	}
	p.names[name] = p.groups + 1
	return nil
}

const nameBytes = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// options reads the letters behind "(?" and tells whether a group follows.
func (p *parser) options() (colon bool, err error) {
	on := true
	opt := p.opt
	for {
		if !p.more() {
			return false, p.errorf("a '(?' without end")
		}
		c := p.src[p.pos]
		p.pos++
		switch c {
		case '-':
			if !on {
				return false, p.errorf("a second '-' among options")
			}
			on = false
		case 'i':
			opt.fold = on
		case 'm':
			opt.multi = on
		case 's':
			opt.dotAll = on
		case 'x':
			if p.peek() == 'x' {
				return false, p.errorf("the option xx is not supported")
			}
			opt.extended = on
		case ')', ':':
			if c == ':' {
				// The caller restores the options at the end of the group.
				p.opt = opt
				return true, nil
			}
			p.opt = opt
			return false, nil
		default:
			p.pos--
			return false, p.errorf("a group (?%c is not supported: recursion, callouts and options other than i, m, s, x are not", c)
		}
	}
}

func (p *parser) refByName(name string) node {
	p.refs = append(p.refs, name)
	return node{kind: backref, group: namedRef + len(p.refs) - 1, fold: p.opt.fold}
}

func (p *parser) refByNumber(n int) (node, error) {
	if n <= 0 || n >= namedRef {
		return node{}, p.errorf("a reference to group %d", n)
	}
	p.highest = max(p.highest, n)
	return node{kind: backref, group: n, fold: p.opt.fold}, nil
}
