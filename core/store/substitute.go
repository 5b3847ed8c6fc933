package store

import (
	"bytes"
	"fmt"
	"regexp"
)

var variable = regexp.MustCompile(`\$\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::=([^\n]*?))?\s*\}\}`)

// Substitute replaces ${{NAME}} and ${{NAME:=default}} in the text. A name
// that is not set and has no default is an error naming it and its line,
// unless it stands in a comment line of its own.
func Substitute(text []byte, lookup func(string) (string, bool)) ([]byte, error) {
	found := variable.FindAllSubmatchIndex(text, -1)
	if len(found) == 0 {
		return text, nil
	}
	lines := lineCounter{text: text}
	out := make([]byte, 0, len(text))
	pos := 0
	for _, m := range found {
		out = append(out, text[pos:m[0]]...)
		pos = m[1]
		name := string(text[m[2]:m[3]])
		switch v, ok := lookup(name); {
		case ok:
			out = append(out, v...)
		case m[4] >= 0:
			out = append(out, text[m[4]:m[5]]...)
		case inComment(text[:m[0]]):
			out = append(out, text[m[0]:m[1]]...)
		default:
			return nil, fmt.Errorf("line %d: the environment variable %s is not set; set it, or write ${{%s:=default}}", lines.at(int64(m[0])), name, name)
		}
	}
	return append(out, text[pos:]...), nil
}

// inComment tells whether the line that ends here starts with "#".
func inComment(before []byte) bool {
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#"))
}
