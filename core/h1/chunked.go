package h1

import "bytes"

// Chunked decodes or checks a body in the chunked coding, in pieces of any
// size. The zero value is at the beginning of a body; Reset puts it back there.
// Lines must end with CRLF; sizes are hexadecimal digits and nothing else;
// extensions are checked and ignored.
type Chunked struct {
	left    int64 // bytes of the chunk that are still to come
	line    int   // bytes of the current size line so far
	digits  uint8
	state   chunkState
	trailer Header
	start   int // of the current trailer line in the trailer's buffer
}

type chunkState uint8

const (
	chunkSize chunkState = iota // before or in the digits
	chunkExt                    // in the extension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
)

const (
	// maxChunkLine bounds a chunk's size line with its extensions in bytes.
	maxChunkLine = 256
	// maxChunkDigits bounds the size itself: leading zeros count.
	maxChunkDigits = 15
	// maxTrailer bounds the trailer section in bytes, maxTrailerFields in
	// fields.
	maxTrailer       = 8 << 10
	maxTrailerFields = 32
	// trailerPad are the bytes that lookup wants in front of a name.
	trailerPad = 8
)

// Reset puts c at the beginning of a body.
func (c *Chunked) Reset() {
	t := c.trailer
	*c = Chunked{trailer: t}
	c.trailer.Reset()
}

// Trailer returns the fields behind the body. They are complete once the body
// is done, and stay valid until Reset.
func (c *Chunked) Trailer() *Header { return &c.trailer }

// Done reports whether the end of the body was read.
func (c *Chunked) Done() bool { return c.state == chunkDone }

// Next consumes the first n bytes of b and returns the payload found in them
// as a slice of b, at most one chunk at a time. done means that the body has
// ended with those n bytes; what follows in b belongs to the next message. When
// n is 0 and done is false, b was empty.
func (c *Chunked) Next(b []byte) (data []byte, n int, done bool, err *Error) {
	for n < len(b) {
		if c.state == chunkData {
			data = b[n:]
			if int64(len(data)) >= c.left {
				data = data[:c.left]
				c.state = chunkDataCR
			}
			c.left -= int64(len(data))
			return data, n + len(data), false, nil
		}
		k, err := c.step(b[n:])
		n += k
		if err != nil {
			return nil, n, false, err
		}
		if c.state == chunkDone {
			return nil, n, true, nil
		}
	}
	return nil, n, c.state == chunkDone, nil
}

// Skim consumes the first n bytes of b, all of them unless the body ends
// before, and checks only that they are well-formed. done means that the body
// has ended with those n bytes.
func (c *Chunked) Skim(b []byte) (n int, done bool, err *Error) {
	for n < len(b) {
		if c.state == chunkData {
			k := int64(len(b) - n)
			if k >= c.left {
				k = c.left
				c.state = chunkDataCR
			}
			c.left -= k
			n += int(k)
			continue
		}
		k, err := c.step(b[n:])
		n += k
		if err != nil {
			return n, false, err
		}
		if c.state == chunkDone {
			return n, true, nil
		}
	}
	return n, c.state == chunkDone, nil
}

// step consumes framing from the beginning of b, which is not empty.
func (c *Chunked) step(b []byte) (n int, err *Error) {
	switch c.state {
	case chunkSize, chunkExt, chunkSizeLF:
		return c.sizeLine(b)
	case chunkDataCR:
		if b[0] != '\r' {
			return 0, ErrChunkEnd
		}
		c.state = chunkDataLF
		return 1, nil
	case chunkDataLF:
		if b[0] != '\n' {
			return 0, ErrChunkEnd
		}
		c.state = chunkSize
		return 1, nil
	case chunkTrailer:
		return c.trailerLine(b)
	}
	return 0, nil
}

func (c *Chunked) sizeLine(b []byte) (n int, err *Error) {
	for n < len(b) {
		ch := b[n]
		n++
		if c.line++; c.line > maxChunkLine {
			return n, ErrChunkLine
		}
		switch c.state {
		case chunkSize:
			if d := hexValue[ch]; d != notHex {
				if c.digits++; c.digits > maxChunkDigits {
					return n, ErrChunkSize
				}
				c.left = c.left<<4 | int64(d)
				continue
			}
			switch {
			case c.digits == 0:
				return n, ErrChunkSize
			case ch == '\r':
				c.state = chunkSizeLF
			case ch == ';':
				c.state = chunkExt
			default:
				return n, ErrChunkSize
			}
		case chunkExt:
			if ch == '\r' {
				c.state = chunkSizeLF
			} else if ch < ' ' && ch != '\t' || ch == 0x7f {
				return n, ErrChunkSize
			}
		case chunkSizeLF:
			if ch != '\n' {
				return n, ErrChunkSize
			}
			c.line, c.digits = 0, 0
			if c.left > 0 {
				c.state = chunkData
				return n, nil
			}
			c.state = chunkTrailer
			c.trailer.Reset()
			c.trailer.buf = append(c.trailer.buf, "        "[:trailerPad]...)
			c.start = trailerPad
			return n, nil
		}
	}
	return n, nil
}

// trailerLine consumes up to the end of one trailer line.
func (c *Chunked) trailerLine(b []byte) (n int, err *Error) {
	h := &c.trailer
	n = bytes.IndexByte(b, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(b)
	}
	if len(h.buf)+n > trailerPad+maxTrailer {
		return n, ErrTrailerTooLarge
	}
	h.buf = append(h.buf, b[:n]...)
	if !whole {
		return n, nil
	}
	var f Field
	next, res, err := readField(h.buf, c.start, &f)
	switch {
	case err != nil || res == lineMore || next != len(h.buf):
		return n, ErrTrailer
	case res == lineLast:
		h.buf = h.buf[:c.start]
		c.state = chunkDone
		return n, nil
	case NoTrailer.Has(f.id):
		return n, ErrTrailerForbidden
	case len(h.fields) >= maxTrailerFields:
		return n, ErrTrailerTooLarge
	}
	h.note(&f)
	h.push(f)
	c.start = next
	return n, nil
}

// NoTrailer are the names that are refused in a trailer: those that frame or
// route the message, say who sends it or how to read it. A recipient that
// merges trailers into the head must not be led astray.
const NoTrailer = Framing | HopByHop | Identity | Forwarding | 1<<Shadow | 1<<Trailer | 1<<Via | 1<<Expect | 1<<MaxForwards |
	1<<Authorization | 1<<WWWAuthenticate | 1<<APIKey | 1<<Cookie | 1<<SetCookie | 1<<Origin |
	1<<ContentType | 1<<ContentEncoding | 1<<ContentRange | 1<<Range | 1<<IfRange | 1<<IfMatch |
	1<<IfNoneMatch | 1<<IfModifiedSince | 1<<CacheControl | 1<<Pragma | 1<<Expires | 1<<Age | 1<<Vary |
	1<<Date | 1<<Location | 1<<XAPISIXUpstreamStatus

const notHex = 0xff

var hexValue = func() (t [256]uint8) {
	for i := range t {
		t[i] = notHex
	}
	for i := range 10 {
		t['0'+i] = uint8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = uint8(10+i), uint8(10+i)
	}
	return t
}()

// AppendChunkHeader appends the line that begins a chunk of size bytes. Size 0
// begins the end of the body: the trailer and a blank line follow.
func AppendChunkHeader(dst []byte, size int) []byte {
	const digits = "0123456789abcdef"
	shift := 0
	for size>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[size>>shift&15])
	}
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a body without trailer.
func AppendLastChunk(dst []byte) []byte { return append(dst, "0\r\n\r\n"...) }
