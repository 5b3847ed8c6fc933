package h1

// Error is a reason to refuse a message. All values are package variables, so
// that a refusal allocates nothing and can be compared by pointer.
type Error struct {
	// Status is the answer for a client; for an upstream's message it is 502.
	Status int
	// Reason says in one constant phrase what is wrong with the message.
	Reason string
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// What a client's message can be refused for.
var (
	ErrTLSOnClearPort   = &Error{400, "TLS handshake on a clear-text port"}
	ErrRequestLine      = &Error{400, "malformed request line"}
	ErrMethod           = &Error{400, "malformed method"}
	ErrTarget           = &Error{400, "malformed request target"}
	ErrVersion          = &Error{505, "HTTP version other than 1.0 and 1.1"}
	ErrURITooLong       = &Error{414, "request target too long"}
	ErrHeadTooLarge     = &Error{431, "request head too large"}
	ErrTooManyFields    = &Error{431, "too many header fields"}
	ErrFieldName        = &Error{400, "malformed field name"}
	ErrFieldValue       = &Error{400, "control byte in a field value"}
	ErrLineEnd          = &Error{400, "line not ended by CRLF"}
	ErrFolding          = &Error{400, "folded header line"}
	ErrNoHost           = &Error{400, "no Host field"}
	ErrHostTwice        = &Error{400, "repeated Host field"}
	ErrHost             = &Error{400, "malformed Host"}
	ErrHostConflict     = &Error{400, "Host differs from the request target"}
	ErrLength           = &Error{400, "malformed Content-Length"}
	ErrLengthTwice      = &Error{400, "repeated Content-Length"}
	ErrCoding           = &Error{400, "Transfer-Encoding that does not end with one chunked"}
	ErrCodingUnknown    = &Error{501, "transfer coding other than chunked"}
	ErrCodingTwice      = &Error{400, "repeated Transfer-Encoding"}
	ErrCodingAndLength  = &Error{400, "both Transfer-Encoding and Content-Length"}
	ErrCodingOld        = &Error{400, "Transfer-Encoding in HTTP/1.0"}
	ErrShadow           = &Error{400, "field name that imitates a framing field"}
	ErrExpectation      = &Error{417, "expectation other than 100-continue"}
	ErrBodyTooLarge     = &Error{413, "request body too large"}
	ErrConnectionField  = &Error{400, "malformed Connection field"}
	ErrConnectionNames  = &Error{400, "Connection names a field that must reach the other end"}
	ErrChunkSize        = &Error{400, "malformed chunk size"}
	ErrChunkLine        = &Error{400, "chunk size line too long"}
	ErrChunkEnd         = &Error{400, "chunk data not ended by CRLF"}
	ErrTrailer          = &Error{400, "malformed trailer"}
	ErrTrailerTooLarge  = &Error{431, "trailer too large"}
	ErrTrailerForbidden = &Error{400, "field that is not allowed in a trailer"}
)

// What an upstream's message can be refused for.
var (
	ErrUpstreamStatusLine = &Error{502, "upstream sent a malformed status line"}
	ErrUpstreamVersion    = &Error{502, "upstream answered with an unknown HTTP version"}
	ErrUpstreamTooLarge   = &Error{502, "upstream sent too large a head"}
	ErrUpstreamFields     = &Error{502, "upstream sent too many header fields"}
	ErrUpstreamField      = &Error{502, "upstream sent a malformed header field"}
	ErrUpstreamLength     = &Error{502, "upstream sent a malformed or repeated Content-Length"}
	ErrUpstreamCoding     = &Error{502, "upstream sent a transfer coding other than chunked"}
	ErrUpstreamFraming    = &Error{502, "upstream sent both Transfer-Encoding and Content-Length"}
)
