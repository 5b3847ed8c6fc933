package h1

import (
	"bytes"
	"encoding/binary"
)

// maxMethod bounds a method's name in bytes.
const maxMethod = 32

// shortLine is the size in bytes up to which an unfinished line is looked at
// again whenever more of it arrives; a longer one has to end first, so that a
// head that comes byte by byte costs no quadratic time.
const shortLine = 64

// Scan reads a head from the beginning of b and returns its size in bytes. It
// returns 0 without an error while the head is not complete: call it again
// with the same bytes and those that followed. What it needs of b it copies.
// lim may be nil.
//
// After an error the connection cannot be used any more: nobody knows where
// the next request would begin.
func (r *Request) Scan(b []byte, lim *Limits) (n int, err *Error) {
	if lim == nil {
		lim = &DefaultLimits
	}
	if r.looked > r.pos+shortLine && (len(b) <= r.looked || bytes.IndexByte(b[r.looked:], '\n') < 0) {
		return 0, r.more(b, lim)
	}
	if r.pos == 0 {
		p, err := r.scanLine(b, lim)
		if err != nil {
			return 0, err
		}
		if p == 0 {
			return 0, r.more(b, lim)
		}
		r.pos = p
	}

	p := r.pos
	max := lim.maxFields()
	for {
		if len(r.fields) == cap(r.fields) {
			r.growFields()
		}
		k := len(r.fields)
		r.fields = r.fields[:k+1]
		f := &r.fields[k]
		next, res, err := readField(b, p, f)
		if res != lineField {
			r.fields = r.fields[:k]
			if err != nil {
				return 0, err
			}
			if res == lineLast {
				return r.finish(b, p, next, lim)
			}
			r.pos = p
			return 0, r.more(b, lim)
		}
		if k >= max {
			return 0, ErrTooManyFields
		}
		r.note(f)
		p = next
		if id := f.id; id != Other {
			if acted.Has(id) {
				if err := r.act(b, f); err != nil {
					return 0, err
				}
			}
			r.seen |= 1 << id
		}
	}
}

// more is the answer for a head that is not complete.
func (r *Request) more(b []byte, lim *Limits) *Error {
	r.looked = len(b)
	if r.pos == 0 && len(b) > lim.maxURI()+maxMethod+len("  HTTP/1.1\r\n\r\n") {
		return ErrURITooLong
	}
	if len(b) >= lim.maxHead() {
		return ErrHeadTooLarge
	}
	return nil
}

func (h *Header) growFields() {
	n := 2 * cap(h.fields)
	if n < 32 {
		n = 32
	}
	f := make([]Field, len(h.fields), n)
	copy(f, h.fields)
	h.fields = f
}

// scanLine reads the request line and returns where the fields begin, 0 when
// the line is not complete.
func (r *Request) scanLine(b []byte, lim *Limits) (int, *Error) {
	p := 0
	if len(b) == 0 {
		return 0, nil
	}
	if b[0] == 0x16 && (len(b) == 1 || b[1] == 3) {
		return 0, ErrTLSOnClearPort
	}
	if b[0] == '\r' {
		// One empty line before a request is what old clients send behind a
		// body, RFC 9112 section 2.2.
		if len(b) < 3 {
			if len(b) == 2 && b[1] != '\n' {
				return 0, ErrLineEnd
			}
			return 0, nil
		}
		if b[1] != '\n' {
			return 0, ErrLineEnd
		}
		p = 2
	}
	r.line = uint32(p)

	// Method
	var t int
	if len(b)-p >= 4 && binary.LittleEndian.Uint32(b[p:]) == 'G'|'E'<<8|'T'<<16|' '<<24 {
		r.MethodCode = MethodGet
		t = p + 3
	} else {
		for t = p; t < len(b) && class[b[t]]&isUpper != 0; t++ {
		}
		if t-p > maxMethod {
			return 0, ErrMethod
		}
		if t == len(b) {
			return 0, nil
		}
		if b[t] != ' ' || t == p {
			return 0, ErrMethod
		}
		r.MethodCode = MethodOf(b[p:t])
	}
	r.method = span{uint32(p), uint32(t - p)}
	t++

	// Target
	e := skipVisible(b, t)
	if e-t > lim.maxURI() {
		return 0, ErrURITooLong
	}
	if e == len(b) {
		return 0, nil
	}
	if b[e] != ' ' || e == t {
		return 0, ErrRequestLine
	}
	r.target = span{uint32(t), uint32(e - t)}
	r.raw = r.target
	e++

	// Version
	const version = len("HTTP/1.1\r\n")
	if len(b)-e < version {
		if i := bytes.IndexByte(b[e:], '\n'); i >= 0 {
			return 0, ErrRequestLine
		}
		return 0, nil
	}
	switch v := binary.LittleEndian.Uint64(b[e:]); v {
	case http11:
		r.Minor = 1
	case http10:
		r.Close = true
	default:
		return 0, badVersion(b[e:])
	}
	if b[e+8] != '\r' || b[e+9] != '\n' {
		return 0, ErrRequestLine
	}
	return e + version, r.checkForm(b[t], b[t:e-1])
}

