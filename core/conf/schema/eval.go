package schema

import (
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is the first violation of a schema, in APISIX's words.
type Error struct{ Text string }

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Apply checks v, which is what encoding/json makes of a document (numbers as
// float64), fills in defaults and returns the value to go on with: v itself,
// changed in place, or its replacement where an empty array stands for an
// empty object. The error is an *Error.
func (s *Schema) Apply(v any) (any, error) {
	var w walk
	v, why := w.check(s.root, v)
	if why != "" {
		return nil, &Error{Text: why}
	}
	return v, nil
}

// Judge is Apply for values that clients send: a text that looks like a
// reference to a secret is a text like any other.
func (s *Schema) Judge(v any) (any, error) {
	w := walk{literal: true}
	v, why := w.check(s.root, v)
	if why != "" {
		return nil, &Error{Text: why}
	}
	return v, nil
}

// walk is one check of one value.
type walk struct {
	// literal: no text stands for another.
	literal bool
	// quiet > 0 inside branches whose error nobody sees: texts are not built.
	quiet int
	// filled are the defaults written so far, so that a branch that does not
	// match can take its own back.
	filled []fill
}

type fill struct {
	in   map[string]any
	name string
}

// failed is the error inside quiet branches.
const failed = "!"

// fail builds an error text unless nobody will read it.
func (w *walk) fail(parts ...string) string {
	if w.quiet > 0 {
		return failed
	}
	return strings.Join(parts, "")
}

// failName is fail with a quoted name in second place.
func (w *walk) failName(before, name string, after ...string) string {
	if w.quiet > 0 {
		return failed
	}
	return before + luaQuote(name) + strings.Join(after, "")
}

// check returns the value to go on with and "" or the reason against it.
func (w *walk) check(n *node, v any) (any, string) {
	if n.always != nil {
		if *n.always {
			return v, ""
		}
		return v, w.fail("expect false always")
	}
	kinds := typesOf(v)
	if n.types != 0 && kinds&n.types == 0 {
		return v, w.fail("wrong type: expected ", n.typesText, ", got ", TypeName(v))
	}
	v = n.shape(v, kinds)
	if n.hasObject {
		if kinds&typeObject != 0 {
			if m, ok := v.(map[string]any); ok {
				if why := w.object(n, m); why != "" {
					return v, why
				}
			}
		}
		if n.onlyEmpty && kinds&(typeObject|typeArray) != typeObject|typeArray {
			return v, w.fail("the input data should be an empty table")
		}
	}
	if n.hasArray && kinds&typeArray != 0 {
		list, _ := v.([]any)
		if why := w.array(n, list); why != "" {
			return v, why
		}
	}
	switch x := v.(type) {
	case string:
		if why := w.text(n, x); why != "" {
			return v, why
		}
	case float64:
		if n.hasNumber {
			if why := w.number(n, x); why != "" {
				return v, why
			}
		}
	}
	if n.enum != nil && !contained(n.enum, v) {
		return v, w.fail("matches none of the enum values")
	}
	return w.combined(n, v)
}

// shape gives an empty array or object the form that the schema speaks of.
func (n *node) shape(v any, kinds typeSet) any {
	if kinds != typeArray|typeObject {
		return v
	}
	_, isList := v.([]any)
	wantsObject := n.types&typeArray == 0 && (n.types&typeObject != 0 || n.hasObject)
	wantsArray := n.types&typeObject == 0 && (n.types&typeArray != 0 || n.hasArray)
	switch {
	case isList && wantsObject && !wantsArray:
		return map[string]any{}
	case !isList && wantsArray && !wantsObject:
		return []any{}
	}
	return v
}

func (w *walk) text(n *node, s string) string {
	if n.minLen < 0 && n.maxLen < 0 && n.pattern == nil {
		return w.formatted(n, s)
	}
	if !w.literal && isReference(s) {
		return ""
	}
	if n.minLen >= 0 || n.maxLen >= 0 {
		c := utf8.RuneCountInString(s)
		if c < n.minLen {
			return w.fail("string too short, expected at least ", strconv.Itoa(n.minLen), ", got ", strconv.Itoa(c))
		}
		if n.maxLen >= 0 && c > n.maxLen {
			return w.fail("string too long, expected at most ", strconv.Itoa(n.maxLen), ", got ", strconv.Itoa(c))
		}
	}
	if n.pattern != nil && !n.pattern.MatchString(s) {
		if w.quiet > 0 {
			return failed
		}
		return w.fail("failed to match pattern ", luaQuote(n.pattern.String()), " with ", luaQuote(shorten(s)))
	}
	return w.formatted(n, s)
}

// isReference tells whether s stands for a value that is fetched later.
func isReference(s string) bool {
	if len(s) < 7 || s[0] != '$' {
		return false
	}
	return strings.EqualFold(s[:7], "$env://") ||
		len(s) >= 10 && strings.EqualFold(s[:10], "$secret://")
}

func (w *walk) formatted(n *node, s string) string {
	switch n.format {
	case "ipv4":
		if a, err := netip.ParseAddr(s); err != nil || !a.Is4() {
			return w.fail("expect valid ipv4 address but got: ", shorten(s))
		}
	case "ipv6":
		if a, err := netip.ParseAddr(s); err != nil || !a.Is6() || a.Zone() != "" {
			return w.fail("expect valid ipv6 address but got: ", shorten(s))
		}
	}
	return ""
}

func (w *walk) number(n *node, f float64) string {
	switch {
	case n.min != nil && f < *n.min:
		return w.outside(f, "at least ", *n.min)
	case n.xmin != nil && f <= *n.xmin:
		return w.outside(f, "greater than ", *n.xmin)
	case n.max != nil && f > *n.max:
		return w.outside(f, "at most ", *n.max)
	case n.xmax != nil && f >= *n.xmax:
		return w.outside(f, "smaller than ", *n.xmax)
	case n.of != nil && math.Mod(f, *n.of) != 0:
		return w.outside(f, "a multiple of ", *n.of)
	}
	return ""
}

func (w *walk) outside(f float64, what string, limit float64) string {
	if w.quiet > 0 {
		return failed
	}
	return w.fail("expected ", luaNumber(f), " to be ", what, luaNumber(limit))
}

func contained(list []any, v any) bool {
	for _, one := range list {
		if equal(one, v) {
			return true
		}
	}
	return false
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		s, ok := b.(string)
		return ok && s == a
	case float64:
		f, ok := b.(float64)
		return ok && f == a
	case bool:
		t, ok := b.(bool)
		return ok && t == a
	}
	return reflect.DeepEqual(a, b)
}

// branch checks v where a failure is no error yet: defaults that it filled in
// before failing are taken back.
func (w *walk) branch(n *node, v any) (any, bool) {
	mark := len(w.filled)
	w.quiet++
	out, why := w.check(n, v)
	w.quiet--
	if why == "" {
		return out, true
	}
	for _, f := range w.filled[mark:] {
		delete(f.in, f.name)
	}
	w.filled = w.filled[:mark]
	return v, false
}

func (w *walk) combined(n *node, v any) (any, string) {
	var why string
	for i, sub := range n.allOf {
		if v, why = w.check(sub, v); why != "" {
			return v, w.fail("allOf ", strconv.Itoa(i+1), " failed: ", why)
		}
	}
	if n.anyOf != nil {
		ok := false
		for _, sub := range n.anyOf {
			if v, ok = w.branch(sub, v); ok {
				break
			}
		}
		if !ok {
			return v, w.fail("object matches none of the required", n.anyText)
		}
	}
	if n.oneOf != nil {
		if v, why = w.exactlyOne(n.oneOf, v); why != "" {
			return v, why
		}
	}
	if n.cond != nil {
		if v, why = w.conditional(n, v); why != "" {
			return v, why
		}
	}
	if n.not != nil {
		if _, ok := w.branch(n.not, v); ok {
			return v, w.fail("value wasn't supposed to match schema")
		}
	}
	if n.constant != nil && !equal(*n.constant, v) {
		return v, w.fail("failed to check const value")
	}
	if n.contains != nil {
		return v, w.someItem(n.contains, v)
	}
	return v, ""
}

func (w *walk) exactlyOne(list []*node, v any) (any, string) {
	matched := 0
	for i, sub := range list {
		out, ok := w.branch(sub, v)
		if !ok {
			continue
		}
		if matched > 0 {
			return v, w.fail("value should match only one schema, but matches both schemas ",
				strconv.Itoa(matched), " and ", strconv.Itoa(i+1))
		}
		v, matched = out, i+1
	}
	if matched == 0 {
		return v, w.fail("value should match only one schema, but matches none")
	}
	return v, ""
}

func (w *walk) conditional(n *node, v any) (any, string) {
	out, ok := w.branch(n.cond, v)
	v = out
	next, word := n.orElse, "else"
	if ok {
		next, word = n.then, "then"
	}
	if next == nil {
		return v, ""
	}
	if v, ok = w.branch(next, v); !ok {
		return v, w.fail(word, " clause did not match")
	}
	return v, ""
}

func (w *walk) someItem(n *node, v any) string {
	if typesOf(v) == typeArray|typeObject {
		return w.fail("check contains: empty array is invalid")
	}
	list, ok := v.([]any)
	if !ok {
		return ""
	}
	for i := range list {
		if _, ok := w.branch(n, list[i]); ok {
			return ""
		}
	}
	return w.fail("failed to check contains")
}
