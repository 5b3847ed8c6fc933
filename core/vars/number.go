package vars

import (
	"math"
	"strconv"
	"unsafe"
)

// ToNumber reads text as a number by the rules that expressions follow: blanks
// around it, a sign, decimal digits with fraction and exponent, or hexadecimal
// digits behind 0x. It allocates nothing.
func ToNumber(text []byte) (float64, bool) {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	// Fast path: a short run of digits.
	if n := len(text); n > 0 && n <= 15 {
		v := int64(0)
		for i, c := range text {
			if c < '0' || c > '9' {
				break
			}
			v = v*10 + int64(c-'0')
			if i == n-1 {
				return float64(v), true
			}
		}
	}
	body, negative := text, false
	if len(body) > 0 && (body[0] == '+' || body[0] == '-') {
		negative = body[0] == '-'
		body = body[1:]
	}
	if len(body) > 2 && body[0] == '0' && body[1]|0x20 == 'x' {
		return hexNumber(body[2:], negative)
	}
	if !decimal(body) {
		return 0, false
	}
	// The syntax is checked, so the only error left is a range error, with
	// which the result is an infinity as it should be.
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

func hexNumber(b []byte, negative bool) (float64, bool) {
	v := 0.0
	for _, c := range b {
		d, ok := unhex(c)
		if !ok {
			return 0, false
		}
		v = v*16 + float64(d)
	}
	if negative {
		v = -v
	}
	return v, true
}

// decimal reports whether b is digits with an optional fraction and exponent,
// with at least one digit before the exponent.
func decimal(b []byte) bool {
	i, digits := 0, 0
	for ; i < len(b) && isDigit(b[i]); i++ {
		digits++
	}
	if i < len(b) && b[i] == '.' {
		for i++; i < len(b) && isDigit(b[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i == len(b) {
			return false
		}
		for i < len(b) && isDigit(b[i]) {
			i++
		}
	}
	return i == len(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
