package h1

import "encoding/binary"

// ID numbers the field names that the gateway itself acts on. Zero is any
// other name.
type ID uint8

// The known names, in no order that matters.
const (
	Other ID = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	TE
	Trailer
	Upgrade
	KeepAlive
	ProxyConnection
	ProxyAuthenticate
	ProxyAuthorization
	Expect
	HTTP2Settings
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedPort
	XRealIP
	Forwarded
	Via
	XConsumerUsername
	XCredentialIdentifier
	XConsumerCustomID
	XConsumer // any other name that begins with X-Consumer-
	Shadow    // a name that becomes one of ours when '_' is read as '-'
	Server
	Date
	ContentType
	ContentEncoding
	ContentRange
	AcceptEncoding
	Accept
	AcceptLanguage
	Vary
	Cookie
	SetCookie
	Authorization
	WWWAuthenticate
	Origin
	Referer
	UserAgent
	Location
	CacheControl
	Pragma
	Expires
	Age
	ETag
	LastModified
	IfNoneMatch
	IfModifiedSince
	IfMatch
	IfRange
	Range
	APIKey
	XAPISIXUpstreamStatus
	Priority
	SecWebSocketKey
	SecWebSocketVersion
	SecWebSocketProtocol
	SecWebSocketAccept
	XRequestID
	Traceparent
	MaxForwards

	numIDs
)

// names holds the spelling in which the gateway writes a known name itself.
var names = [numIDs]string{
	Host:                  "Host",
	Connection:            "Connection",
	ContentLength:         "Content-Length",
	TransferEncoding:      "Transfer-Encoding",
	TE:                    "TE",
	Trailer:               "Trailer",
	Upgrade:               "Upgrade",
	KeepAlive:             "Keep-Alive",
	ProxyConnection:       "Proxy-Connection",
	ProxyAuthenticate:     "Proxy-Authenticate",
	ProxyAuthorization:    "Proxy-Authorization",
	Expect:                "Expect",
	HTTP2Settings:         "HTTP2-Settings",
	XForwardedFor:         "X-Forwarded-For",
	XForwardedProto:       "X-Forwarded-Proto",
	XForwardedHost:        "X-Forwarded-Host",
	XForwardedPort:        "X-Forwarded-Port",
	XRealIP:               "X-Real-IP",
	Forwarded:             "Forwarded",
	Via:                   "Via",
	XConsumerUsername:     "X-Consumer-Username",
	XCredentialIdentifier: "X-Credential-Identifier",
	XConsumerCustomID:     "X-Consumer-Custom-ID",
	Server:                "Server",
	Date:                  "Date",
	ContentType:           "Content-Type",
	ContentEncoding:       "Content-Encoding",
	ContentRange:          "Content-Range",
	AcceptEncoding:        "Accept-Encoding",
	Accept:                "Accept",
	AcceptLanguage:        "Accept-Language",
	Vary:                  "Vary",
	Cookie:                "Cookie",
	SetCookie:             "Set-Cookie",
	Authorization:         "Authorization",
	WWWAuthenticate:       "WWW-Authenticate",
	Origin:                "Origin",
	Referer:               "Referer",
	UserAgent:             "User-Agent",
	Location:              "Location",
	CacheControl:          "Cache-Control",
	Pragma:                "Pragma",
	Expires:               "Expires",
	Age:                   "Age",
	ETag:                  "ETag",
	LastModified:          "Last-Modified",
	IfNoneMatch:           "If-None-Match",
	IfModifiedSince:       "If-Modified-Since",
	IfMatch:               "If-Match",
	IfRange:               "If-Range",
	Range:                 "Range",
	APIKey:                "apikey",
	XAPISIXUpstreamStatus: "X-APISIX-Upstream-Status",
	Priority:              "Priority",
	SecWebSocketKey:       "Sec-WebSocket-Key",
	SecWebSocketVersion:   "Sec-WebSocket-Version",
	SecWebSocketProtocol:  "Sec-WebSocket-Protocol",
	SecWebSocketAccept:    "Sec-WebSocket-Accept",
	XRequestID:            "X-Request-Id",
	Traceparent:           "traceparent",
	MaxForwards:           "Max-Forwards",
}

// String returns the spelling in which the gateway writes the name, empty for
// Other and for the two collective IDs XConsumer and Shadow.
func (id ID) String() string {
	if id >= numIDs {
		return ""
	}
	return names[id]
}

// IDSet is a set of known names.
type IDSet uint64

