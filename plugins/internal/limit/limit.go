// Package limit has what the limiting plugins have in common: whom a request
// counts for, numbers that may be variables, and answers.
package limit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/core/vars"
)

// Key is what requests are counted by.
type Key struct {
	constant string
	v        vars.Var
	template *vars.Template
	kind     string
}

// NewKey compiles the fields key and key_type.
func NewKey(key, kind string) *Key {
	k := &Key{kind: kind}
	switch kind {
	case "constant":
		k.constant = key
	case "var_combination":
		k.template = vars.CompileTemplate(key)
	default:
		k.v, _ = vars.Compile(key)
	}
	return k
}

var remoteAddr = vars.MustCompile("remote_addr")

// AppendTo appends the key of a request; the client's address when it has none.
func (k *Key) AppendTo(dst []byte, ctx *req.Ctx) []byte {
	n := len(dst)
	switch {
	case k.template != nil:
		return k.template.AppendKey(dst, ctx)
	case k.kind == "constant":
		return append(dst, k.constant...)
	}
	if out, ok := k.v.Append(dst, ctx); ok && len(out) > n {
		return out
	}
	dst, _ = remoteAddr.Append(dst[:n], ctx)
	return dst
}

// Hash is the identity of the key in a scope of a table.
func (k *Key) Hash(scope state.Scope, ctx *req.Ctx) state.Hash {
	ctx.ValueBuf = k.AppendTo(append(ctx.ValueBuf[:0], room[:]...), ctx)
	return scope.Hash(ctx.ValueBuf)
}

var room [state.KeyRoom]byte

// Room is what a buffer for Scope.Hash begins with.
func Room(dst []byte) []byte { return append(dst, room[:]...) }

// Number is a positive number of the configuration that may be given as text
// with variables in it.
type Number struct {
	fixed int64
	text  *vars.Template
}

// MaxNumber is the largest number that is exact in JSON.
const MaxNumber = 1<<53 - 1

// ParseNumber reads a number or a text.
func ParseNumber(raw json.RawMessage) (Number, error) {
	if len(raw) == 0 {
		return Number{}, nil
	}
	if raw[0] != '"' {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || f != math.Trunc(f) || f < 0 || f > MaxNumber {
			return Number{}, fmt.Errorf("%s is not a whole number", raw)
		}
		return Number{fixed: int64(f)}, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return Number{}, err
	}
	t := vars.CompileTemplate(s)
	if t.Vars() > 0 {
		return Number{text: t}, nil
	}
	n, ok := whole([]byte(s))
	if !ok {
		// As a variable would be: known only to fail when it is used.
		return Number{text: t}, nil
	}
	return Number{fixed: n}, nil
}

// Fixed tells whether the number is the same for all requests.
func (n *Number) Fixed() (int64, bool) { return n.fixed, n.text == nil }

// Get is the number for a request; false when its text is not a whole number
// of at least least.
func (n *Number) Get(ctx *req.Ctx, least int64) (int64, bool) {
	if n.text == nil {
		return n.fixed, n.fixed >= least
	}
	ctx.ValueBuf, _ = n.text.AppendTo(ctx.ValueBuf[:0], ctx)
	v, ok := whole(ctx.ValueBuf)
	return v, ok && v >= least
}

func whole(text []byte) (int64, bool) {
	f, ok := vars.ToNumber(text)
	if !ok || f != math.Trunc(f) || f < 0 || f > MaxNumber {
		return 0, false
	}
	return int64(f), true
}

// Digest identifies a configuration: equal ones have equal digests, however
// they are written. What stands in _meta is left out.
func Digest(raw json.RawMessage) string {
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return string(raw)
	}
	delete(m, "_meta")
	text, err := json.Marshal(m)
	if err != nil {
		return string(raw)
	}
	h := fnv.New64a()
	_, _ = h.Write(text)
	return strconv.FormatUint(h.Sum64(), 16)
}

// TextPlain is the content type of answers that are tables in APISIX.
const TextPlain = "text/plain; charset=utf-8"

// Message is the body {"error_msg":text} as a line.
func Message(text string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct {
		Message string `json:"error_msg"`
	}{text}); err != nil {
		panic("BUG: " + err.Error())
	}
	return b.Bytes()
}

// AppendSeconds appends milliseconds as seconds with at most two decimals,
// rounded down: 59.87, 60.
func AppendSeconds(dst []byte, ms int64) []byte {
	dst = strconv.AppendInt(dst, ms/1000, 10)
	c := ms % 1000 / 10
	if c == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+c/10))
	if c%10 != 0 {
		dst = append(dst, byte('0'+c%10))
	}
	return dst
}
