package h1

// Limits bounds what a peer may send before its message is refused. The zero
// value of a field means its default.
type Limits struct {
	// MaxHead is the size in bytes of a head, start line and blank line
	// included. Default 32 KiB.
	MaxHead int
	// MaxURI is the size in bytes of a request target. Default 8 KiB.
	MaxURI int
	// MaxFields is the number of header fields. Default 100.
	MaxFields int
	// MaxBody is the size in bytes of a request body as far as Content-Length
	// tells; 0 is unlimited. Who reads a chunked body has to count.
	MaxBody int64
}

// DefaultLimits are the limits used where a nil *Limits is given.
var DefaultLimits = Limits{MaxHead: 32 << 10, MaxURI: 8 << 10, MaxFields: 100}

func (l *Limits) maxHead() int {
	if l.MaxHead > 0 {
		return l.MaxHead
	}
	return DefaultLimits.MaxHead
}

func (l *Limits) maxURI() int {
	if l.MaxURI > 0 {
		return l.MaxURI
	}
	return DefaultLimits.MaxURI
}

func (l *Limits) maxFields() int {
	if l.MaxFields > 0 {
		return l.MaxFields
	}
	return DefaultLimits.MaxFields
}
