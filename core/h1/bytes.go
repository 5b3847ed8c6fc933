package h1

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes.
const (
	isToken uint8 = 1 << iota // may stand in a field name or method
	isUpper                   // may stand in a method that we accept
)

var class = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] |= isToken
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] |= isToken | isUpper
		t[c|0x20] |= isToken
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= isToken
	}
	t['-'] |= isUpper
	t['_'] |= isUpper
	return t
}()

// oddInName is 0 for the bytes that most field names consist of.
var oddInName = func() (t [256]uint8) {
	for c := range t {
		if class[c]&isToken == 0 {
			t[c] = oddByte
		}
	}
	t['_'] = oddUnderscore
	return t
}()

const (
	oddUnderscore uint8 = 1 << iota
	oddByte             // may not stand in a name
)

// Eight bytes are tested at once: (x - 0x01..) &^ x & 0x80.. has the high bit
// of each zero byte, and perhaps of bytes above one, so its lowest bit is
// exact. The same with 0x20.. finds bytes below a blank.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls marks the control bytes of x; the lowest mark is exact.
func controls(x uint64) uint64 {
	d := x ^ 0x7f*ones
	return ((x-0x20*ones)&^x | (d-ones)&^d) & highs
}

// skipText returns the index of the first control byte of b at or after i,
// len(b) when there is none. A tab is a control byte here.
func skipText(b []byte, i int) int {
	for i+16 <= len(b) {
		m := controls(binary.LittleEndian.Uint64(b[i:]))
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		m = controls(binary.LittleEndian.Uint64(b[i+8:]))
		if m != 0 {
			return i + 8 + bits.TrailingZeros64(m)>>3
		}
		i += 16
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == 0x7f {
			return i
		}
	}
	return i
}

// skipVisible returns the index of the first byte of b at or after i that is a
// blank or a control byte, len(b) when there is none.
func skipVisible(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		d := x ^ 0x7f*ones
		if m := ((x-0x21*ones)&^x | (d-ones)&^d) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for ; i < len(b); i++ {
		if c := b[i]; c <= ' ' || c == 0x7f {
			return i
		}
	}
	return i
}

// skipToColon returns the index of the first colon of b at or after i, len(b)
// when there is none.
func skipToColon(b []byte, i int) int {
	for i+8 <= len(b) {
		d := binary.LittleEndian.Uint64(b[i:]) ^ ':'*ones
		if m := (d - ones) &^ d & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for ; i < len(b); i++ {
		if b[i] == ':' {
			return i
		}
	}
	return i
}
