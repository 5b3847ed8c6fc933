package h1

// Method numbers the request methods that configuration can name.
type Method uint8

// The known methods. MethodOther is any other valid method; compare
// Request.Method for those.
const (
	MethodOther Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	PATCH
	OPTIONS
	CONNECT
	TRACE
	PURGE
	MKCOL
	COPY
	MOVE
	PROPFIND
	PROPPATCH
	LOCK
	UNLOCK
	numMethods
)

var methodNames = [numMethods]string{
	GET: "GET", HEAD: "HEAD", POST: "POST", PUT: "PUT", DELETE: "DELETE", PATCH: "PATCH",
	OPTIONS: "OPTIONS", CONNECT: "CONNECT", TRACE: "TRACE", PURGE: "PURGE", MKCOL: "MKCOL",
	COPY: "COPY", MOVE: "MOVE", PROPFIND: "PROPFIND", PROPPATCH: "PROPPATCH", LOCK: "LOCK", UNLOCK: "UNLOCK",
}

// String returns the method's name, empty for MethodOther.
func (m Method) String() string {
	if m >= numMethods {
		return ""
	}
	return methodNames[m]
}

// Bit returns the set that holds only m.
func (m Method) Bit() MethodSet { return 1 << m }

// MethodSet is a set of methods.
type MethodSet uint32

// Has reports whether the set holds m.
func (s MethodSet) Has(m Method) bool { return s>>m&1 != 0 }

// Idempotent are the methods that may be sent again after a failure that left
// open whether the upstream saw them.
const Idempotent MethodSet = 1<<GET | 1<<HEAD | 1<<PUT | 1<<DELETE | 1<<OPTIONS | 1<<TRACE

// MethodOf returns the number of a method's name, which is case-sensitive.
func MethodOf(name []byte) Method {
	switch string(name) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "PATCH":
		return PATCH
	case "OPTIONS":
		return OPTIONS
	case "CONNECT":
		return CONNECT
	case "TRACE":
		return TRACE
	case "PURGE":
		return PURGE
	case "MKCOL":
		return MKCOL
	case "COPY":
		return COPY
	case "MOVE":
		return MOVE
	case "PROPFIND":
		return PROPFIND
	case "PROPPATCH":
		return PROPPATCH
	case "LOCK":
		return LOCK
	case "UNLOCK":
		return UNLOCK
	}
	return MethodOther
}
