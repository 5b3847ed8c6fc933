// Package schema checks JSON values against JSON Schemas the way APISIX does:
// the same verdicts, the same first error in the same words, and defaults
// filled in while checking.
//
// Schemas are read and compiled by santhosh-tekuri/jsonschema, which resolves
// references and refuses malformed ones. The values are walked here, since
// four things that stored APISIX data depend on are beyond JSON Schema: an
// empty array is an empty object, defaults written by one keyword are seen by
// the next, a secret reference passes where its text would break a length or
// pattern, and the error names the first violation only.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a compiled schema, safe for concurrent use.
type Schema struct {
	root *node
	std  *jsonschema.Schema
}

// Compile reads a schema document (draft 7 where it does not say otherwise).
func Compile(text []byte) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("cannot read JSON Schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseRegexpEngine(cachedPattern)
	c.UseLoader(noLoader{})
	c.AssertFormat()
	const url = "mem:///schema.json"
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("cannot add JSON Schema: %w", err)
	}
	std, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("cannot compile JSON Schema: %w", err)
	}
	root, err := newBuilder().node(std)
	if err != nil {
		return nil, err
	}
	return &Schema{root: root, std: std}, nil
}

// Lazy compiles text on first use and keeps the result or the error.
func Lazy(text []byte) func() (*Schema, error) {
	return sync.OnceValues(func() (*Schema, error) { return Compile(text) })
}

// noLoader keeps schemas from reading files or the network through $ref.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %s: schemas cannot refer to other documents", url)
}

// node is one (sub)schema in the order in which its keywords are checked.
type node struct {
	always *bool // true, false: a boolean schema

	types     typeSet
	typesText string // "integer", "one of a, b"

	hasObject bool // any keyword about properties
	props     []property
	known     map[string]bool // names in props; nil when extra ones are free
	required  []string        // required names that are not in props
	deps      []dependency    // dependencies on names that are not in props
	patterns  []patternProp
	extra     *node // schema of additional properties
	closed    bool  // additional properties are forbidden
	minProps  int   // -1: none
	maxProps  int
	onlyEmpty bool // "required": [] means an empty object to APISIX

	hasArray bool
	items    *node
	tuple    []*node
	tupleEnd *node // schema of items after the tuple
	tupleCut bool  // no items after the tuple
	minItems int
	maxItems int
	unique   bool

	minLen, maxLen int
	pattern        jsonschema.Regexp

	hasNumber                bool
	min, max, xmin, xmax, of *float64

	enum     []any
	allOf    []*node
	anyOf    []*node
	anyText  string // the branches' required lists, for the message
	oneOf    []*node
	not      *node
	cond     *node
	then     *node
	orElse   *node
	format   string
	constant *any
	contains *node
}

type property struct {
	name       string
	node       *node
	required   bool
	dependsOn  []string
	dependency *node
	fallback   any // the default, nil: none
}

type dependency struct {
	name string
	on   []string
	node *node
}

type patternProp struct {
	re   jsonschema.Regexp
	node *node
}

type builder struct {
	done map[*jsonschema.Schema]*node
}

func newBuilder() *builder { return &builder{done: map[*jsonschema.Schema]*node{}} }

// node converts s; recursive schemas end in the same node.
func (b *builder) node(s *jsonschema.Schema) (*node, error) {
	if s == nil {
		return nil, nil
	}
	if s.Ref != nil {
		return b.node(s.Ref)
	}
	if n, ok := b.done[s]; ok {
		return n, nil
	}
	n := &node{minProps: -1, maxProps: -1, minItems: -1, maxItems: -1, minLen: -1, maxLen: -1}
	b.done[s] = n
	if s.Bool != nil {
		n.always = s.Bool
		return n, nil
	}
	n.setTypes(s.Types)
	if err := b.object(n, s); err != nil {
		return nil, err
	}
	if err := b.array(n, s); err != nil {
		return nil, err
	}
	n.scalar(s)
	return n, b.combined(n, s)
}

func (n *node) setTypes(t *jsonschema.Types) {
	if t == nil {
		return
	}
	names := t.ToStrings()
	for _, name := range names {
		n.types |= typeBits[name]
	}
	n.typesText = names[0]
	if len(names) > 1 {
		n.typesText = "one of " + strings.Join(names, ", ")
	}
}

