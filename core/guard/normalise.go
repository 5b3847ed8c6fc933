package guard

import (
	"bytes"

	"github.com/sluicegw/sluice/core/h1"
)

// pathForm is a path in two forms that are built together: text is decoded and
// is what routes and plugins see, wire is what the upstream gets. Decoding
// wire gives text; normalising wire changes nothing. What a client
// percent-encoded without need is decoded in wire, everything else stays
// encoded there, since %3B, %2F or %40 may mean something to a back end that
// the plain byte does not.
type pathForm struct {
	text, wire []byte
	// encodedSlash: a slash came as %2F.
	encodedSlash bool
	// changed: more was done than percent-decoding.
	changed bool

	segText, segWire int // where the current segment begins
	sepEncoded       bool
}

// normalise reads a path that begins with a slash. It fails on bad escapes,
// NUL, paths above the root, and on what some back ends would decode into a
// dot segment although we do not.
func (f *pathForm) normalise(raw []byte) *h1.Error {
	for i := 0; i < len(raw); i++ {
		c, encoded := raw[i], false
		if c == '%' {
			if i+2 >= len(raw) {
				return ErrPath
			}
			hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
			if hi > 15 || lo > 15 {
				return ErrPath
			}
			c, encoded = hi<<4|lo, true
			i += 2
		}
		switch {
		case c == '/':
			if err := f.slash(encoded); err != nil {
				return err
			}
			continue
		case c == 0 || c == '#' && !encoded:
			return ErrPath
		}
		f.text = append(f.text, c)
		switch {
		case encoded && pathClass[c]&pathUnreserved == 0, !encoded && pathClass[c] == 0:
			f.wire = appendEscape(f.wire, c)
		default:
			f.wire = append(f.wire, c)
		}
	}
	_, err := f.endSegment()
	return err
}

// slash ends a segment and begins the next one.
func (f *pathForm) slash(encoded bool) *h1.Error {
	if len(f.text) > 0 {
		kept, err := f.endSegment()
		if err != nil {
			return err
		}
		if !kept {
			f.changed = true
			if !encoded && f.sepEncoded {
				// The separator that stays is the plain one of the two.
				f.wire = append(f.wire[:len(f.wire)-len("%2F")], '/')
				f.sepEncoded = false
				f.segWire = len(f.wire)
			}
			return nil
		}
	}
	f.text = append(f.text, '/')
	if encoded {
		f.encodedSlash = true
		f.wire = append(f.wire, "%2F"...)
	} else {
		f.wire = append(f.wire, '/')
	}
	f.sepEncoded = encoded
	f.segText, f.segWire = len(f.text), len(f.wire)
	return nil
}

// endSegment looks at the segment that is complete now and resolves it when it
// is a dot segment. It reports whether the segment is kept: if not, text ends
// with the separator before it.
func (f *pathForm) endSegment() (kept bool, err *h1.Error) {
	seg := f.text[f.segText:]
	if len(seg) == 0 {
		return false, nil
	}
	if disguised(seg) {
		return false, ErrPathDots
	}
	if seg[0] != '.' || len(seg) > 2 {
		return true, nil
	}
	if len(seg) == 2 && seg[1] != '.' {
		return true, nil
	}
	f.changed = true
	f.text, f.wire = f.text[:f.segText], f.wire[:f.segWire]
	if len(seg) == 1 {
		return false, nil
	}
	// Take the segment before it, too.
	if f.segText == 1 {
		return false, ErrPathEscapes
	}
	f.segText = bytes.LastIndexByte(f.text[:f.segText-1], '/') + 1
	f.text = f.text[:f.segText]
	f.segWire, f.sepEncoded = separatorBefore(f.wire, len(f.wire)-f.sepLen())
	f.wire = f.wire[:f.segWire]
	return false, nil
}

func (f *pathForm) sepLen() int {
	if f.sepEncoded {
		return len("%2F")
	}
	return 1
}

// separatorBefore finds the end of the last separator in wire[:end].
func separatorBefore(wire []byte, end int) (after int, encoded bool) {
	for i := end - 1; i >= 0; i-- {
		switch {
		case wire[i] == '/':
			return i + 1, false
		case wire[i] == '%' && i+2 < end && wire[i+1] == '2' && wire[i+2] == 'F':
			return i + 3, true
		}
	}
	panic("BUG: guard: path without a leading slash")
}

// disguised finds segments that are no dot segments to us but are to some back
// ends: "..;x" where path parameters are cut off, "..\x" where a backslash
// separates, and the overlong UTF-8 forms of ASCII.
func disguised(seg []byte) bool {
	start := 0
	for i, c := range seg {
		switch c {
		case ';':
			if dots(seg[start:i]) {
				return true
			}
		case '\\':
			if dots(seg[start:i]) {
				return true
			}
			start = i + 1
		case 0xc0, 0xc1:
			if i+1 < len(seg) && seg[i+1]&0xc0 == 0x80 {
				return true
			}
		}
	}
	return start > 0 && dots(seg[start:])
}

func dots(b []byte) bool {
	return len(b) == 1 && b[0] == '.' || len(b) == 2 && b[0] == '.' && b[1] == '.'
}

// appendKeepSlash decodes wire except for the slashes in it.
func appendKeepSlash(dst, wire []byte) []byte {
	for i := 0; i < len(wire); i++ {
		c := wire[i]
		if c == '%' && !(wire[i+1] == '2' && wire[i+2] == 'F') {
			c = unhex(wire[i+1])<<4 | unhex(wire[i+2])
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

// unhex returns the value of a hexadecimal digit, 255 for any other byte.
func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
