package vars

import (
	"strconv"
	"strings"
)

// jsonPath is what follows "post_arg.": names joined by dots, which lead to
// one value, or with [n], [*], .* or .. a query whose value is the list of all
// results.
type jsonPath struct {
	steps []pathStep
	query bool
}

type pathStep struct {
	kind  stepKind
	name  string
	index int
}

type stepKind uint8

const (
	stepName  stepKind = iota
	stepIndex          // [n]
	stepAll            // [*] or *
	stepDeep           // "..": any depth below, itself included
)

// parseJSONPath reports false for what is not supported, such as filters.
func parseJSONPath(s string) (*jsonPath, bool) {
	p := &jsonPath{query: strings.ContainsAny(s, "[*") || strings.Contains(s, "..")}
	for s != "" {
		switch {
		case strings.HasPrefix(s, ".."):
			p.steps = append(p.steps, pathStep{kind: stepDeep})
			s = s[2:]
			if s == "" || s[0] == '.' {
				return nil, false
			}
			continue
		case s[0] == '.':
			s = s[1:]
			if s == "" || s[0] == '.' || s[0] == '[' {
				return nil, false
			}
		case s[0] == '[':
			inside, rest, ok := strings.Cut(s[1:], "]")
			if !ok {
				return nil, false
			}
			s = rest
			if inside == "*" {
				p.steps = append(p.steps, pathStep{kind: stepAll})
				continue
			}
			if n := len(inside); n > 2 && (inside[0] == '\'' || inside[0] == '"') && inside[n-1] == inside[0] {
				p.steps = append(p.steps, pathStep{kind: stepName, name: inside[1 : n-1]})
				continue
			}
			n, err := strconv.Atoi(inside)
			if err != nil || n < 0 {
				return nil, false
			}
			p.steps = append(p.steps, pathStep{kind: stepIndex, index: n})
			continue
		}
		end := strings.IndexAny(s, ".[")
		if end < 0 {
			end = len(s)
		}
		name := s[:end]
		s = s[end:]
		if name == "*" {
			p.steps = append(p.steps, pathStep{kind: stepAll})
			continue
		}
		if strings.ContainsAny(name, "*]?()@") {
			return nil, false
		}
		p.steps = append(p.steps, pathStep{kind: stepName, name: name})
	}
	return p, len(p.steps) > 0
}

// load evaluates the path on valid JSON text.
func (p *jsonPath) load(doc, buf []byte) (Kind, []byte, []byte) {
	doc = doc[skipSpace(doc, 0):]
	doc = doc[:skipValue(doc, 0)]
	if !p.query {
		for i := range p.steps {
			if doc = member(doc, p.steps[i].name); doc == nil {
				return Unset, nil, buf
			}
		}
		return loadJSON(doc, buf)
	}
	out := append(buf, '[')
	out = collect(doc, p.steps, maxJSONDepth, out)
	if len(out) == len(buf)+1 {
		return Unset, nil, buf
	}
	out[len(out)-1] = ']' // in place of the last comma
	return List, out[len(buf):], out
}

// maxJSONDepth is how deep ".." looks; every level reads what is below it anew.
const maxJSONDepth = 64

// collect appends every result below v and a comma behind each.
func collect(v []byte, steps []pathStep, depth int, dst []byte) []byte {
	if len(steps) == 0 {
		dst = append(dst, v...)
		return append(dst, ',')
	}
	s, rest := &steps[0], steps[1:]
	switch s.kind {
	case stepName:
		if found := member(v, s.name); found != nil {
			dst = collect(found, rest, depth, dst)
		}
	case stepDeep:
		dst = collect(v, rest, depth, dst)
		if depth == 0 {
			return dst
		}
		children(v, func(_ int, child []byte) {
			dst = collect(child, steps, depth-1, dst)
		})
	default:
		if s.kind == stepIndex && v[0] != '[' {
			return dst
		}
		children(v, func(i int, child []byte) {
			if s.kind == stepAll || i == s.index {
				dst = collect(child, rest, depth, dst)
			}
		})
	}
	return dst
}

// children calls f for the elements of a list or the values of an object.
func children(v []byte, f func(i int, child []byte)) {
	switch v[0] {
	case '{':
		n := 0
		members(v, func(_, value []byte) {
			f(n, value)
			n++
		})
	case '[':
		n := 0
		for i := skipSpace(v, 1); i < len(v) && v[i] != ']'; n++ {
			end := skipValue(v, i)
			f(n, v[i:end])
			i = nextItem(v, end)
		}
	}
}