// IDs returns the set of the given names.
func IDs(ids ...ID) IDSet {
	var s IDSet
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

// Has reports whether the set holds id.
func (s IDSet) Has(id ID) bool { return s>>(id&63)&1 != 0 }

const (
	// HopByHop are the names that say something of one connection only and
	// never cross the gateway as they came.
	HopByHop IDSet = 1<<Connection | 1<<KeepAlive | 1<<ProxyConnection | 1<<TE | 1<<TransferEncoding |
		1<<Upgrade | 1<<ProxyAuthenticate | 1<<ProxyAuthorization | 1<<HTTP2Settings
	// Identity are the names by which the gateway tells an upstream who calls.
	Identity IDSet = 1<<XConsumerUsername | 1<<XCredentialIdentifier | 1<<XConsumerCustomID | 1<<XConsumer
	// Forwarding are the names that tell an upstream how a request came in.
	Forwarding IDSet = 1<<XForwardedFor | 1<<XForwardedProto | 1<<XForwardedHost | 1<<XForwardedPort | 1<<XRealIP | 1<<Forwarded
	// Framing are the names that decide where a message ends or whom it is for.
	Framing IDSet = 1<<Host | 1<<ContentLength | 1<<TransferEncoding
)

// A known name is found by one multiplication over its last eight bytes in
// lower case (shorter names are padded in front with blanks) and its length.
// The salt was searched for so that no two names share a slot; init checks it.
const (
	nameMul   = 0x9e3779b97f4a7c15
	nameSalt  = 0xf6d30c775cfb9081
	nameBits  = 8
	maxKnown  = 24
	lowerMask = 0x2020202020202020
)

// known is one name as up to three words of eight bytes, with the bits that
// make letters lower case. Only letters are folded: '-' and CR would be one.
type known struct {
	last, lastFold   uint64
	first, firstFold uint64
	mid, midFold     uint64
	n                uint8
	id               ID
	_                [14]byte // a cache line each
}

var (
	nameSlots [1 << nameBits]uint8 // ID, or 0
	nameWords [numIDs]known
)

func nameHash(last uint64, n int) uint64 {
	return (last + uint64(n)*nameSalt) * nameMul >> (64 - nameBits)
}

func init() {
	for id := ID(1); id < numIDs; id++ {
		s := lower(names[id])
		if s == "" {
			continue
		}
		k := known{n: uint8(len(s)), id: id}
		k.last, k.lastFold = word(s, len(s)-8)
		if len(s) > 8 {
			k.first, k.firstFold = word(s, 0)
		}
		if len(s) > 16 {
			k.mid, k.midFold = word(s, 8)
		}
		if len(s) > maxKnown {
			panic("BUG: known name longer than three words: " + s)
		}
		slot := &nameSlots[nameHash(k.last|lowerMask, len(s))]
		if *slot != 0 {
			panic("BUG: known names share a slot: " + s + ", " + names[*slot])
		}
		*slot = uint8(id)
		nameWords[id] = k
	}
}

// word packs s[at:at+8], with blanks where that lies before s.
func word(s string, at int) (w, fold uint64) {
	for i := range 8 {
		c, f := uint64(' '), uint64(0)
		if at+i >= 0 {
			c = uint64(s[at+i])
			if c >= 'a' && c <= 'z' {
				f = 0x20
			}
		}
		w |= c << (8 * i)
		fold |= f << (8 * i)
	}
	return w, fold
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// lookup returns the ID of the name b[i:j]. Eight bytes before j must exist in
// b: inside a head the start line provides them.
func lookup(b []byte, i, j int) ID {
	n := j - i
	if uint(n-1) >= maxKnown {
		return Other
	}
	x := binary.LittleEndian.Uint64(b[j-8 : j])
	if n < 8 {
		sh := uint(8-n) * 8
		x = x>>sh<<sh | lowerMask>>(64-sh)
	}
	k := &nameWords[nameSlots[nameHash(x|lowerMask, n)]&63]
	if int(k.n) != n || x|k.lastFold != k.last {
		return Other
	}
	if n > 8 {
		if binary.LittleEndian.Uint64(b[i:])|k.firstFold != k.first {
			return Other
		}
		if n > 16 && binary.LittleEndian.Uint64(b[i+8:])|k.midFold != k.mid {
			return Other
		}
	}
	return k.id
}

// Lookup returns the ID of a field name in any case.
func Lookup(name []byte) ID {
	var b [8 + maxKnown]byte
	if len(name) > maxKnown {
		return other(name)
	}
	copy(b[8:], name)
	if id := lookup(b[:8+len(name)], 8, 8+len(name)); id != Other {
		return id
	}
	return other(name)
}

// other tells the two collective IDs from a name that means nothing to us.
func other(name []byte) ID {
	if isConsumerName(name) {
		return XConsumer
	}
	for _, c := range name {
		if c == '_' {
			return shadow(name)
		}
	}
	return Other
}

const consumerPrefix = "x-consumer-"

func isConsumerName(name []byte) bool {
	if len(name) < len(consumerPrefix) || name[0]|0x20 != 'x' || name[1] != '-' {
		return false
	}
	return equalFold(name[:len(consumerPrefix)], consumerPrefix)
}

// shadow returns Shadow when back ends that read '_' as '-' (CGI, WSGI) would
// take name for one that the gateway vouches for or frames messages by.
func shadow(name []byte) ID {
	var b [8 + maxKnown]byte
	n := copy(b[8:], name)
	for i := 8; i < 8+n; i++ {
		if b[i] == '_' {
			b[i] = '-'
		}
	}
	if isConsumerName(b[8 : 8+n]) {
		return Shadow
	}
	if n < len(name) {
		return Other
	}
	const vouched = Identity | Forwarding | Framing | HopByHop
	if vouched.Has(lookup(b[:8+n], 8, 8+n)) {
		return Shadow
	}
	return Other
}

// equalFold compares b with a lower-case name without regard to case.
func equalFold(b []byte, low string) bool {
	if len(b) != len(low) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != low[i] {
			return false
		}
	}
	return true
}
