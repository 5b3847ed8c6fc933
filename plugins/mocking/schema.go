package mocking

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// schema is the part of a JSON Schema that data is made up from.
type schema struct {
	kind    string // object, array, string, number, integer, boolean
	example []byte // JSON text that is used instead of made-up data
	text    string // the example of a string
	items   *schema
	names   []string // of the properties, sorted
	fields  []*schema
}

// maxDepth bounds the nesting of made-up data.
const maxDepth = 32

func parseSchema(raw json.RawMessage) (*schema, error) {
	s, err := parseLevel(raw, 0)
	if err == nil && s.kind != "object" {
		// As in APISIX the outermost level is an object whatever it says.
		s.kind = "object"
	}
	return s, err
}

func parseLevel(raw json.RawMessage, depth int) (*schema, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("response_schema is nested more than %d deep", maxDepth)
	}
	var c struct {
		Type       string                     `json:"type"`
		Example    json.RawMessage            `json:"example"`
		Items      json.RawMessage            `json:"items"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("response_schema: %w", err)
	}
	s := &schema{kind: strings.ToLower(c.Type)}
	switch s.kind {
	case "string":
		if json.Unmarshal(c.Example, &s.text) == nil && len(c.Example) > 0 {
			s.example = c.Example
		}
	case "number", "integer":
		if f, err := strconv.ParseFloat(string(c.Example), 64); err == nil {
			if s.example = c.Example; s.kind == "integer" {
				s.example = strconv.AppendInt(nil, int64(f), 10)
			}
		}
	case "boolean":
		if t := string(c.Example); t == "true" || t == "false" {
			s.example = c.Example
		}
	case "array":
		if len(c.Items) > 0 {
			var err error
			if s.items, err = parseLevel(c.Items, depth+1); err != nil {
				return nil, err
			}
		}
	case "object", "":
		if s.kind == "" && depth > 0 {
			return nil, errors.New("response_schema: every property needs a type")
		}
		for name := range c.Properties {
			s.names = append(s.names, name)
		}
		slices.Sort(s.names)
		for _, name := range s.names {
			f, err := parseLevel(c.Properties[name], depth+1)
			if err != nil {
				return nil, err
			}
			s.fields = append(s.fields, f)
		}
	default:
		return nil, fmt.Errorf("response_schema: type %q is not one of object, array, string, number, integer, boolean", c.Type)
	}
	return s, nil
}

// appendJSON appends made-up data as JSON.
func (s *schema) appendJSON(dst []byte) []byte {
	switch s.kind {
	case "object":
		dst = append(dst, '{')
		for i, f := range s.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			name, _ := json.Marshal(s.names[i])
			dst = append(append(dst, name...), ':')
			dst = f.appendJSON(dst)
		}
		return append(dst, '}')
	case "array":
		dst = append(dst, '[')
		for i := range s.count() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = s.items.appendJSON(dst)
		}
		return append(dst, ']')
	case "string":
		if s.example != nil {
			return append(dst, s.example...)
		}
		return append(s.appendText(append(dst, '"')), '"')
	}
	return s.appendText(dst)
}

// count is how many items an array gets.
func (s *schema) count() int {
	if s.items == nil {
		return 0
	}
	return 1 + rand.IntN(3)
}

// appendText appends a scalar.
func (s *schema) appendText(dst []byte) []byte {
	switch {
	case s.kind == "string" && s.example != nil:
		return append(dst, s.text...)
	case s.example != nil:
		return append(dst, s.example...)
	case s.kind == "string":
		for range 1 + rand.IntN(10) {
			dst = append(dst, byte('a'+rand.IntN(26)))
		}
		return dst
	case s.kind == "number":
		return strconv.AppendFloat(dst, float64(rand.IntN(1e8))/1e4, 'f', -1, 64)
	case s.kind == "integer":
		return strconv.AppendInt(dst, int64(1+rand.IntN(10000)), 10)
	case s.kind == "boolean":
		return strconv.AppendBool(dst, rand.IntN(2) == 1)
	}
	return dst
}

// appendXML appends made-up data as an XML element; an array is an element for
// each of its items.
func (s *schema) appendXML(dst []byte, name string, depth int) []byte {
	indent := func() {
		for range depth {
			dst = append(dst, "  "...)
		}
	}
	switch s.kind {
	case "object":
		indent()
		dst = append(append(append(dst, '<'), name...), ">\n"...)
		for i, f := range s.fields {
			dst = f.appendXML(dst, s.names[i], depth+1)
		}
		indent()
	case "array":
		for range s.count() {
			dst = s.items.appendXML(dst, name, depth)
		}
		return dst
	default:
		indent()
		dst = append(append(append(dst, '<'), name...), '>')
		dst = append(dst, xmlEscaper.Replace(string(s.appendText(nil)))...)
	}
	return append(append(append(dst, "</"...), name...), ">\n"...)
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
