package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// decode reads exactly one JSON value. Numbers stay json.Number, so that what
// is stored is what was sent.
func decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, explainSyntax(text, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, explainSyntax(text, errors.New("more than one value"))
	}
	return v, nil
}

func explainSyntax(text []byte, err error) error {
	if known := syntaxError(text); known != "" {
		return errors.New(known)
	}
	return err
}

// decodeObject reads a stored value, which must be a JSON object.
func decodeObject(text []byte) (map[string]any, error) {
	v, err := decode(text)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("not a JSON object but %s", typeName(v))
	}
	return object, nil
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// scalar returns a JSON string or number as text: ids may be either.
func scalar(v any) (string, bool) {
	switch s := v.(type) {
	case string:
		return s, true
	case json.Number:
		return s.String(), true
	}
	return "", false
}

// field returns the id at a dotted path through objects.
func field(value map[string]any, path string) (string, bool) {
	parts := strings.Split(path, ".")
	for _, name := range parts[:len(parts)-1] {
		next, ok := value[name].(map[string]any)
		if !ok {
			return "", false
		}
		value = next
	}
	return scalar(value[parts[len(parts)-1]])
}

// holds tells whether the id stands at a path that walks through objects and,
// where it meets arrays, through each of their elements.
func holds(value any, path []string, id string) bool {
	if list, ok := value.([]any); ok {
		for _, element := range list {
			if holds(element, path, id) {
				return true
			}
		}
		return false
	}
	if len(path) == 0 {
		found, ok := scalar(value)
		return ok && found == id
	}
	object, ok := value.(map[string]any)
	return ok && holds(object[path[0]], path[1:], id)
}

// clone copies a decoded JSON value.
func clone(v any) any {
	switch c := v.(type) {
	case map[string]any:
		copied := make(map[string]any, len(c))
		for name, element := range c {
			copied[name] = clone(element)
		}
		return copied
	case []any:
		copied := make([]any, len(c))
		for i, element := range c {
			copied[i] = clone(element)
		}
		return copied
	}
	return v
}
