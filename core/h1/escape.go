package h1

import "strings"

// plainPath are the bytes that stand for themselves in a path, RFC 3986
// section 3.3.
var plainPath = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c < 128 && strings.IndexByte("/-._~!$&'()*+,;=:@", byte(c)) >= 0
	}
	return t
}()

// AppendEscapedPath appends a decoded path as it may stand in a request
// target.
func AppendEscapedPath(dst, path []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range path {
		if plainPath[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
