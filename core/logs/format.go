// Package logs writes a line for every request without making the request wait:
// raw values go through a ring per loop to a goroutine that formats and ships
// them.
package logs

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

// Escape is how values are made safe within a line.
type Escape uint8

// The ways of escaping, as nginx has them.
const (
	// EscapeDefault writes '"', '\', control characters and bytes above 126 as
	// \xXX, and "-" for a variable without value.
	EscapeDefault Escape = iota
	// EscapeJSON makes values that may stand in JSON strings; one without
	// value is empty.
	EscapeJSON
	// EscapeNone writes values as they are.
	EscapeNone
)

// Format is a compiled log line.
type Format struct {
	parts   []part
	escape  Escape
	unknown []string
}

type part struct {
	text  string // literal
	v     vars.Var
	kind  kind
	blank bool // without a value it is empty and not "-"
}

type kind uint8

const (
	literal kind = iota
	variable
	// Times are recorded as a number and written as text off the loop.
	timeLocal
	timeISO
)

// CompileFormat parses a line in nginx's form: $name and ${name} stand for
// variables, every other '$' for itself.
func CompileFormat(s string, escape Escape) *Format {
	f := &Format{escape: escape}
	text := 0
	flush := func(end int) {
		if end > text {
			f.parts = append(f.parts, part{text: s[text:end]})
		}
	}
	for i := 0; i < len(s); {
		name, n := nameAt(s[i:])
		if n == 0 {
			i++
			continue
		}
		flush(i)
		i += n
		text = i
		f.variable(name)
	}
	flush(len(s))
	return f
}

// nameAt returns the variable that s begins with, and the length of its text;
// 0 when there is none.
func nameAt(s string) (name string, n int) {
	if len(s) < 2 || s[0] != '$' {
		return "", 0
	}
	if s[1] == '{' {
		end := strings.IndexByte(s, '}')
		if end < 3 {
			return "", 0
		}
		return s[2:end], end + 1
	}
	n = 1
	for n < len(s) && (s[n] == '_' || s[n] >= '0' && s[n] <= '9' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
		n++
	}
	if n == 1 {
		return "", 0
	}
	return s[1:n], n
}

func (f *Format) variable(name string) {
	p := part{kind: variable}
	switch name {
	case "upstream_scheme", "upstream_host", "upstream_uri":
		// APISIX's configuration of nginx sets these for every request.
		p.v, _ = vars.Compile(name)
		p.blank = true
	case "time_local":
		p.kind = timeLocal
	case "time_iso8601":
		p.kind = timeISO
	default:
		known := false
		if p.v, known = vars.Compile(name); !known {
			f.unknown = append(f.unknown, name)
		}
	}
	f.parts = append(f.parts, p)
}

// Unknown lists the names that no request will ever have a value for.
func (f *Format) Unknown() []string { return f.unknown }

// capture appends the values that the line needs: for each variable its length
// plus one and its bytes, or 0 when it has none.
func (f *Format) capture(dst []byte, ctx *req.Ctx) []byte {
	for i := range f.parts {
		p := &f.parts[i]
		switch p.kind {
		case literal:
		case variable:
			at := len(dst)
			dst = append(dst, 0, 0)
			out, ok := p.v.Append(dst, ctx)
			if !ok {
				dst = dst[:at+2]
				continue
			}
			dst = out
			if n := len(dst) - at - 2; n > maxValue {
				dst = dst[:at+2+maxValue]
			}
			binary.LittleEndian.PutUint16(dst[at:], uint16(len(dst)-at-1))
		default:
			now := ctx.Wall + ctx.Loop.Now() - ctx.Start
			dst = binary.LittleEndian.AppendUint64(dst, uint64(now))
		}
	}
	return dst
}

// maxValue bounds one value in a line; longer ones are cut.
const maxValue = 16 << 10

// appendLine writes the line of a captured record, with its end.
func (f *Format) appendLine(dst, rec []byte) []byte {
	for i := range f.parts {
		p := &f.parts[i]
		switch p.kind {
		case literal:
			dst = append(dst, p.text...)
		case variable:
			n := int(binary.LittleEndian.Uint16(rec))
			rec = rec[2:]
			if n == 0 {
				if f.escape == EscapeDefault && !p.blank {
					dst = append(dst, '-')
				}
				continue
			}
			dst = f.appendEscaped(dst, rec[:n-1])
			rec = rec[n-1:]
		default:
			t := time.Unix(0, int64(binary.LittleEndian.Uint64(rec)))
			rec = rec[8:]
			layout := "02/Jan/2006:15:04:05 -0700"
			if p.kind == timeISO {
				layout = "2006-01-02T15:04:05-07:00"
			}
			dst = t.AppendFormat(dst, layout)
		}
	}
	return append(dst, '\n')
}

func (f *Format) appendEscaped(dst, v []byte) []byte {
	switch f.escape {
	case EscapeNone:
		return append(dst, v...)
	case EscapeJSON:
		return appendJSON(dst, v)
	}
	const digits = "0123456789ABCDEF"
	for _, c := range v {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			dst = append(dst, '\\', 'x', digits[c>>4], digits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// appendJSON escapes v for a JSON string; bytes of UTF-8 stay as they are.
func appendJSON(dst, v []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
