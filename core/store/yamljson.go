package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// yamlEncoder writes YAML nodes as compact JSON in the order of the text.
// Aliases may name the same node many times; budget bounds what they unfold
// to in the whole document.
type yamlEncoder struct {
	budget int
}

const (
	// yamlNodesSpare is how many more nodes a document may unfold to than its
	// text has bytes; a node of the text takes two bytes at least.
	yamlNodesSpare = 100_000
	// yamlDepth bounds the nesting of one item.
	yamlDepth = 200
)

var (
	errYAMLTooLarge = errors.New("the aliases unfold to an unreasonable size")
	errYAMLTooDeep  = errors.New("it is nested too deeply, or an alias contains itself")
)

func newYAMLEncoder(text []byte) *yamlEncoder {
	return &yamlEncoder{budget: len(text) + yamlNodesSpare}
}

func (e *yamlEncoder) encode(n *yaml.Node) ([]byte, error) {
	return e.append(nil, n, 0)
}

func (e *yamlEncoder) append(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	if e.budget--; e.budget < 0 {
		return dst, errYAMLTooLarge
	}
	if depth > yamlDepth {
		return dst, errYAMLTooDeep
	}
	switch n.Kind {
	case yaml.AliasNode:
		return e.append(dst, n.Alias, depth+1)
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, c := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = e.append(dst, c, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case yaml.MappingNode:
		return e.appendMapping(dst, n, depth)
	}
	return appendScalar(dst, n)
}

func (e *yamlEncoder) appendMapping(dst []byte, n *yaml.Node, depth int) ([]byte, error) {
	fields, err := e.fields(n, depth)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '{')
	seen := make(map[string]bool, len(fields))
	first := true
	for _, f := range fields {
		if seen[f.key] {
			// A merged field gives way to the mapping's own, which comes first.
			if f.merged {
				continue
			}
			return dst, fmt.Errorf("line %d: the field %q is there twice", f.line, f.key)
		}
		seen[f.key] = true
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendString(dst, f.key), ':')
		if dst, err = e.append(dst, f.value, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

type yamlField struct {
	key    string
	value  *yaml.Node
	line   int
	merged bool
}

// fields lists a mapping's own fields and behind them those merged by "<<".
func (e *yamlEncoder) fields(n *yaml.Node, depth int) ([]yamlField, error) {
	if depth > yamlDepth {
		return nil, errYAMLTooDeep
	}
	own := make([]yamlField, 0, len(n.Content)/2)
	var merged []yamlField
	for i := 0; i+1 < len(n.Content); i += 2 {
		if e.budget--; e.budget < 0 {
			return nil, errYAMLTooLarge
		}
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a field's name is not a text", key.Line)
		}
		if key.ShortTag() == "!!merge" {
			sources := []*yaml.Node{value}
			if value.Kind == yaml.SequenceNode {
				sources = value.Content
			}
			for _, s := range sources {
				if s.Kind == yaml.AliasNode {
					s = s.Alias
				}
				if s.Kind != yaml.MappingNode {
					return nil, fmt.Errorf("line %d: << does not name a mapping", key.Line)
				}
				fs, err := e.fields(s, depth+1)
				if err != nil {
					return nil, err
				}
				for _, f := range fs {
					f.merged = true
					merged = append(merged, f)
				}
			}
			continue
		}
		own = append(own, yamlField{key: key.Value, value: value, line: key.Line})
	}
	return append(own, merged...), nil
}

func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...), nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return dst, fmt.Errorf("line %d: %q is not true or false", n.Line, n.Value)
		}
		return strconv.AppendBool(dst, b), nil
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return strconv.AppendInt(dst, i, 10), nil
		}
		var u uint64
		if n.Decode(&u) == nil {
			return strconv.AppendUint(dst, u, 10), nil
		}
		return dst, fmt.Errorf("line %d: %s is not a number that JSON can hold", n.Line, n.Value)
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return dst, fmt.Errorf("line %d: %s is not a number that JSON can hold", n.Line, n.Value)
		}
		b, err := json.Marshal(f)
		return append(dst, b...), err
	case "!!binary":
		var s string
		if err := n.Decode(&s); err != nil {
			return dst, fmt.Errorf("line %d: the binary value is not base64", n.Line)
		}
		return appendString(dst, s), nil
	}
	return appendString(dst, n.Value), nil
}

// appendString writes s as a JSON string; what is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}
