package refererrestriction

import "bytes"

// hostOf returns the host of a URL, without port and user, nil when the value
// is no URL of the web. An IPv6 address keeps its brackets.
func hostOf(url []byte) []byte {
	scheme, rest, ok := bytes.Cut(url, slashes)
	if !ok || !webScheme(scheme) {
		return nil
	}
	if i := bytes.IndexAny(rest, `/?#\`); i >= 0 {
		rest = rest[:i]
	}
	if i := bytes.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if len(rest) > 0 && rest[0] == '[' {
		i := bytes.IndexByte(rest, ']')
		if i < 0 || !port(rest[i+1:]) {
			return nil
		}
		return rest[:i+1]
	}
	host := rest
	if i := bytes.IndexByte(rest, ':'); i >= 0 {
		host = rest[:i]
		if !port(rest[i:]) {
			return nil
		}
	}
	return host
}

var slashes = []byte("//")

// webScheme accepts what may stand before "//": nothing, http: or https:.
func webScheme(b []byte) bool {
	switch len(b) {
	case 0:
		return true
	case len("http:"):
		return bytes.EqualFold(b, []byte("http:"))
	case len("https:"):
		return bytes.EqualFold(b, []byte("https:"))
	}
	return false
}

// port accepts nothing, or a colon and digits.
func port(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ':' {
		return false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
