package hmacauth

import "bytes"

// fields are the parameters of an Authorization field of the scheme Signature
// (draft-cavage-http-signatures).
type fields struct {
	keyID, algorithm, headers, signature []byte
	hasHeaders                           bool
}

var (
	scheme = []byte("Signature")
	comma  = []byte{','}
	opened = []byte(`="`)
)

// parse reads the parameters behind the scheme; what it does not understand it
// leaves out, as APISIX does. A comma always ends a parameter.
func parse(rest []byte) (f fields) {
	for len(rest) > 0 {
		var one []byte
		one, rest, _ = bytes.Cut(rest, comma)
		name, value, ok := bytes.Cut(one, opened)
		end := bytes.IndexByte(value, '"')
		if !ok || end < 0 {
			continue
		}
		value = value[:end]
		switch string(lastWord(name)) {
		case "keyId":
			f.keyID = value
		case "algorithm":
			f.algorithm = value
		case "signature":
			f.signature = value
		case "headers":
			f.headers, f.hasHeaders = value, true
		}
	}
	return f
}

// lastWord is the run of letters and digits that b ends with.
func lastWord(b []byte) []byte {
	i := len(b)
	for i > 0 && (b[i-1] >= '0' && b[i-1] <= '9' || b[i-1]|0x20 >= 'a' && b[i-1]|0x20 <= 'z') {
		i--
	}
	return b[i:]
}
