package h1

// Method numbers the request methods that configuration can name.
type Method uint8

// The known methods. MethodOther is any other valid method; compare
// Request.Method for those.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodPatch
	MethodOptions
	MethodConnect
	MethodTrace
	MethodPurge
	MethodMkcol
	MethodCopy
	MethodMove
	MethodPropFind
	MethodPropPatch
	MethodLock
	MethodUnlock
	numMethods
)

var methodNames = [numMethods]string{
	MethodGet: "GET", MethodHead: "HEAD", MethodPost: "POST", MethodPut: "PUT", MethodDelete: "DELETE", MethodPatch: "PATCH",
	MethodOptions: "OPTIONS", MethodConnect: "CONNECT", MethodTrace: "TRACE", MethodPurge: "PURGE", MethodMkcol: "MKCOL",
	MethodCopy: "COPY", MethodMove: "MOVE", MethodPropFind: "PROPFIND", MethodPropPatch: "PROPPATCH", MethodLock: "LOCK", MethodUnlock: "UNLOCK",
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
const Idempotent MethodSet = 1<<MethodGet | 1<<MethodHead | 1<<MethodPut | 1<<MethodDelete | 1<<MethodOptions | 1<<MethodTrace

// MethodOf returns the number of a method's name, which is case-sensitive.
func MethodOf(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "PATCH":
		return MethodPatch
	case "OPTIONS":
		return MethodOptions
	case "CONNECT":
		return MethodConnect
	case "TRACE":
		return MethodTrace
	case "PURGE":
		return MethodPurge
	case "MKCOL":
		return MethodMkcol
	case "COPY":
		return MethodCopy
	case "MOVE":
		return MethodMove
	case "PROPFIND":
		return MethodPropFind
	case "PROPPATCH":
		return MethodPropPatch
	case "LOCK":
		return MethodLock
	case "UNLOCK":
		return MethodUnlock
	}
	return MethodOther
}
