package requestvalidation

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/core/req"
)

// fields makes an object of the request's header fields. Names are in lower
// case, and as the schema spells them; several fields of one name are a list.
func (p *plugin) fields(ctx *req.Ctx) map[string]any {
	h := &ctx.Req.Header
	out := make(map[string]any, h.Len())
	for i := range h.Len() {
		name := strings.ToLower(string(h.Name(i)))
		value := string(h.Value(i))
		names, ok := p.spelled[name]
		if !ok {
			add(out, name, value)
			continue
		}
		for _, n := range names {
			add(out, n, value)
		}
	}
	return out
}

// add puts a value under a name, behind those that are there.
func add(m map[string]any, name string, value any) {
	switch old := m[name].(type) {
	case nil:
		m[name] = value
	case []any:
		m[name] = append(old, value)
	default:
		m[name] = []any{old, value}
	}
}

// spellings lists, by name in lower case, how a schema spells the names of
// properties. Whatever stands as a name of a property or as text in required
// counts.
func spellings(text json.RawMessage) map[string][]string {
	out := map[string][]string{}
	var doc any
	if json.Unmarshal(text, &doc) != nil {
		return out
	}
	note := func(name string) {
		low := strings.ToLower(name)
		for _, n := range out[low] {
			if n == name {
				return
			}
		}
		out[low] = append(out[low], name)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for key, one := range v {
				switch list := one.(type) {
				case map[string]any:
					if key == "properties" || key == "dependencies" || key == "dependentRequired" || key == "dependentSchemas" {
						for name := range list {
							note(name)
						}
					}
				case []any:
					// required, or the names that a dependency asks for.
					for _, s := range list {
						if name, ok := s.(string); ok && key != "enum" && key != "type" {
							note(name)
						}
					}
				}
				walk(one)
			}
		}
	}
	walk(doc)
	return out
}

// kind is what a schema takes an argument for. In a query everything is text.
type kind uint8

const (
	textual kind = iota
	number
	integer
	boolean
)

// kindsOf reads the types of a query schema's properties, or of the items of
// those that are lists.
func kindsOf(text json.RawMessage) map[string]kind {
	var doc struct {
		Properties map[string]struct {
			Type  any `json:"type"`
			Items struct {
				Type any `json:"type"`
			} `json:"items"`
		} `json:"properties"`
	}
	if json.Unmarshal(text, &doc) != nil {
		return nil
	}
	names := map[any]kind{"number": number, "integer": integer, "boolean": boolean}
	out := map[string]kind{}
	for name, p := range doc.Properties {
		t := p.Type
		if t == "array" {
			t = p.Items.Type
		}
		if s, ok := t.(string); ok {
			if k := names[s]; k != textual {
				out[name] = k
			}
		}
	}
	return out
}

// arguments makes an object of a query or a form. A name without '=' is true, a
// name that stands several times a list. Texts that read as what kinds asks for
// become that.
func arguments(text []byte, kinds map[string]kind) map[string]any {
	out := map[string]any{}
	for len(text) > 0 {
		var pair []byte
		pair, text, _ = bytes.Cut(text, []byte{'&'})
		if len(pair) == 0 {
			continue
		}
		name, value, assigned := bytes.Cut(pair, []byte{'='})
		key := unescape(name)
		if key == "" {
			continue
		}
		if !assigned {
			add(out, key, true)
			continue
		}
		add(out, key, convert(unescape(value), kinds[key]))
	}
	return out
}

func convert(s string, k kind) any {
	switch k {
	case number, integer:
		if f, err := strconv.ParseFloat(s, 64); err == nil && strings.Trim(s, "0123456789+-.eE") == "" {
			return f
		}
	case boolean:
		switch s {
		case "true":
			return true
		case "false":
			return false
		}
	}
	return s
}

// unescape decodes percent encoding and '+'. What is no encoding stands for
// itself.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(b) && hex(b[i+1]) < 16 && hex(b[i+2]) < 16:
			out = append(out, hex(b[i+1])<<4|hex(b[i+2]))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// hex is the value of a hexadecimal digit, 255 for anything else.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
