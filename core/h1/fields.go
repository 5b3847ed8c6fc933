package h1

import "bytes"

// maxName bounds a field name in bytes.
const maxName = 1 << 15

// lineResult says how reading one header line ended.
type lineResult uint8

const (
	lineField lineResult = iota // a field was read
	lineLast                    // the blank line was read
	lineMore                    // the line is not complete
	lineBad                     // see the error
)

// readField reads the header line at p and returns where the next one begins.
// At least eight bytes must precede p in b, see lookup.
func readField(b []byte, p int, f *Field) (next int, res lineResult, err *Error) {
	if p >= len(b) {
		return p, lineMore, nil
	}
	if b[p] == '\r' {
		if p+1 >= len(b) {
			return p, lineMore, nil
		}
		if b[p+1] != '\n' {
			return p, lineBad, ErrLineEnd
		}
		return p + 2, lineLast, nil
	}

	colon := skipToColon(b, p)
	if colon == len(b) {
		return p, lineMore, checkName(b[p:])
	}
	id := lookup(b, p, colon)
	f.flags = canonical
	if id == Other {
		// Equal to a known name is a valid name; others are looked at.
		name := b[p:colon]
		var odd uint8
		for _, c := range name {
			odd |= oddInName[c]
		}
		if odd&oddByte != 0 || len(name) == 0 || len(name) > maxName {
			return p, lineBad, badName(name)
		}
		if odd != 0 {
			f.flags |= underscore
			id = shadow(name)
		} else if isConsumerName(name) {
			id = XConsumer
		}
	}

	v := colon + 1
	if v+1 < len(b) && b[v] == ' ' && b[v+1] > ' ' {
		v++ // as it should be written
	} else {
		for v < len(b) && (b[v] == ' ' || b[v] == '\t') {
			v++
		}
		f.flags &^= canonical
	}
	e := skipText(b, v)
	for e < len(b) && b[e] == '\t' {
		e = skipText(b, e+1)
	}
	if e+1 >= len(b) {
		if e < len(b) && b[e] != '\r' {
			return p, lineBad, badValue(b[e])
		}
		return p, lineMore, nil
	}
	if b[e] != '\r' || b[e+1] != '\n' {
		return p, lineBad, badValue(b[e])
	}
	next = e + 2
	for e > v && (b[e-1] == ' ' || b[e-1] == '\t') {
		e--
		f.flags &^= canonical
	}
	f.off, f.nameLen = uint32(p), uint16(colon-p)
	f.val, f.valLen = uint32(v), uint32(e-v)
	f.id = id
	return next, lineField, nil
}

// checkName refuses the beginning of a line that cannot become a field.
func checkName(b []byte) *Error {
	for _, c := range b {
		if class[c]&isToken == 0 {
			return badName(b)
		}
	}
	if len(b) > maxName {
		return ErrFieldName
	}
	return nil
}

func badName(name []byte) *Error {
	if len(name) > 0 && (name[0] == ' ' || name[0] == '\t') {
		return ErrFolding
	}
	if i := bytes.IndexByte(name, '\n'); i >= 0 && (i == 0 || name[i-1] != '\r') {
		return ErrLineEnd
	}
	return ErrFieldName
}

func badValue(c byte) *Error {
	if c == '\r' || c == '\n' {
		return ErrLineEnd
	}
	return ErrFieldValue
}

// isKeepAlive recognises what nearly all Connection fields hold.
func isKeepAlive(v []byte) bool {
	return len(v) == len("keep-alive") && equalFold(v, "keep-alive")
}

// nextToken returns the first non-empty element of a comma-separated list and
// what follows it, nil at the end.
func nextToken(list []byte) (token, rest []byte) {
	for len(list) > 0 {
		i := bytes.IndexByte(list, ',')
		if i < 0 {
			token, list = list, nil
		} else {
			token, list = list[:i], list[i+1:]
		}
		if token = trim(token); len(token) > 0 {
			return token, list
		}
	}
	return nil, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// parseLength reads a Content-Length: digits only, below 10^18. It returns -1
// for anything else.
func parseLength(b []byte) int64 {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	var n int64
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return -1
		}
		n = n*10 + int64(c)
	}
	return n
}
