package h1

import (
	"bytes"
	"encoding/binary"
)

// BodyKind says how the end of a response body is found.
type BodyKind uint8

// The kinds of response bodies, RFC 9112 section 6.3.
const (
	BodyNone       BodyKind = iota // no body, whatever the fields say
	BodyLength                     // ContentLength bytes
	BodyChunked                    // the chunked coding
	BodyUntilClose                 // all that comes until the peer closes
)

// Response is the head of a response. Scan fills it from an upstream's bytes;
// an answer that the gateway makes itself is built by setting StatusCode and
// adding fields. Reset before use.
type Response struct {
	Header
	// ContentLength is the value of Content-Length in bytes, -1 when there is
	// none. With BodyNone it describes what a GET would have brought.
	ContentLength int64
	// StatusCode is 100 to 999.
	StatusCode int
	// Body says how the end of the body is found.
	Body BodyKind
	// Minor is the minor version the upstream speaks: HTTP/1.<Minor>.
	Minor uint8
	// Close: the connection cannot be used again behind this response.
	Close bool
	// Interim: a 1xx other than 101; the final response is still to come.
	Interim bool
	// ConnectionNames: Connection holds more than close, keep-alive, upgrade.
	ConnectionNames bool

	chunked bool
	close   bool
	reason  span

	pos, looked int
}

// Reset makes r ready for the next head.
func (r *Response) Reset() {
	r.Header.Reset()
	r.ContentLength = -1
	r.StatusCode, r.Body, r.Minor = 0, BodyNone, 0
	r.Close, r.Interim, r.ConnectionNames = false, false, false
	r.chunked, r.close = false, false
	r.reason, r.pos, r.looked = span{}, 0, 0
}

// Reason returns the reason phrase as the upstream wrote it, empty when it
// wrote none.
func (r *Response) Reason() []byte {
	return r.buf[r.reason.off : r.reason.off+r.reason.n : r.reason.off+r.reason.n]
}

// SetStatus replaces the status, and the reason phrase by the standard one.
func (r *Response) SetStatus(code int) { r.StatusCode, r.reason = code, span{} }

// Scan reads a head from the beginning of b and returns its size in bytes, 0
// while it is not complete, as Request.Scan does. method is that of the
// request: HEAD and CONNECT decide whether a body follows. lim may be nil.
func (r *Response) Scan(b []byte, lim *Limits, method Method) (n int, err *Error) {
	if lim == nil {
		lim = &DefaultLimits
	}
	if r.looked > r.pos+shortLine && (len(b) <= r.looked || bytes.IndexByte(b[r.looked:], '\n') < 0) {
		return 0, r.more(b, lim)
	}
	if r.pos == 0 {
		p, err := r.scanLine(b)
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
				return 0, ErrUpstreamField
			}
			if res == lineLast {
				return r.finish(b, p, next, lim, method)
			}
			r.pos = p
			return 0, r.more(b, lim)
		}
		if k >= max {
			return 0, ErrUpstreamFields
		}
		r.note(f)
		p = next
		if id := f.id; id != Other {
			if actedResponse.Has(id) {
				if err := r.act(b, f); err != nil {
					return 0, err
				}
			}
			r.seen |= 1 << id
		}
	}
}

func (r *Response) more(b []byte, lim *Limits) *Error {
	r.looked = len(b)
	if len(b) >= lim.maxHead() {
		return ErrUpstreamTooLarge
	}
	return nil
}

