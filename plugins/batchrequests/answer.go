package batchrequests

import (
	"strconv"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// timedOut is the answer of a request that got none.
const timedOut = `{"status":504,"reason":"upstream timeout"}`

// appendAnswer writes an answer as JSON. Bytes of bodies that are not UTF-8
// stay as they are.
func appendAnswer(dst []byte, a *req.InnerAnswer) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(dst, `,"reason":`...)
	dst = appendText(dst, h1.Reason(a.Status))
	if a.HasBody {
		dst = append(dst, `,"body":`...)
		dst = appendText(dst, a.Body)
	}
	dst = append(dst, `,"headers":{`...)
	h := &a.Header
	first := true
	for i := range h.Len() {
		if earlier(h, i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendText(dst, h.Name(i))
		dst = append(dst, ':')
		dst = appendValues(dst, h, i)
	}
	return append(dst, "}}"...)
}

// earlier tells whether a field before i has the same name.
func earlier(h *h1.Header, i int) bool {
	for j := range i {
		if sameName(h.Name(j), h.Name(i)) {
			return true
		}
	}
	return false
}

// appendValues writes the value of field i, or the list of all values where
// there are more fields of that name.
func appendValues(dst []byte, h *h1.Header, i int) []byte {
	n := len(dst)
	dst = append(dst, '[')
	count := 0
	for j := i; j < h.Len(); j++ {
		if !sameName(h.Name(i), h.Name(j)) {
			continue
		}
		if count++; count > 1 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, h.Value(j))
	}
	if count == 1 {
		return append(dst[:n], dst[n+1:]...)
	}
	return append(dst, ']')
}

func sameName(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// appendText writes a JSON string.
func appendText[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
