// Package expr compiles the rules that select requests by their variables
// (route vars, _meta.filter, traffic-split and others) and evaluates them.
package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/vars"
)

// Expr is a compiled rule. It is immutable. A nil Expr is true.
type Expr struct {
	root      node
	unknown   []string
	backtrack []string
	needsBody bool
}

// node is a logical operator over kids, or a comparison of a variable.
type node struct {
	op     op
	negate bool
	kids   []node

	v     vars.Var
	right operand
	list  []operand // in
	set   map[string]struct{}
	re    *regex.Regexp
	ips   *IPSet
	peer  bool // ipmatch on remote_addr: the address needs no parsing
}

// operand is the right side of a comparison.
type operand struct {
	kind vars.Kind // Unset for null
	text string    // as it is shown; for a string its value
	num  float64
	isN  bool // num is set: a number, or a string that reads as one
	yes  bool // of a Bool
}

type op uint8

const (
	opAnd op = iota
	opOr
	opEqual
	opNotEqual
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
	opRegex
	opRegexFold
	opIn
	opHas
	opIPMatch
)

var operators = map[string]op{
	"==": opEqual, "~=": opNotEqual, ">": opGreater, ">=": opGreaterEqual, "<": opLess,
	"<=": opLessEqual, "~~": opRegex, "~*": opRegexFold, "in": opIn, "has": opHas, "ipmatch": opIPMatch,
}

// maxDepth bounds how deeply rules may be nested.
const maxDepth = 64

// CompileJSON compiles the JSON text of a rule.
func CompileJSON(text []byte) (*Expr, error) {
	var rule any
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&rule); err != nil {
		return nil, fmt.Errorf("the expression is not JSON: %w", err)
	}
	if d.More() {
		return nil, errors.New("the expression has text behind its end")
	}
	return Compile(rule)
}

// Compile compiles a rule decoded from JSON or YAML. An empty list is always
// true. Errors name the place in the rule, such as [1][0].
func Compile(rule any) (*Expr, error) {
	list, ok := rule.([]any)
	if !ok {
		return nil, fmt.Errorf("an expression is a list such as [[\"arg_name\", \"==\", \"value\"]], not %s", typeName(rule))
	}
	e := &Expr{}
	if len(list) == 0 {
		return e, nil
	}
	if _, isList := list[0].([]any); !isList {
		word, ok := list[0].(string)
		if !ok {
			return nil, fmt.Errorf("an expression begins with a list or with AND, OR, !AND, !OR, not with %s", typeName(list[0]))
		}
		if _, _, ok := logical(word); !ok {
			return nil, fmt.Errorf("the expression on %q stands alone: wrap it in brackets, [[...]]", word)
		}
	}
	root, err := e.rule(list, "", 0)
	if err != nil {
		return nil, err
	}
	// One comparison in brackets is the common case; spare it a level.
	for root.op == opAnd && !root.negate && len(root.kids) == 1 {
		root = root.kids[0]
	}
	e.root = root
	return e, nil
}

func logical(word string) (o op, negate, ok bool) {
	word, negate = strings.CutPrefix(strings.ToUpper(word), "!")
	switch word {
	case "AND":
		return opAnd, negate, true
	case "OR":
		return opOr, negate, true
	}
	return 0, false, false
}

// rule compiles a list of rules, a logical operator or a comparison.
func (e *Expr) rule(list []any, at string, depth int) (node, error) {
	if depth > maxDepth {
		return node{}, fmt.Errorf("%s: more than %d levels of nesting", at, maxDepth)
	}
	if len(list) == 0 {
		return node{}, fmt.Errorf("%s: an empty list is only allowed as the whole expression", at)
	}
	n, kids, first := node{op: opAnd}, list, 0
	if _, isList := list[0].([]any); !isList {
		word, ok := list[0].(string)
		if !ok {
			return node{}, fmt.Errorf("%s: the name of a variable must be a string, not %s", at, typeName(list[0]))
		}
		o, negate, ok := logical(word)
		if !ok {
			return e.comparison(word, list, at)
		}
		if len(list) < 3 {
			return node{}, fmt.Errorf("%s: %s needs at least two expressions", at, word)
		}
		n.op, n.negate, kids, first = o, negate, list[1:], 1
	}
	for i, k := range kids {
		where := fmt.Sprintf("%s[%d]", at, i+first)
		sub, ok := k.([]any)
		if !ok {
			return node{}, fmt.Errorf("%s: an expression is a list, not %s", where, typeName(k))
		}
		kid, err := e.rule(sub, where, depth+1)
		if err != nil {
			return node{}, err
		}
		n.kids = append(n.kids, kid)
	}
	return n, nil
}

