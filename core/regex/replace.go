package regex

import "fmt"

// Template is a replacement text with references to groups.
type Template struct {
	parts []templatePart
}

type templatePart struct {
	text  string
	group int // -1: text
}

// CompileTemplate parses a replacement in which $n and ${n} stand for groups
// ($0 for the whole match) and $$ for a dollar sign. It fails for a '$' before
// anything else.
func CompileTemplate(s string) (*Template, error) {
	t := &Template{}
	lit := ""
	flush := func() {
		if lit != "" {
			t.parts = append(t.parts, templatePart{text: lit, group: -1})
			lit = ""
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '$' {
			lit += s[i : i+1]
			continue
		}
		j := i + 1
		if j < len(s) && s[j] == '$' {
			lit += "$"
			i = j
			continue
		}
		brace := j < len(s) && s[j] == '{'
		if brace {
			j++
		}
		n, start := 0, j
		for j < len(s) && digits.has(s[j]) && n < 1000 {
			n = n*10 + int(s[j]-'0')
			j++
		}
		if j == start || brace && (j == len(s) || s[j] != '}') {
			return nil, fmt.Errorf("replacement %q: a '$' at byte %d is followed by neither a group number nor '$'", s, i)
		}
		if !brace {
			j--
		}
		flush()
		t.parts = append(t.parts, templatePart{group: n})
		i = j
	}
	flush()
	return t, nil
}

// MaxGroup is the highest group that the template refers to.
func (t *Template) MaxGroup() int {
	n := 0
	for _, p := range t.parts {
		n = max(n, p.group)
	}
	return n
}

// AppendTo appends the replacement for a match that Find found in text. A
// group that does not exist or took no part leaves nothing.
func (t *Template) AppendTo(dst, text []byte, spans []int) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		switch {
		case p.group < 0:
			dst = append(dst, p.text...)
		case 2*p.group+1 < len(spans) && spans[2*p.group] >= 0:
			dst = append(dst, text[spans[2*p.group]:spans[2*p.group+1]]...)
		}
	}
	return dst
}

// AppendReplace appends text with the first match, or all matches, replaced.
// n is the number of replacements; when it is 0, text was appended unchanged.
func (r *Regexp) AppendReplace(dst, text []byte, t *Template, all bool) (out []byte, n int) {
	limit := 1
	if all {
		limit = -1
	}
	done := 0
	r.each(text, limit, func(spans []int) {
		dst = append(dst, text[done:spans[0]]...)
		dst = t.AppendTo(dst, text, spans)
		done = spans[1]
		n++
	})
	return append(dst, text[done:]...), n
}