func (b *builder) object(n *node, s *jsonschema.Schema) (err error) {
	n.hasObject = s.Properties != nil || s.AdditionalProperties != nil || s.PatternProperties != nil ||
		s.MinProperties != nil || s.MaxProperties != nil || s.Dependencies != nil || s.Required != nil
	if !n.hasObject {
		return nil
	}
	n.minProps, n.maxProps = orNone(s.MinProperties), orNone(s.MaxProperties)
	n.onlyEmpty = s.Required != nil && len(s.Required) == 0
	for _, name := range sortedKeys(s.Properties) {
		p := property{name: name, required: slices.Contains(s.Required, name)}
		sub := s.Properties[name]
		if p.node, err = b.node(sub); err != nil {
			return err
		}
		if p.dependsOn, p.dependency, err = b.dependency(s.Dependencies[name]); err != nil {
			return err
		}
		p.fallback = defaultOf(sub)
		n.props = append(n.props, p)
	}
	for _, name := range s.Required {
		if _, ok := s.Properties[name]; !ok {
			n.required = append(n.required, name)
		}
	}
	for _, name := range sortedKeys(s.Dependencies) {
		if _, ok := s.Properties[name]; ok {
			continue
		}
		d := dependency{name: name}
		if d.on, d.node, err = b.dependency(s.Dependencies[name]); err != nil {
			return err
		}
		n.deps = append(n.deps, d)
	}
	for re, sub := range s.PatternProperties {
		p := patternProp{re: re}
		if p.node, err = b.node(sub); err != nil {
			return err
		}
		n.patterns = append(n.patterns, p)
	}
	slices.SortFunc(n.patterns, func(a, b patternProp) int { return strings.Compare(a.re.String(), b.re.String()) })
	switch extra := s.AdditionalProperties.(type) {
	case bool:
		n.closed = !extra
	case *jsonschema.Schema:
		if n.extra, err = b.node(extra); err != nil {
			return err
		}
	}
	if n.closed || n.extra != nil {
		n.known = make(map[string]bool, len(n.props))
		for i := range n.props {
			n.known[n.props[i].name] = true
		}
	}
	return nil
}

func (b *builder) dependency(d any) ([]string, *node, error) {
	switch d := d.(type) {
	case []string:
		return d, nil, nil
	case *jsonschema.Schema:
		n, err := b.node(d)
		return nil, n, err
	}
	return nil, nil, nil
}

func (b *builder) array(n *node, s *jsonschema.Schema) (err error) {
	n.hasArray = s.Items != nil || s.MinItems != nil || s.MaxItems != nil || s.UniqueItems
	n.minItems, n.maxItems, n.unique = orNone(s.MinItems), orNone(s.MaxItems), s.UniqueItems
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		n.items, err = b.node(items)
	case []*jsonschema.Schema:
		n.tuple, err = b.list(items)
	}
	if err != nil {
		return err
	}
	switch more := s.AdditionalItems.(type) {
	case bool:
		n.tupleCut = !more
	case *jsonschema.Schema:
		n.tupleEnd, err = b.node(more)
	}
	return err
}

func (n *node) scalar(s *jsonschema.Schema) {
	n.minLen, n.maxLen, n.pattern = orNone(s.MinLength), orNone(s.MaxLength), s.Pattern
	n.min, n.max = float(s.Minimum), float(s.Maximum)
	n.xmin, n.xmax, n.of = float(s.ExclusiveMinimum), float(s.ExclusiveMaximum), float(s.MultipleOf)
	n.hasNumber = n.min != nil || n.max != nil || n.xmin != nil || n.xmax != nil || n.of != nil
	if s.Enum != nil {
		for _, v := range s.Enum.Values {
			n.enum = append(n.enum, plain(v))
		}
	}
	if s.Const != nil {
		v := plain(*s.Const)
		n.constant = &v
	}
	if s.Format != nil {
		n.format = s.Format.Name
	}
}

func (b *builder) combined(n *node, s *jsonschema.Schema) (err error) {
	if n.allOf, err = b.list(s.AllOf); err != nil {
		return err
	}
	if n.anyOf, err = b.list(s.AnyOf); err != nil {
		return err
	}
	var lists []string
	for _, sub := range s.AnyOf {
		if sub.Required != nil {
			text, _ := json.Marshal(sub.Required)
			lists = append(lists, string(text))
		}
	}
	if len(lists) > 0 {
		n.anyText = ": " + strings.Join(lists, " or ")
	}
	if n.oneOf, err = b.list(s.OneOf); err != nil {
		return err
	}
	for _, one := range []struct {
		to   **node
		from *jsonschema.Schema
	}{{&n.not, s.Not}, {&n.cond, s.If}, {&n.then, s.Then}, {&n.orElse, s.Else}, {&n.contains, s.Contains}} {
		if *one.to, err = b.node(one.from); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) list(from []*jsonschema.Schema) ([]*node, error) {
	var to []*node
	for _, s := range from {
		n, err := b.node(s)
		if err != nil {
			return nil, err
		}
		to = append(to, n)
	}
	return to, nil
}

// defaultOf returns the value that stands in for a missing property. As in
// APISIX, false is not filled in: to its readers it is the same as nothing.
func defaultOf(s *jsonschema.Schema) any {
	if s.Default == nil {
		return nil
	}
	v := plain(*s.Default)
	if v == false {
		return nil
	}
	return v
}

// plain turns the numbers of a schema document into float64, the form that
// values have.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return v
}

func orNone(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

func float(r *big.Rat) *float64 {
	if r == nil {
		return nil
	}
	f, _ := r.Float64()
	return &f
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