const (
	http1x = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48
	http11 = http1x | '1'<<56
	http10 = http1x | '0'<<56
)

// badVersion tells another version of HTTP from something else.
func badVersion(b []byte) *Error {
	if string(b[:5]) == "HTTP/" && b[5]-'0' <= 9 && b[6] == '.' && b[7]-'0' <= 9 && b[8] == '\r' {
		return ErrVersion
	}
	return ErrRequestLine
}

func (r *Request) checkForm(c byte, target []byte) *Error {
	switch {
	case r.MethodCode == MethodConnect:
		r.form = AuthorityForm
	case c == '/':
		r.form = OriginForm
	case c == '*' && len(target) == 1 && r.MethodCode == MethodOptions:
		r.form = AsteriskForm
	case c|0x20 == 'h' && isHTTP(target):
		r.form = AbsoluteForm
	default:
		return ErrTarget
	}
	return nil
}

// isHTTP reports whether a target begins with http:// or https://.
func isHTTP(b []byte) bool {
	return len(b) > 7 && equalFold(b[:7], "http://") || len(b) > 8 && equalFold(b[:8], "https://")
}

// acted are the names whose values Scan looks at.
const acted = Framing | 1<<Connection | 1<<Expect | 1<<Shadow

// act takes note of a field that says how to read the message. It runs once
// per such field, before the name is in r.seen.
func (r *Request) act(b []byte, f *Field) *Error {
	v := b[f.val : f.val+f.valLen]
	switch f.id {
	case Host:
		if r.seen.Has(Host) {
			return ErrHostTwice
		}
	case ContentLength:
		if r.seen.Has(ContentLength) {
			return ErrLengthTwice
		}
		if r.ContentLength = parseLength(v); r.ContentLength < 0 {
			return ErrLength
		}
	case TransferEncoding:
		if r.seen.Has(TransferEncoding) {
			return ErrCodingTwice
		}
		if err := checkCoding(v); err != nil {
			return err
		}
		r.Chunked = true
	case Connection:
		r.connection(v)
	case Expect:
		if !equalFold(v, "100-continue") {
			return ErrExpectation
		}
		r.Expect100 = r.Minor == 1
	case Shadow:
		var buf [maxKnown + 8]byte
		n := copy(buf[8:], b[f.off:f.off+uint32(f.nameLen)])
		for i := range buf {
			if buf[i] == '_' {
				buf[i] = '-'
			}
		}
		if n == int(f.nameLen) && Framing.Has(lookup(buf[:8+n], 8, 8+n)) {
			return ErrShadow
		}
	}
	return nil
}

// checkCoding accepts exactly one coding, chunked.
func checkCoding(v []byte) *Error {
	if equalFold(v, "chunked") {
		return nil
	}
	for t, rest := nextToken(v); t != nil; t, rest = nextToken(rest) {
		if equalFold(t, "chunked") && len(rest) > 0 || equalFold(t, "identity") {
			return ErrCoding
		}
	}
	if len(v) == 0 {
		return ErrCoding
	}
	return ErrCodingUnknown
}

// connection notes the options of one Connection field.
func (r *Request) connection(v []byte) {
	if isKeepAlive(v) {
		r.Close = r.close // close wins, in whatever order they come
		return
	}
	for t, rest := nextToken(v); t != nil; t, rest = nextToken(rest) {
		switch {
		case equalFold(t, "keep-alive"):
			r.Close = r.close
		case equalFold(t, "close"):
			r.close, r.Close = true, true
		case equalFold(t, "upgrade"):
			r.Upgrade = true
		default:
			r.ConnectionNames = true
		}
	}
}

// finish checks what only a whole head tells and copies it. The blank line is
// [p, n).
func (r *Request) finish(b []byte, p, n int, lim *Limits) (int, *Error) {
	if n > lim.maxHead() {
		return 0, ErrHeadTooLarge
	}
	if r.Chunked {
		if r.ContentLength >= 0 {
			return 0, ErrCodingAndLength
		}
		if r.Minor == 0 {
			return 0, ErrCodingOld
		}
	}
	if !r.seen.Has(Host) && r.Minor == 1 {
		return 0, ErrNoHost
	}
	if lim.MaxBody > 0 && r.ContentLength > lim.MaxBody {
		return 0, ErrBodyTooLarge
	}
	// Without the blank line, so that added fields continue the run.
	r.buf = append(r.buf[:0], b[:p]...)
	if r.Upgrade {
		up := r.GetID(Upgrade)
		r.Upgrade = len(up) > 0 && r.Minor == 1
		r.WebSocket = r.Upgrade && equalFold(up, "websocket")
	}
	r.pos, r.looked = 0, 0
	return n, nil
}
