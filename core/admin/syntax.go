package admin

import "fmt"

// syntaxError says where a text stops being JSON, in the words that APISIX's
// JSON library uses: scripts match on them. It returns "" for a text it finds
// no fault with.
func syntaxError(text []byte) string {
	s := &syntax{text: text}
	s.next()
	if s.value() && s.token != "T_END" {
		s.expected("the end")
	}
	return s.fault
}

// maxSyntaxDepth bounds the recursion; the decoder refuses deeper texts too.
const maxSyntaxDepth = 1000

// syntax walks through a text token by token.
type syntax struct {
	text []byte
	pos  int
	// token is the kind of the current token or, for one that is none, what
	// is wrong with it; start is where it is.
	token string
	start int
	depth int
	fault string
}

func (s *syntax) expected(what string) bool {
	if s.fault == "" {
		s.fault = fmt.Sprintf("Expected %s but found %s at character %d", what, s.token, s.start+1)
	}
	return false
}

// value checks the value that begins with the current token and leaves the
// token behind it current.
func (s *syntax) value() bool {
	switch s.token {
	case "T_STRING", "T_NUMBER", "T_BOOLEAN", "T_NULL":
		s.next()
		return true
	case "T_OBJ_BEGIN", "T_ARR_BEGIN":
		if s.depth++; s.depth > maxSyntaxDepth {
			s.fault = fmt.Sprintf("Found too many nested data structures (%d) at character %d", s.depth, s.start+1)
			return false
		}
		defer func() { s.depth-- }()
		if s.token == "T_OBJ_BEGIN" {
			return s.object()
		}
		return s.array()
	}
	return s.expected("value")
}

func (s *syntax) object() bool {
	if s.next(); s.token == "T_OBJ_END" {
		s.next()
		return true
	}
	for {
		if s.token != "T_STRING" {
			return s.expected("object key string")
		}
		if s.next(); s.token != "T_COLON" {
			return s.expected("colon")
		}
		s.next()
		if !s.value() {
			return false
		}
		switch s.token {
		case "T_OBJ_END":
			s.next()
			return true
		case "T_COMMA":
			s.next()
		default:
			return s.expected("comma or object end")
		}
	}
}

func (s *syntax) array() bool {
	if s.next(); s.token == "T_ARR_END" {
		s.next()
		return true
	}
	for {
		if !s.value() {
			return false
		}
		switch s.token {
		case "T_ARR_END":
			s.next()
			return true
		case "T_COMMA":
			s.next()
		default:
			return s.expected("comma or array end")
		}
	}
}

var marks = map[byte]string{
	'{': "T_OBJ_BEGIN", '}': "T_OBJ_END", '[': "T_ARR_BEGIN", ']': "T_ARR_END", ':': "T_COLON", ',': "T_COMMA",
}

// next reads one token.
func (s *syntax) next() {
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t' || s.text[s.pos] == '\n' || s.text[s.pos] == '\r') {
		s.pos++
	}
	s.start = s.pos
	if s.pos == len(s.text) {
		s.token = "T_END"
		return
	}
	c := s.text[s.pos]
	if mark, ok := marks[c]; ok {
		s.token = mark
		s.pos++
		return
	}
	switch {
	case c == '"':
		s.string()
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	case s.word("true"), s.word("false"):
		s.token = "T_BOOLEAN"
	case s.word("null"):
		s.token = "T_NULL"
	default:
		s.token = "invalid token"
	}
}

func (s *syntax) word(w string) bool {
	end := s.pos + len(w)
	if end > len(s.text) || string(s.text[s.pos:end]) != w {
		return false
	}
	s.pos = end
	return true
}

func (s *syntax) string() {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '"':
			s.pos++
			s.token = "T_STRING"
			return
		case '\\':
			s.pos++
			if !s.escape() {
				return
			}
		}
	}
	s.token, s.start = "unexpected end of string", s.pos
}

// escape checks what follows a backslash and stays on its last byte.
func (s *syntax) escape() bool {
	if s.pos >= len(s.text) {
		s.token, s.start = "unexpected end of string", s.pos
		return false
	}
	switch s.text[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for i := 1; i <= 4; i++ {
			if s.pos+i >= len(s.text) || !isHex(s.text[s.pos+i]) {
				s.token, s.start = "invalid unicode escape code", s.pos-1
				return false
			}
		}
		s.pos += 4
		return true
	}
	s.token, s.start = "invalid escape code", s.pos-1
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *syntax) number() {
	s.token = "T_NUMBER"
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	if s.text[s.pos] == '-' {
		s.pos++
	}
	zero := s.pos < len(s.text) && s.text[s.pos] == '0'
	from := s.pos
	if !digits() || zero && s.pos-from > 1 {
		s.token, s.pos = "invalid number", len(s.text)
		return
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		if s.pos++; !digits() {
			s.token = "invalid number"
			return
		}
	}
	if s.pos < len(s.text) && (s.text[s.pos] == 'e' || s.text[s.pos] == 'E') {
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		if !digits() {
			s.token = "invalid number"
		}
	}
}
