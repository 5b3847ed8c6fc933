package vars

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// graphqlValue reads the first operation of a GraphQL document: of the argument
// query of a GET, of the body of a POST.
func graphqlValue(ctx *req.Ctx, v id, buf []byte) (Kind, []byte, []byte) {
	// The document may have to be decoded; it stands in out behind buf then,
	// and the result is moved over it.
	var kind Kind
	var doc []byte
	out := buf
	switch ctx.Req.MethodCode {
	case h1.MethodGet:
		kind, doc, out = formValue(ctx.Query, "query", buf)
	case h1.MethodPost:
		b, ok := body(ctx, maxGraphQLBody)
		if !ok || len(b) == 0 {
			return Unset, nil, buf
		}
		kind, doc = String, b
		if mediaOf(ctx) == jsonMedia {
			if !json.Valid(b) {
				return Unset, nil, buf
			}
			query := member(b[skipSpace(b, 0):], "query")
			if query == nil {
				return Unset, nil, buf
			}
			kind, doc, out = loadJSON(query, buf)
		}
	}
	if kind != String {
		return Unset, nil, buf
	}
	p := graphqlParser{src: doc}
	switch v {
	case graphqlRootFields:
		p.collect = true
		p.fields = append(out, '[')
		mark := len(out)
		if !p.document() {
			return Unset, nil, buf
		}
		list := p.fields[mark:]
		if len(list) > 1 {
			list = list[:len(list)-1] // the last comma
		}
		n := copy(p.fields[len(buf):], list)
		out = append(p.fields[:len(buf)+n], ']')
		return List, out[len(buf):], out
	case graphqlName:
		if !p.document() {
			return Unset, nil, buf
		}
		out = append(out[:len(buf)], p.name...)
		return String, out[len(buf):], out
	}
	if !p.document() || p.operation == nil {
		return Unset, nil, buf
	}
	out = append(out[:len(buf)], p.operation...)
	return String, out[len(buf):], out
}

// graphqlParser checks the tokens and brackets of a document and notes what
// its first definition is. It does not know the rest of the grammar.
type graphqlParser struct {
	src []byte
	pos int

	operation []byte // query, mutation, subscription; nil for a fragment
	name      []byte
	collect   bool
	fields    []byte // JSON strings, a comma behind each
}

var queryOperation = []byte("query")

// document reads all definitions and reports whether they are well-formed.
func (p *graphqlParser) document() bool {
	for n := 0; ; n++ {
		p.blank()
		if p.pos == len(p.src) {
			return n > 0
		}
		if !p.definition(n == 0) {
			return false
		}
	}
}

func (p *graphqlParser) definition(first bool) bool {
	operation, name := queryOperation, []byte(nil)
	if p.src[p.pos] != '{' {
		switch operation = p.word(); string(operation) {
		case "query", "mutation", "subscription":
			p.blank()
			name = p.word()
		case "fragment":
			operation = nil
			p.blank()
			if name = p.word(); name == nil {
				return false
			}
			p.blank()
			if string(p.word()) != "on" {
				return false
			}
			p.blank()
			if p.word() == nil {
				return false
			}
		default:
			return false
		}
		// Variables and directives.
		for {
			p.blank()
			if p.pos == len(p.src) {
				return false
			}
			if p.src[p.pos] == '{' {
				break
			}
			if !p.skipToken() {
				return false
			}
		}
	}
	if first {
		p.operation, p.name = operation, name
	}
	return p.selection(first)
}