func (e *Expr) comparison(name string, list []any, at string) (node, error) {
	fail := func(format string, args ...any) (node, error) {
		return node{}, fmt.Errorf("%s (%s): %w", at, name, fmt.Errorf(format, args...))
	}
	var n node
	var right any
	present := true // the rule has a right side
	switch len(list) {
	case 1:
		return fail("an expression needs an operator and a value")
	case 2:
		word, _ := list[1].(string)
		if o, ok := operators[strings.ToLower(word)]; ok {
			n.op, present = o, false
		} else {
			n.op, right = opEqual, list[1]
		}
	case 3, 4:
		at := 1
		if len(list) == 4 {
			if list[1] != "!" {
				return fail("with four elements the second must be \"!\"")
			}
			n.negate, at = true, 2
		}
		word, ok := list[at].(string)
		if !ok {
			return fail("an operator is a string, not %s", typeName(list[at]))
		}
		if n.op, ok = operators[strings.ToLower(word)]; !ok {
			return fail("unknown operator %q: use one of == ~= > >= < <= ~~ ~* in has ipmatch", word)
		}
		right = list[at+1]
	default:
		return fail("an expression has two to four elements, this one has %d", len(list))
	}

	v, known := vars.Compile(name)
	if !known {
		e.unknown = append(e.unknown, name)
	}
	n.v = v
	e.needsBody = e.needsBody || v.NeedsBody()

	switch n.op {
	case opRegex, opRegexFold:
		o, err := newOperand(right)
		if err != nil || o.kind != vars.String && o.kind != vars.Number || !present {
			return fail("a regular expression must be a string, not %s", typeName(right))
		}
		re, err := regex.Compile(o.text, n.op == opRegexFold)
		if err != nil {
			return fail("%w", err)
		}
		if re.Backtracks() {
			e.backtrack = append(e.backtrack, o.text)
		}
		n.re = re
	case opIn:
		values, _ := right.([]any)
		for _, r := range values {
			o, err := newOperand(r)
			if err != nil {
				return fail("%w", err)
			}
			n.list = append(n.list, o)
		}
		n.index()
	case opIPMatch:
		values, ok := right.([]any)
		if !ok {
			values = []any{right}
		}
		var texts []string
		for _, r := range values {
			s, ok := r.(string)
			if !ok || s == "" {
				return fail("ipmatch needs addresses as strings, not %s", typeName(r))
			}
			texts = append(texts, s)
		}
		if len(texts) == 0 {
			return fail("ipmatch needs at least one address")
		}
		ips, err := ParseIPs(texts)
		if err != nil {
			return fail("%w", err)
		}
		n.ips, n.peer = ips, name == "remote_addr"
	default:
		o, err := newOperand(right)
		if err != nil {
			return fail("%w", err)
		}
		n.right = o
	}
	return n, nil
}

// index makes a set of a long list of strings.
func (n *node) index() {
	const worth = 8
	if len(n.list) <= worth {
		return
	}
	set := make(map[string]struct{}, len(n.list))
	for _, o := range n.list {
		if o.kind != vars.String {
			return
		}
		set[o.text] = struct{}{}
	}
	n.set = set
}

func newOperand(v any) (operand, error) {
	switch v := v.(type) {
	case nil:
		return operand{kind: vars.Unset, text: "null"}, nil
	case string:
		o := operand{kind: vars.String, text: v}
		o.num, o.isN = vars.ToNumber([]byte(v))
		return o, nil
	case bool:
		return operand{kind: vars.Bool, text: fmt.Sprint(v), yes: v}, nil
	case []any:
		return operand{kind: vars.List, text: jsonText(v)}, nil
	case map[string]any:
		return operand{kind: vars.Object, text: jsonText(v)}, nil
	}
	// Whatever number type the decoder chose.
	text := jsonText(v)
	num, ok := vars.ToNumber([]byte(text))
	if !ok {
		return operand{}, fmt.Errorf("a value cannot be %s", typeName(v))
	}
	return operand{kind: vars.Number, text: text, num: num, isN: true}, nil
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case float64, int, int64, uint64, json.Number:
		return "a number"
	}
	return fmt.Sprintf("a %T", v)
}

// Unknown lists the variables that no request will ever have a value for.
func (e *Expr) Unknown() []string { return e.unknown }

// Backtracking lists the regular expressions that need the slower, bounded
// engine.
func (e *Expr) Backtracking() []string { return e.backtrack }

// NeedsBody reports whether Eval may have to wait for the request body, for
// which the request must run on a task.
func (e *Expr) NeedsBody() bool { return e != nil && e.needsBody }

// ParsePrefix reads an address or a network in CIDR notation, IPv4 or IPv6.
func ParsePrefix(s string) (netip.Prefix, error) {
	if strings.IndexByte(s, '/') >= 0 {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is not a network such as 10.0.0.0/8 or fd00::/8", s)
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an IP address", s)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}