// scanLine reads the status line and returns where the fields begin, 0 when
// the line is not complete.
func (r *Response) scanLine(b []byte) (int, *Error) {
	const least = len("HTTP/1.1 200\r\n")
	if len(b) < least {
		if n := min(len(b), 5); string(b[:n]) != "HTTP/"[:n] {
			return 0, ErrUpstreamStatusLine
		}
		return 0, nil
	}
	switch binary.LittleEndian.Uint64(b) {
	case http11:
		r.Minor = 1
	case http10:
		r.Close = true
	default:
		if string(b[:5]) == "HTTP/" {
			return 0, ErrUpstreamVersion
		}
		return 0, ErrUpstreamStatusLine
	}
	d0, d1, d2 := b[9]-'0', b[10]-'0', b[11]-'0'
	if b[8] != ' ' || d0 > 9 || d1 > 9 || d2 > 9 || d0 == 0 {
		return 0, ErrUpstreamStatusLine
	}
	r.StatusCode = int(d0)*100 + int(d1)*10 + int(d2)
	p := 12
	if b[p] == ' ' {
		p++
	} else if b[p] != '\r' {
		return 0, ErrUpstreamStatusLine
	}
	e := skipText(b, p)
	for e < len(b) && b[e] == '\t' {
		e = skipText(b, e+1)
	}
	if e+1 >= len(b) {
		return 0, nil
	}
	if b[e] != '\r' || b[e+1] != '\n' {
		return 0, ErrUpstreamStatusLine
	}
	r.reason = span{uint32(p), uint32(e - p)}
	return e + 2, nil
}

const actedResponse IDSet = 1<<ContentLength | 1<<TransferEncoding | 1<<Connection

func (r *Response) act(b []byte, f *Field) *Error {
	v := b[f.val : f.val+f.valLen]
	switch f.id {
	case ContentLength:
		if r.seen.Has(ContentLength) {
			return ErrUpstreamLength
		}
		if r.ContentLength = parseLength(v); r.ContentLength < 0 {
			return ErrUpstreamLength
		}
	case TransferEncoding:
		if r.seen.Has(TransferEncoding) || !equalFold(v, "chunked") {
			return ErrUpstreamCoding
		}
		r.chunked = true
	case Connection:
		if isKeepAlive(v) {
			r.Close = r.close
			return nil
		}
		for t, rest := nextToken(v); t != nil; t, rest = nextToken(rest) {
			switch {
			case equalFold(t, "keep-alive"):
				r.Close = r.close
			case equalFold(t, "close"):
				r.close, r.Close = true, true
			case equalFold(t, "upgrade"):
			default:
				r.ConnectionNames = true
			}
		}
	}
	return nil
}

// finish checks what only a whole head tells and copies it. The blank line is
// [p, n).
func (r *Response) finish(b []byte, p, n int, lim *Limits, method Method) (int, *Error) {
	if n > lim.maxHead() {
		return 0, ErrUpstreamTooLarge
	}
	if r.chunked && (r.ContentLength >= 0 || r.Minor == 0) {
		return 0, ErrUpstreamFraming
	}
	switch {
	case r.StatusCode < 200 || r.StatusCode == 204:
		r.Body = BodyNone
		r.Interim = r.StatusCode < 200 && r.StatusCode != 101
		if r.chunked || r.ContentLength > 0 {
			r.Close = true // it may send a body that it must not send
		}
	case method == MethodHead || r.StatusCode == 304 || method == MethodConnect && r.StatusCode < 300:
		r.Body = BodyNone
	case r.chunked:
		r.Body = BodyChunked
	case r.ContentLength >= 0:
		r.Body = BodyLength
	default:
		r.Body = BodyUntilClose
		r.Close = true
	}
	r.buf = append(r.buf[:0], b[:p]...)
	r.pos, r.looked = 0, 0
	return n, nil
}

// AppendHead appends the status line in HTTP/1.1 and the fields whose names
// are not in drop; the caller appends what else it wants and the blank line.
// The reason phrase is the upstream's, or the standard one.
func (r *Response) AppendHead(dst []byte, drop IDSet) []byte {
	if r.reason.n > 0 {
		dst = append(dst, "HTTP/1.1 "...)
		dst = appendCode(dst, r.StatusCode)
		dst = append(dst, ' ')
		dst = append(dst, r.Reason()...)
		dst = append(dst, "\r\n"...)
	} else {
		dst = AppendStatusLine(dst, r.StatusCode)
	}
	return r.AppendTo(dst, drop)
}