// selection reads a selection set and, of the first definition, notes the
// names of its fields.
func (p *graphqlParser) selection(note bool) bool {
	p.pos++ // over '{'
	n := 0
	for {
		p.blank()
		if p.pos == len(p.src) {
			return false
		}
		switch c := p.src[p.pos]; {
		case c == '}':
			p.pos++
			return n > 0
		case c == '.':
			if len(p.src)-p.pos < 3 || string(p.src[p.pos:p.pos+3]) != "..." {
				return false
			}
			p.pos += 3
			p.blank()
			w := p.word()
			switch {
			case string(w) == "on":
				p.blank()
				if p.word() == nil {
					return false
				}
			case w != nil && note:
				p.field(w)
			}
			n++
		case wordByte(c) && !isDigit(c):
			w := p.word()
			p.blank()
			if p.pos < len(p.src) && p.src[p.pos] == ':' { // an alias
				p.pos++
				p.blank()
				if w = p.word(); w == nil {
					return false
				}
			}
			if note {
				p.field(w)
			}
			n++
		case n > 0 && c == '{':
			if !p.skipBrackets() {
				return false
			}
		case n > 0 && (c == '(' || c == '@'):
			if !p.skipToken() {
				return false
			}
			if c == '@' {
				p.blank()
				if p.word() == nil {
					return false
				}
			}
		default:
			return false
		}
	}
}

func (p *graphqlParser) field(name []byte) {
	if !p.collect {
		return
	}
	p.fields = append(p.fields, '"')
	p.fields = append(p.fields, name...)
	p.fields = append(p.fields, '"', ',')
}

// blank skips what separates tokens: blanks, commas, comments and the byte
// order mark.
func (p *graphqlParser) blank() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '#':
			for p.pos < len(p.src) && p.src[p.pos] != '\n' && p.src[p.pos] != '\r' {
				p.pos++
			}
		case isSpace(c) || c == ',':
			p.pos++
		case c == 0xEF && len(p.src)-p.pos >= 3 && p.src[p.pos+1] == 0xBB && p.src[p.pos+2] == 0xBF:
			p.pos += 3
		default:
			return
		}
	}
}

// word reads a name, nil when none is there.
func (p *graphqlParser) word() []byte {
	start := p.pos
	for p.pos < len(p.src) && wordByte(p.src[p.pos]) {
		p.pos++
	}
	if start == p.pos || isDigit(p.src[start]) {
		return nil
	}
	return p.src[start:p.pos]
}

func wordByte(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// skipToken steps over one token, or over everything between brackets.
func (p *graphqlParser) skipToken() bool {
	switch c := p.src[p.pos]; c {
	case '(', '[', '{':
		return p.skipBrackets()
	case '"':
		return p.skipText()
	case ')', ']', '}':
		return false
	}
	p.pos++
	return true
}

// maxGraphQLDepth bounds how deeply brackets may be nested.
const maxGraphQLDepth = 200

func (p *graphqlParser) skipBrackets() bool {
	var open [maxGraphQLDepth]byte
	depth := 0
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; c {
		case '(', '[', '{':
			if depth == maxGraphQLDepth {
				return false
			}
			open[depth] = closing(c)
			depth++
			p.pos++
		case ')', ']', '}':
			depth--
			if open[depth] != c {
				return false
			}
			p.pos++
			if depth == 0 {
				return true
			}
		case '"':
			if !p.skipText() {
				return false
			}
		case '#':
			p.blank()
		default:
			p.pos++
		}
	}
	return false
}

func closing(c byte) byte {
	switch c {
	case '(':
		return ')'
	case '[':
		return ']'
	}
	return '}'
}

// skipText steps over a string or a block string.
func (p *graphqlParser) skipText() bool {
	rest := p.src[p.pos:]
	if len(rest) >= 3 && rest[1] == '"' && rest[2] == '"' {
		for i := 3; i+3 <= len(rest); i++ {
			switch {
			case rest[i] == '\\' && len(rest)-i >= 4 && string(rest[i+1:i+4]) == `"""`:
				i += 3
			case string(rest[i:i+3]) == `"""`:
				p.pos += i + 3
				return true
			}
		}
		return false
	}
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '\n', '\r':
			return false
		case '"':
			p.pos += i + 1
			return true
		}
	}
	return false
}
