package regex

import "strings"

// class reads a bracket expression.
func (p *parser) class() (node, error) {
	start := p.pos
	p.pos++
	negate := p.take("^")
	var set byteSet
	for first := true; ; first = false {
		if !p.more() {
			p.pos = start
			return node{}, p.errorf("a '[' without ']'")
		}
		if p.peek() == ']' && !first {
			p.pos++
			break
		}
		if p.take(`\E`) {
			continue
		}
		if p.take(`\Q`) {
			text, ok := p.until(`\E`)
			if !ok {
				return node{}, p.errorf("a \\Q in a class without \\E")
			}
			for i := range len(text) {
				set.add(text[i])
			}
			if text != "" && p.peek() == '-' && !strings.HasPrefix(p.src[p.pos:], "-]") {
				return node{}, p.errorf("a range behind \\Q...\\E is not supported")
			}
			continue
		}
		lo, many, err := p.classItem()
		if err != nil {
			return node{}, err
		}
		if many != nil {
			set.union(*many)
			if p.peek() == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
				return node{}, p.errorf("a '-' between a class and something else: put it first or last, or write \\-")
			}
			continue
		}
		if p.peek() != '-' || p.pos+1 == len(p.src) || p.src[p.pos+1] == ']' {
			set.add(lo)
			continue
		}
		p.pos++
		if strings.HasPrefix(p.src[p.pos:], `\Q`) || strings.HasPrefix(p.src[p.pos:], `\E`) {
			return node{}, p.errorf("a range up to \\Q...\\E is not supported")
		}
		hi, many, err := p.classItem()
		switch {
		case err != nil:
			return node{}, err
		case many != nil:
			return node{}, p.errorf("a range that ends in a class: write \\- for the '-'")
		case hi < lo:
			return node{}, p.errorf("a range %q-%q out of order", lo, hi)
		}
		set.addRange(lo, hi)
	}
	if p.opt.fold {
		set = set.folded()
	}
	if negate {
		set = set.not()
	}
	return node{kind: one, set: set}, nil
}

// classItem reads one byte, or a class within the class.
func (p *parser) classItem() (c byte, many *byteSet, err error) {
	switch c = p.src[p.pos]; c {
	case '[':
		rest := p.src[p.pos:]
		if len(rest) < 2 || strings.IndexByte(":.=", rest[1]) < 0 {
			break
		}
		name, _, ok := strings.Cut(rest[2:], rest[1:2]+"]")
		if !ok || strings.ContainsAny(name, "]\\") {
			break
		}
		if rest[1] != ':' {
			return 0, nil, p.errorf("collating elements are not supported")
		}
		key, negate := strings.CutPrefix(name, "^")
		set, ok := posix[key]
		if !ok {
			return 0, nil, p.errorf("an unknown class [:%s:]", name)
		}
		if negate {
			set = set.not()
		}
		if p.opt.fold && (key == "lower" || key == "upper") {
			set = posix["alpha"]
			if negate {
				set = set.not()
			}
		}
		p.pos += len(name) + 4
		return 0, &set, nil
	case '\\':
		if p.pos+1 == len(p.src) {
			return 0, nil, p.errorf("a backslash at the end")
		}
		e := p.src[p.pos+1]
		if set, ok := classEscape(e); ok {
			p.pos += 2
			return 0, &set, nil
		}
		switch e {
		case 'b':
			p.pos += 2
			return '\b', nil, nil
		case 'N', 'R', 'B', 'X':
			return 0, nil, p.errorf("\\%c has no meaning in a class", e)
		case '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return 0, nil, p.errorf("an octal number in a class: write \\o{...} or \\x..")
		}
		c, err = p.byteEscape()
		return c, nil, err
	}
	p.pos++
	return c, nil, nil
}
