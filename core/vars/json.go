package vars

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file walk JSON text that json.Valid has accepted, so
// they need no error paths and copy nothing.

// HasString reports whether the value is a list with the string s in it.
func (v Value) HasString(s string) bool {
	return v.has(func(kind Kind, text []byte) bool { return kind == String && equalJSON(text, s) })
}

// HasNumber reports whether the value is a list with the number f in it.
func (v Value) HasNumber(f float64) bool {
	return v.has(func(kind Kind, text []byte) bool {
		g, ok := ToNumber(text)
		return kind == Number && ok && g == f
	})
}

// HasBool reports whether the value is a list with b in it.
func (v Value) HasBool(b bool) bool {
	return v.has(func(kind Kind, text []byte) bool { return kind == Bool && (text[0] == 't') == b })
}

func (v Value) has(fits func(kind Kind, text []byte) bool) bool {
	if v.Kind != List {
		return false
	}
	for i := skipSpace(v.Text, 1); i < len(v.Text) && v.Text[i] != ']'; {
		end := skipValue(v.Text, i)
		text := v.Text[i:end]
		if fits(jsonKind(text), text) {
			return true
		}
		i = nextItem(v.Text, end)
	}
	return false
}

// jsonKind is the kind of a JSON value; null is unset.
func jsonKind(text []byte) Kind {
	switch text[0] {
	case '"':
		return String
	case '[':
		return List
	case '{':
		return Object
	case 't', 'f':
		return Bool
	case 'n':
		return Unset
	}
	return Number
}

// loadJSON turns a JSON value into a variable's.
func loadJSON(text, buf []byte) (Kind, []byte, []byte) {
	kind := jsonKind(text)
	switch kind {
	case Unset:
		return Unset, nil, buf
	case String:
		text = text[1 : len(text)-1]
		if !escaped(text) {
			return String, text, buf
		}
		out := appendUnescaped(buf, text)
		return String, out[len(buf):], out
	}
	return kind, text, buf
}

func escaped(b []byte) bool {
	for _, c := range b {
		if c == '\\' {
			return true
		}
	}
	return false
}

// unescape decodes the character at b[i], which is a backslash, into dst.
func unescape(dst []byte, b []byte, i int) ([]byte, int) {
	switch c := b[i+1]; c {
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		r := hex4(b[i+2:])
		if utf16.IsSurrogate(r) && i+12 <= len(b) && b[i+6] == '\\' && b[i+7] == 'u' {
			if full := utf16.DecodeRune(r, hex4(b[i+8:])); full != utf8.RuneError {
				return utf8.AppendRune(dst, full), 12
			}
		}
		return utf8.AppendRune(dst, r), 6
	default:
		return append(dst, c), 2
	}
}

func hex4(b []byte) rune {
	r := rune(0)
	for _, c := range b[:4] {
		d, _ := unhex(c)
		r = r<<4 | rune(d)
	}
	return r
}

func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			dst = append(dst, b[i])
			i++
			continue
		}
		var n int
		dst, n = unescape(dst, b, i)
		i += n
	}
	return dst
}

// equalJSON compares a JSON string, quotes included, with s.
func equalJSON(text []byte, s string) bool {
	b := text[1 : len(text)-1]
	if len(b) < len(s) {
		return false
	}
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			if s == "" || s[0] != b[i] {
				return false
			}
			s = s[1:]
			i++
			continue
		}
		var room [utf8.UTFMax]byte
		c, n := unescape(room[:0], b, i)
		if len(s) < len(c) || s[:len(c)] != string(c) {
			return false
		}
		s = s[len(c):]
		i += n
	}
	return s == ""
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// nextItem steps over what separates the items of a list or an object.
func nextItem(b []byte, i int) int {
	i = skipSpace(b, i)
	if i < len(b) && b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	return i
}

// skipValue returns the end of the value that begins at b[i].
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(b) && strings.IndexByte(",]} \t\r\n", b[i]) < 0 {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return i
}

// members calls f for every member of the object that b is.
func members(b []byte, f func(key, value []byte)) {
	for i := skipSpace(b, 1); i < len(b) && b[i] != '}'; {
		end := skipString(b, i)
		key := b[i:end]
		i = skipSpace(b, skipSpace(b, end)+1) // over ':'
		end = skipValue(b, i)
		f(key, b[i:end])
		i = nextItem(b, end)
	}
}

// member returns the value of the last member called name, nil if there is
// none or b is no object.
func member(b []byte, name string) []byte {
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	var found []byte
	members(b, func(key, value []byte) {
		if equalJSON(key, name) {
			found = value
		}
	})
	return found
}
