package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// typeSet is a set of JSON types.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBool
	typeNumber
	typeInteger
	typeString
	typeArray
	typeObject
)

var typeBits = map[string]typeSet{
	"null": typeNull, "boolean": typeBool, "number": typeNumber, "integer": typeInteger,
	"string": typeString, "array": typeArray, "object": typeObject,
}

// typesOf returns every type that v may pass as. Empty arrays and objects are
// both, as in APISIX, where they are one thing.
func typesOf(v any) typeSet {
	switch v := v.(type) {
	case nil:
		return typeNull
	case bool:
		return typeBool
	case string:
		return typeString
	case float64:
		if v == math.Trunc(v) && !math.IsInf(v, 0) {
			return typeNumber | typeInteger
		}
		return typeNumber
	case []any:
		if len(v) == 0 {
			return typeArray | typeObject
		}
		return typeArray
	case map[string]any:
		if len(v) == 0 {
			return typeArray | typeObject
		}
		return typeObject
	}
	return 0
}

// TypeName is the word for v's type in messages.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "userdata"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		return "number"
	}
	return "table"
}

// luaQuote writes s as Lua's %q does.
func luaQuote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\0`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// luaNumber writes f as Lua's tostring does: 14 significant digits.
func luaNumber(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e14 {
		return strconv.FormatInt(int64(f), 10)
	}
	return fmt.Sprintf("%.14g", f)
}

// shorten keeps a value that is shown in a message readable.
func shorten(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
