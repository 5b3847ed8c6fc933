package batchrequests

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// heads writes the heads of a batch's requests.
type heads struct {
	all   *batch
	outer []field // of the batch itself
	buf   []byte
}

type field struct{ name, value string }

// notPassed are fields that say how one request was sent.
const notPassed = h1.HopByHop | 1<<h1.Expect | 1<<h1.ContentLength

// own tells whether a name, in lower case, is left to the gateway.
func own(name string) bool {
	id := h1.Lookup([]byte(name))
	return id != h1.Other && notPassed.Has(id)
}

// begin notes what all requests of the batch get.
func (w *heads) begin(ctx *req.Ctx, all *batch) {
	w.all = all
	h := &ctx.Req.Header
	for i := range h.Len() {
		name := strings.ToLower(string(h.Name(i)))
		if !own(name) && !strings.HasPrefix(name, "content-") {
			w.outer = append(w.outer, field{name, string(h.Value(i))})
		}
	}
}

// head writes a request's head: its own fields, then those that the batch gives
// to all, then those that the batch itself came with; of a name the first
// counts. It is valid until the next call.
func (w *heads) head(it *item) ([]byte, error) {
	b := append(w.buf[:0], it.Method...)
	b = append(b, ' ')
	b = append(b, it.Path...)
	b, err := w.appendQuery(b, it)
	if err != nil {
		return nil, err
	}
	if it.Version == 1 {
		b = append(b, " HTTP/1.0\r\n"...)
	} else {
		b = append(b, " HTTP/1.1\r\n"...)
	}
	for _, name := range sortedNames(it.Headers) {
		if b, err = appendField(b, name, it.Headers[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range sortedNames(w.all.Headers) {
		if _, ok := it.Headers[name]; ok {
			continue
		}
		if b, err = appendField(b, name, w.all.Headers[name]); err != nil {
			return nil, err
		}
	}
	for _, f := range w.outer {
		_, mine := it.Headers[f.name]
		if _, all := w.all.Headers[f.name]; mine || all {
			continue
		}
		b = appendLine(b, f.name, f.value)
	}
	if it.Body != "" {
		b = append(b, "content-length: "...)
		b = strconv.AppendInt(b, int64(len(it.Body)), 10)
		b = append(b, "\r\n"...)
	}
	w.buf = append(b, "\r\n"...)
	return w.buf, nil
}

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

var errValue = errors.New("a value is a text, a number, true or false, or a list of those")

// appendField writes a field, several times for a list.
func appendField(dst []byte, name string, v any) ([]byte, error) {
	if own(name) {
		return dst, nil
	}
	if list, ok := v.([]any); ok {
		for _, one := range list {
			if _, nested := one.([]any); nested {
				return nil, fmt.Errorf("header %s: %w", name, errValue)
			}
			var err error
			if dst, err = appendField(dst, name, one); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	text, ok := scalar(v)
	if !ok {
		return nil, fmt.Errorf("header %s: %w", name, errValue)
	}
	if strings.ContainsAny(text, "\r\n\x00") || strings.ContainsAny(name, "\r\n\x00: ") {
		return nil, fmt.Errorf("header %q has a character that no field can have", name)
	}
	return appendLine(dst, name, text), nil
}

func appendLine(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// scalar writes a text, a number or a truth value.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10), true
		}
		return strconv.FormatFloat(v, 'g', 14, 64), true
	}
	return "", false
}

// appendQuery writes the request's arguments, and those of the batch whose
// names it does not have.
func (w *heads) appendQuery(dst []byte, it *item) ([]byte, error) {
	sep := byte('?')
	if bytes.IndexByte(dst, '?') >= 0 {
		sep = '&'
	}
	var err error
	for _, name := range sortedNames(it.Query) {
		if dst, err = appendArg(dst, &sep, name, it.Query[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range sortedNames(w.all.Query) {
		if _, ok := it.Query[name]; ok {
			continue
		}
		if dst, err = appendArg(dst, &sep, name, w.all.Query[name]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendArg writes name=value, name alone for true, nothing for false.
func appendArg(dst []byte, sep *byte, name string, v any) ([]byte, error) {
	if list, ok := v.([]any); ok {
		for _, one := range list {
			if _, nested := one.([]any); nested {
				return nil, fmt.Errorf("query %s: %w", name, errValue)
			}
			var err error
			if dst, err = appendArg(dst, sep, name, one); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	text, ok := scalar(v)
	if !ok {
		return nil, fmt.Errorf("query %s: %w", name, errValue)
	}
	if v == false {
		return dst, nil
	}
	dst = append(dst, *sep)
	*sep = '&'
	dst = append(dst, escape(name)...)
	if v == true {
		return dst, nil
	}
	dst = append(dst, '=')
	return append(dst, escape(text)...), nil
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
