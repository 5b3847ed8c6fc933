package vars

import (
	"bytes"

	"github.com/sluicegw/sluice/core/h1"
)

// headerValue finds a field by its name in lower case with '-' for every '_'.
// Repeated fields are joined by ", ", cookies by "; ".
func headerValue(h *h1.Header, name string, buf []byte) (Kind, []byte, []byte) {
	first := nextField(h, name, 0)
	if first < 0 {
		return Unset, nil, buf
	}
	second := nextField(h, name, first+1)
	if second < 0 {
		return String, h.Value(first), buf
	}
	sep := ", "
	if name == "cookie" {
		sep = "; "
	}
	out := append(buf, h.Value(first)...)
	for i := second; i >= 0; i = nextField(h, name, i+1) {
		out = append(out, sep...)
		out = append(out, h.Value(i)...)
	}
	return String, out[len(buf):], out
}

// nextField is Header.Index with '_' and '-' taken as the same.
func nextField(h *h1.Header, name string, from int) int {
	n := h.Len()
next:
	for i := from; i < n; i++ {
		got := h.Name(i)
		if len(got) != len(name) {
			continue
		}
		for j := range got {
			c := lower(got[j])
			if c == '_' {
				c = '-'
			}
			if c != name[j] {
				continue next
			}
		}
		return i
	}
	return -1
}

// cookieValue finds a cookie by its exact name. The last one counts when there
// are several, and a value ends at a blank.
func cookieValue(h *h1.Header, name string, buf []byte) (Kind, []byte, []byte) {
	kind, value := Unset, []byte(nil)
	for i := h.IndexID(h1.Cookie, 0); i >= 0; i = h.IndexID(h1.Cookie, i+1) {
		for rest := h.Value(i); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, semicolon)
			pair = trimSpace(pair)
			if len(pair) <= len(name) || pair[len(name)] != '=' || string(pair[:len(name)]) != name {
				continue
			}
			value = pair[len(name)+1:]
			if at := bytes.IndexAny(value, " \t"); at >= 0 {
				value = value[:at]
			}
			kind = String
		}
	}
	return kind, value, buf
}

var (
	semicolon = []byte{';'}
	ampersand = []byte{'&'}
)

// formValue finds the first value of a name in a query string or a form. A name
// without '=' has the value true, which is no string.
func formValue(form []byte, name string, buf []byte) (Kind, []byte, []byte) {
	for len(form) > 0 {
		var pair []byte
		pair, form, _ = bytes.Cut(form, ampersand)
		key, value, assigned := pair, []byte(nil), false
		if at := bytes.IndexByte(pair, '='); at >= 0 {
			key, value, assigned = pair[:at], pair[at+1:], true
		}
		if !equalDecoded(key, name) {
			continue
		}
		if !assigned {
			_, text, _ := static("true", nil)
			return Bool, text, buf
		}
		if !encoded(value) {
			return String, value, buf
		}
		out := appendDecoded(buf, value)
		return String, out[len(buf):], out
	}
	return Unset, nil, buf
}

func encoded(b []byte) bool {
	return bytes.IndexByte(b, '%') >= 0 || bytes.IndexByte(b, '+') >= 0
}

// equalDecoded compares an encoded name with a plain one.
func equalDecoded(b []byte, name string) bool {
	if len(b) < len(name) {
		return false
	}
	i := 0
	for j := range len(name) {
		if i >= len(b) {
			return false
		}
		c, n := decodeAt(b, i)
		if c != name[j] {
			return false
		}
		i += n
	}
	return i == len(b)
}

func appendDecoded(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		c, n := decodeAt(b, i)
		dst = append(dst, c)
		i += n
	}
	return dst
}

// decodeAt returns the byte that the form encoding at b[i] stands for, and its
// length. A '%' without two hex digits stands for itself.
func decodeAt(b []byte, i int) (c byte, n int) {
	switch b[i] {
	case '+':
		return ' ', 1
	case '%':
		if i+2 < len(b) {
			hi, ok1 := unhex(b[i+1])
			lo, ok2 := unhex(b[i+2])
			if ok1 && ok2 {
				return hi<<4 | lo, 3
			}
		}
	}
	return b[i], 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
