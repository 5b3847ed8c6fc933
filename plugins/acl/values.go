package acl

import (
	"encoding/json"
	"iter"
	"strings"
	"unsafe"
)

// values lists what a label stands for: the strings of a JSON array when it
// begins with '[', the parts between commas, or the label itself. It allocates
// nothing, unless a string of an array has escapes.
func values(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if strings.HasPrefix(text, "[") {
			array(text, yield)
			return
		}
		for first := true; ; first = false {
			part, rest, more := strings.Cut(text, ",")
			// Blanks around a comma are part of the comma.
			if !first {
				part = strings.TrimLeft(part, blanks)
			}
			if more {
				part = strings.TrimRight(part, blanks)
			}
			if !yield(part) || !more {
				return
			}
			text = rest
		}
	}
}

const blanks = " \t\r\n\v\f"

// array yields the strings that are elements of a JSON array. Text that is not
// JSON has none.
func array(text string, yield func(string) bool) {
	if !json.Valid(unsafe.Slice(unsafe.StringData(text), len(text))) {
		return
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '"':
			start, escaped := i, false
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					escaped = true
					i++
				}
			}
			if depth != 1 {
				continue
			}
			s := text[start+1 : i]
			if escaped {
				s = unescaped(text[start : i+1])
			}
			if !yield(s) {
				return
			}
		}
	}
}

// unescaped is the string that valid JSON text stands for.
func unescaped(text string) string {
	var s string
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic("BUG: " + err.Error())
	}
	return s
}
