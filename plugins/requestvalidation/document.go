package requestvalidation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxDepth bounds how deeply a body may be nested.
const maxDepth = 128

var errDepth = fmt.Errorf("the body is nested more than %d levels deep", maxDepth)

// decode reads a JSON text in two forms: doc with numbers as floats, to be
// checked, and exact with numbers as they are written, to be passed on.
func decode(text []byte) (doc, exact any, err error) {
	if tooDeep(text) {
		return nil, nil, errDepth
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&exact); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errors.New("the body is no JSON: it ends too early")
		}
		return nil, nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New("the body has text behind its JSON")
	}
	doc, err = floats(exact)
	return doc, exact, err
}

// tooDeep counts brackets outside of strings.
func tooDeep(text []byte) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}

// floats copies v with numbers as float64.
func floats(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) {
			return nil, fmt.Errorf("the number %.40s is out of range", v)
		}
		return f, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = floats(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			one, err := floats(v[k])
			if err != nil {
				return nil, err
			}
			out[k] = one
		}
		return out, nil
	}
	return v, nil
}

// withDefaults adds to exact what checking added to doc.
func withDefaults(exact, doc any) any {
	switch d := doc.(type) {
	case map[string]any:
		e, ok := exact.(map[string]any)
		if !ok {
			return doc // an empty list that stands for an object
		}
		for k, v := range d {
			if old, ok := e[k]; ok {
				e[k] = withDefaults(old, v)
			} else {
				e[k] = v
			}
		}
	case []any:
		e, ok := exact.([]any)
		if !ok || len(e) != len(d) {
			return exact
		}
		for i := range d {
			e[i] = withDefaults(e[i], d[i])
		}
	}
	return exact
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
