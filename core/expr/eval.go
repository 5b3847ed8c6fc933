package expr

import (
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

// Eval tells whether the request satisfies the rule. It allocates nothing,
// except in regular expressions that Backtracking lists.
func (e *Expr) Eval(ctx *req.Ctx) bool {
	return e == nil || e.root.eval(ctx)
}

func (n *node) eval(ctx *req.Ctx) bool {
	switch n.op {
	case opAnd:
		for i := range n.kids {
			if !n.kids[i].eval(ctx) {
				return n.negate
			}
		}
		return !n.negate
	case opOr:
		for i := range n.kids {
			if n.kids[i].eval(ctx) {
				return !n.negate
			}
		}
		return n.negate
	}
	return n.compare(ctx) != n.negate
}

func (n *node) compare(ctx *req.Ctx) bool {
	if n.peer {
		return n.ips.Contains(ctx.Client)
	}
	left := n.v.Value(ctx)
	switch n.op {
	case opEqual:
		return equal(left, &n.right)
	case opNotEqual:
		return !equal(left, &n.right)
	case opGreater, opGreaterEqual, opLess, opLessEqual:
		if !n.right.isN {
			return false
		}
		l, ok := toNumber(left)
		if !ok {
			return false
		}
		switch r := n.right.num; n.op {
		case opGreater:
			return l > r
		case opGreaterEqual:
			return l >= r
		case opLess:
			return l < r
		default:
			return l <= r
		}
	case opRegex, opRegexFold:
		return (left.Kind == vars.String || left.Kind == vars.Number) && n.re.Match(left.Text)
	case opIn:
		if n.set != nil {
			if left.Kind != vars.String {
				return false
			}
			_, ok := n.set[string(left.Text)]
			return ok
		}
		for i := range n.list {
			if same(left, &n.list[i]) {
				return true
			}
		}
		return false
	case opHas:
		switch n.right.kind {
		case vars.String:
			return left.HasString(n.right.text)
		case vars.Number:
			return left.HasNumber(n.right.num)
		case vars.Bool:
			return left.HasBool(n.right.yes)
		}
		return false
	case opIPMatch:
		if left.Kind != vars.String {
			return false
		}
		a, ok := parseAddr(left.Text)
		return ok && n.ips.Contains(a)
	}
	panic("BUG: unknown operator in a compiled expression")
}

// equal is the operator ==: a number on the right makes a number of the left.
func equal(left vars.Value, right *operand) bool {
	if right.kind == vars.Number {
		l, ok := toNumber(left)
		return ok && l == right.num
	}
	return same(left, right)
}

// same compares without any conversion: a string never equals a number.
func same(left vars.Value, right *operand) bool {
	if left.Kind != right.kind {
		return false
	}
	switch left.Kind {
	case vars.Unset:
		return true
	case vars.String:
		return string(left.Text) == right.text
	case vars.Number:
		l, ok := vars.ToNumber(left.Text)
		return ok && l == right.num
	case vars.Bool:
		return (left.Text[0] == 't') == right.yes
	}
	return false // lists and objects are never the same one
}

func toNumber(v vars.Value) (float64, bool) {
	if v.Kind != vars.String && v.Kind != vars.Number {
		return 0, false
	}
	return vars.ToNumber(v.Text)
}

// parseAddr reads an IP address. Text that is not nearly one is turned down
// before netip would make an error of it.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) < 2 || len(b) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return netip.Addr{}, false
	}
	dots := 0
	for _, c := range b {
		switch {
		case c == ':':
			dots = 3
		case c == '.':
			dots++
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return netip.Addr{}, false
		}
	}
	if dots < 3 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b)))
	return a.Unmap(), err == nil
}

// Failed shows, for a request that does not satisfy the rule, the part of it
// that fails and the values it saw; "" when the request does satisfy it.
func (e *Expr) Failed(ctx *req.Ctx) string {
	if e.Eval(ctx) {
		return ""
	}
	n := &e.root
descend:
	for n.op == opAnd && !n.negate {
		for i := range n.kids {
			if !n.kids[i].eval(ctx) {
				n = &n.kids[i]
				continue descend
			}
		}
		break
	}
	var b strings.Builder
	n.show(&b, ctx)
	return b.String()
}

// String shows the rule in a form for reading.
func (e *Expr) String() string {
	var b strings.Builder
	e.root.show(&b, nil)
	return b.String()
}

func (n *node) show(b *strings.Builder, ctx *req.Ctx) {
	if n.op == opAnd || n.op == opOr {
		if n.negate {
			b.WriteByte('!')
		}
		b.WriteByte('(')
		for i := range n.kids {
			if i > 0 {
				b.WriteString([]string{" AND ", " OR "}[n.op])
			}
			n.kids[i].show(b, ctx)
		}
		b.WriteByte(')')
		return
	}
	b.WriteString(n.v.Name())
	if ctx != nil {
		if v := n.v.Value(ctx); v.Kind == vars.Unset {
			b.WriteString(" (unset)")
		} else if v.Kind == vars.String {
			fmt.Fprintf(b, " (%q)", v.Text)
		} else {
			fmt.Fprintf(b, " (%s)", v.Text)
		}
	}
	if n.negate {
		b.WriteString(" not")
	}
	for word, o := range operators {
		if o == n.op {
			b.WriteString(" " + word + " ")
		}
	}
	switch {
	case n.re != nil:
		fmt.Fprintf(b, "%q", n.re.String())
	case n.ips != nil:
		b.WriteString(n.ips.String())
	case n.op == opIn:
		b.WriteByte('[')
		for i, o := range n.list {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(o.show())
		}
		b.WriteByte(']')
	default:
		b.WriteString(n.right.show())
	}
}

func (o *operand) show() string {
	if o.kind == vars.String {
		return fmt.Sprintf("%q", o.text)
	}
	return o.text
}
