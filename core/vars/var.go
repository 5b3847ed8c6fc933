// Package vars reads the variables of a request: names are resolved when
// configuration arrives, values when a request asks for them.
package vars

import (
	"strings"

	"github.com/sluicegw/sluice/core/req"
)

// Kind is the type of a value. Nearly all variables are strings; values out
// of JSON bodies keep their type, because expressions tell 5 from "5".
type Kind uint8

// The kinds of values.
const (
	Unset Kind = iota
	String
	Number // Text is the number as written
	Bool   // Text is "true" or "false"
	List   // Text is a JSON array
	Object // Text is a JSON object
)

// Value is what a variable holds. Text is valid until the next call that reads
// a variable of the same request, because it may stand in Ctx.Scratch.
type Value struct {
	Kind Kind
	Text []byte
}

// Var is a variable, resolved from its name. The zero value is always unset.
type Var struct {
	id   id
	name string // as it was asked for
	key  string // what follows the prefix of a family
	fn   Getter
	path *jsonPath
}

// Getter yields a value by appending its text to dst, or reports false when it
// is unset. It runs on the request path: it may not allocate or wait.
type Getter func(dst []byte, ctx *req.Ctx) ([]byte, bool)

var registered = map[string]Getter{}

// Register adds a variable that a plugin provides. Call it from init only; it
// panics when the name is taken.
func Register(name string, get Getter) {
	if n, ok := names[name]; ok && n != empty || registered[name] != nil {
		panic("BUG: the variable " + name + " exists already")
	}
	registered[name] = get
}

// Compile resolves a name without '$'. It reports false for a name that no
// request will ever have a value for; the variable works, as an unset one.
func Compile(name string) (Var, bool) {
	v := Var{name: name}
	if fn := registered[name]; fn != nil {
		v.id, v.fn = plugin, fn
		return v, true
	}
	if n, ok := names[name]; ok {
		v.id = n
		return v, true
	}
	for i := range families {
		f := &families[i]
		key, ok := strings.CutPrefix(name, f.prefix)
		if !ok {
			continue
		}
		v.id, v.key = f.id, key
		switch f.id {
		case header, sentHeader, upstreamHeader:
			v.key = strings.ReplaceAll(strings.ToLower(key), "_", "-")
		case postPath:
			p, ok := parseJSONPath(key)
			if !ok {
				v.id = empty
				return v, false
			}
			v.path = p
		case graphql:
			switch key {
			case "name":
				v.id = graphqlName
			case "operation":
				v.id = graphqlOperation
			case "root_fields":
				v.id = graphqlRootFields
			default:
				v.id = empty
				return v, false
			}
		}
		if key == "" {
			v.id = empty
			return v, false
		}
		return v, true
	}
	return v, false
}

// MustCompile is Compile for names in code; it panics on an unknown one.
func MustCompile(name string) Var {
	v, ok := Compile(name)
	if !ok {
		panic("BUG: unknown variable " + name)
	}
	return v
}

// Name returns the name that was compiled.
func (v *Var) Name() string { return v.name }

// Value reads the variable.
func (v *Var) Value(ctx *req.Ctx) Value {
	kind, text, out := v.load(ctx, ctx.Scratch[:0])
	ctx.Scratch = out
	return Value{kind, text}
}

// Get returns the variable as text: what is no string is written as JSON. The
// bytes are valid until the next call that reads a variable of the request.
func (v *Var) Get(ctx *req.Ctx) (text []byte, ok bool) {
	kind, text, out := v.load(ctx, ctx.Scratch[:0])
	ctx.Scratch = out
	return text, kind != Unset
}

// Append appends the variable as text to dst, which must not be Ctx.Scratch's
// memory unless the caller stores the result back there.
func (v *Var) Append(dst []byte, ctx *req.Ctx) (out []byte, ok bool) {
	kind, text, out := v.load(ctx, dst)
	if kind == Unset {
		return dst, false
	}
	if len(out) == len(dst) {
		out = append(out, text...)
	}
	return out, true
}

// IsSet reports whether the variable has a value.
func (v *Var) IsSet(ctx *req.Ctx) bool {
	_, ok := v.Get(ctx)
	return ok
}
