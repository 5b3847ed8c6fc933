package vars

import (
	"strings"

	"github.com/sluicegw/sluice/core/req"
)

// Template is a text with variables in it.
type Template struct {
	parts   []part
	nvars   int
	unknown []string
}

// part is a literal, or a variable with its default.
type part struct {
	text       string // literal, or the default
	v          Var
	variable   bool
	hasDefault bool
}

// CompileTemplate parses a text in which $name, ${name} and
// ${name ?? default} stand for variables and \$ for a dollar sign. A '$' that
// begins none of these stands for itself. Every text is a template.
func CompileTemplate(s string) *Template {
	t := &Template{}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			t.parts = append(t.parts, part{text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '$' {
			lit.WriteByte('$')
			i += 2
			continue
		}
		if s[i] == '$' {
			if expr, n := variableAt(s[i:]); n > 0 {
				flush()
				t.variable(expr)
				i += n
				continue
			}
		}
		lit.WriteByte(s[i])
		i++
	}
	flush()
	return t
}

// variableAt returns the variable that s begins with, and its length; 0 when
// the '$' is just a '$'.
func variableAt(s string) (expr string, n int) {
	if len(s) > 1 && s[1] == '{' {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", 0
		}
		if expr = strings.TrimSpace(s[2:end]); expr == "" {
			return "", 0
		}
		return expr, end + 1
	}
	n = 1
	for n < len(s) && (wordByte(s[n]) || s[n] == '.') {
		n++
	}
	if n == 1 {
		return "", 0
	}
	return s[1:n], n
}

func (t *Template) variable(expr string) {
	name, fallback, hasDefault := strings.Cut(expr, "??")
	name = strings.TrimSpace(name)
	fallback, _, _ = strings.Cut(fallback, "??")
	fallback = strings.TrimSpace(fallback)
	v, known := Compile(name)
	if !known {
		t.unknown = append(t.unknown, name)
	}
	t.parts = append(t.parts, part{variable: true, v: v, text: fallback, hasDefault: hasDefault && fallback != ""})
	t.nvars++
}

// AppendTo appends the text for a request. resolved is how many of the
// variables had a value or a default; a variable without either leaves
// nothing.
func (t *Template) AppendTo(dst []byte, ctx *req.Ctx) (out []byte, resolved int) {
	for i := range t.parts {
		p := &t.parts[i]
		if !p.variable {
			dst = append(dst, p.text...)
			continue
		}
		var ok bool
		if dst, ok = p.v.Append(dst, ctx); ok {
			resolved++
		} else if p.hasDefault {
			dst = append(dst, p.text...)
			resolved++
		}
	}
	return dst, resolved
}

// AppendKey is AppendTo for keys of type var_combination: when no variable has
// a value, the key is the client's address.
func (t *Template) AppendKey(dst []byte, ctx *req.Ctx) []byte {
	n := len(dst)
	dst, resolved := t.AppendTo(dst, ctx)
	if resolved > 0 {
		return dst
	}
	dst, _ = remoteAddress.Append(dst[:n], ctx)
	return dst
}

var remoteAddress = Var{id: remoteAddr, name: "remote_addr"}

// Vars is the number of variables in the text.
func (t *Template) Vars() int { return t.nvars }

// Unknown lists the names that no request will ever have a value for.
func (t *Template) Unknown() []string { return t.unknown }

// NeedsBody reports whether AppendTo may have to wait for the request body.
func (t *Template) NeedsBody() bool {
	for i := range t.parts {
		if t.parts[i].v.NeedsBody() {
			return true
		}
	}
	return false
}
