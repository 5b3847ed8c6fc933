package h1

// Request is the head of a request. Scan fills it; edits show in what
// AppendHead writes. Reset before use for the next request.
type Request struct {
	Header
	// ContentLength is the body's size in bytes, -1 when there is no
	// Content-Length. Without it and without Chunked there is no body.
	ContentLength int64
	// MethodCode is the method's number.
	MethodCode Method
	// Minor is the minor version the client speaks: HTTP/1.<Minor>.
	Minor uint8
	// Chunked: the body has the chunked coding.
	Chunked bool
	// Close: the client wants the connection closed behind the answer.
	Close bool
	// Expect100: the client waits for 100 Continue before it sends the body.
	Expect100 bool
	// Upgrade: Connection names Upgrade and there is an Upgrade field.
	Upgrade bool
	// WebSocket: Upgrade, and what it asks for is exactly websocket.
	WebSocket bool
	// ConnectionNames: Connection holds more than close, keep-alive, upgrade.
	ConnectionNames bool

	form   Form
	close  bool // Connection says close
	saved  bool // first holds something
	edited bool // method or target differ from the request line in the buffer
	method span
	target span
	raw    span // the target as the client wrote it
	line   uint32
	aux    []byte  // what belongs to the request and is no field
	first  [5]span // see SaveOriginal

	pos, looked int // resume: start of the unfinished line; bytes known to hold no end of it
}

type span struct{ off, n uint32 }

// Form is the form of a request target, RFC 9112 section 3.2.
type Form uint8

// The forms of a request target.
const (
	OriginForm    Form = iota // /path?query
	AbsoluteForm              // http://host/path?query
	AuthorityForm             // host:port, with CONNECT only
	AsteriskForm              // *, with OPTIONS only
)

// Reset makes r ready to scan the next head.
func (r *Request) Reset() {
	// Field by field: that is cheaper than a new value around the old buffers.
	r.Header.Reset()
	r.ContentLength = -1
	r.MethodCode, r.Minor = MethodOther, 0
	r.Chunked, r.Close, r.Expect100 = false, false, false
	r.Upgrade, r.WebSocket, r.ConnectionNames = false, false, false
	r.form, r.close, r.edited = OriginForm, false, false
	r.method, r.target, r.raw = span{}, span{}, span{}
	r.line, r.pos, r.looked = 0, 0, 0
	if r.saved {
		r.saved = false
		r.first = [5]span{}
	}
	if cap(r.aux) > keepBytes {
		r.aux = nil
	}
	r.aux = r.aux[:0]
}

// Method returns the method as it will be sent.
func (r *Request) Method() []byte { return r.bytes(r.method) }

// Target returns the request target as it will be sent.
func (r *Request) Target() []byte { return r.bytes(r.target) }

// RawTarget returns the request target as the client wrote it.
func (r *Request) RawTarget() []byte { return r.bytes(r.raw) }

// Form returns the form in which the client wrote the target.
func (r *Request) Form() Form { return r.form }

// HasBody reports whether a body follows the head.
func (r *Request) HasBody() bool { return r.Chunked || r.ContentLength > 0 }

// bytes returns what s locates in the table's buffer or, with inAux, in aux.
func (r *Request) bytes(s span) []byte {
	b := r.buf
	if s.off >= inAux {
		s.off -= inAux
		b = r.aux
	}
	return b[s.off : s.off+s.n : s.off+s.n]
}

const inAux = 1 << 31

// keep copies b to aux.
func (r *Request) keep(b []byte) span {
	s := span{inAux + uint32(len(r.aux)), uint32(len(b))}
	r.aux = append(r.aux, b...)
	return s
}

// Keep copies b into memory that lives as long as the request.
func (r *Request) Keep(b []byte) []byte { return r.bytes(r.keep(b)) }

// SetTarget replaces the target that is sent. It must be a valid one: bytes
// that would end it are an error of the caller and panic.
func (r *Request) SetTarget(target []byte) {
	if skipVisible(target, 0) != len(target) {
		panic("BUG: h1: SetTarget with a blank or a control byte")
	}
	r.target = r.keep(target)
	r.edited = true
}

// SetMethod replaces the method. A name that is not a method is ignored and
// reported as false.
func (r *Request) SetMethod(method []byte) bool {
	if len(method) == 0 || len(method) > maxMethod {
		return false
	}
	for _, c := range method {
		if class[c]&isUpper == 0 {
			return false
		}
	}
	r.method = r.keep(method)
	r.MethodCode = MethodOf(method)
	r.edited = true
	return true
}

// SaveOriginal remembers the value that the client sent in the field id, one
// of X-Forwarded-For, -Proto, -Host, -Port and Forwarded, before the field is
// edited.
func (r *Request) SaveOriginal(id ID) {
	if i := r.IndexID(id, 0); i >= 0 {
		f := &r.fields[i]
		r.first[originalSlot(id)] = span{f.val, f.valLen}
		r.saved = true
	}
}

// Original returns the value that SaveOriginal remembered, nil when there was
// none.
func (r *Request) Original(id ID) []byte {
	if s := r.first[originalSlot(id)]; s.off != 0 {
		return r.bytes(s)
	}
	return nil
}

func originalSlot(id ID) int {
	switch id {
	case XForwardedFor:
		return 0
	case XForwardedProto:
		return 1
	case XForwardedHost:
		return 2
	case XForwardedPort:
		return 3
	case Forwarded:
		return 4
	}
	panic("BUG: h1: no original is kept of this field")
}
