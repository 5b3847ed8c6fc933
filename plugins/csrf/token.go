package csrf

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"unsafe"
)

// A token is base64 of {"random":R,"expires":T,"sign":S}: T is the unix time in
// seconds at which it was made, S the SHA-256, in hexadecimal, of both and the
// key. It is APISIX's format: gateways of both kinds that share a key take each
// other's tokens.

// appendSign appends the hexadecimal signature.
func (p *plugin) appendSign(dst, random, made []byte) []byte {
	text := len(dst)
	dst = append(dst, "{expires:"...)
	dst = append(dst, made...)
	dst = append(dst, ",random:"...)
	dst = append(dst, random...)
	dst = append(dst, ",key:"...)
	dst = append(dst, p.key...)
	dst = append(dst, '}')
	sum := sha256.Sum256(dst[text:])
	return hex.AppendEncode(dst[:text], sum[:])
}

// appendToken appends a new token.
func (p *plugin) appendToken(dst []byte, random uint64, now int64) []byte {
	var room [2 * 20]byte
	r := strconv.AppendUint(room[:0:20], random, 10)
	made := strconv.AppendInt(room[20:20], now, 10)
	at := len(dst)
	var plain [256]byte // more than two numbers and a signature take
	b := append(plain[:0], `{"random":`...)
	b = append(b, r...)
	b = append(b, `,"expires":`...)
	b = append(b, made...)
	b = append(b, `,"sign":"`...)
	signed := p.appendSign(dst, r, made)
	b = append(b, signed[at:]...)
	b = append(b, `"}`...)
	return base64.StdEncoding.AppendEncode(signed[:at], b)
}

// maxToken bounds the tokens that are looked at, in bytes.
const maxToken = 1 << 10

// verify tells whether the key signed the token and its time has not run out.
// buf is room to work in.
func (p *plugin) verify(buf, token []byte, now int64) ([]byte, bool) {
	if len(token) > maxToken {
		return buf, false
	}
	buf, err := base64.StdEncoding.AppendDecode(buf[:0], token)
	if err != nil {
		return buf, false
	}
	t, ok := parseToken(buf)
	if !ok {
		return buf, false
	}
	made, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(t.expires), len(t.expires)), 64)
	if err != nil || p.expires > 0 && float64(now)-made > float64(p.expires) {
		return buf, false
	}
	n := len(buf)
	buf = p.appendSign(buf, t.random, t.expires)
	return buf, subtle.ConstantTimeCompare(buf[n:], t.sign) == 1
}

// fields are the parts of a token, as they are written.
type fields struct{ random, expires, sign []byte }

// parseToken reads the three fields in any order. Unlike JSON it knows neither
// escapes nor nesting: no token has either.
func parseToken(b []byte) (f fields, ok bool) {
	s := scanner{b}
	if !s.take('{') {
		return f, false
	}
	for {
		name, ok := s.text()
		if !ok || !s.take(':') {
			return f, false
		}
		switch string(name) {
		case "random":
			f.random, ok = s.number()
		case "expires":
			f.expires, ok = s.number()
		case "sign":
			f.sign, ok = s.text()
		default:
			return f, false
		}
		if !ok {
			return f, false
		}
		if s.take(',') {
			continue
		}
		return f, s.take('}') && len(s.rest) == 0 && f.random != nil && f.expires != nil && f.sign != nil
	}
}

type scanner struct{ rest []byte }

// take consumes c when it comes next.
func (s *scanner) take(c byte) bool {
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text consumes a string.
func (s *scanner) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			v := s.rest[:i:i]
			s.rest = s.rest[i+1:]
			return v, true
		case c == '\\' || c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// number consumes a number: its bytes, whether they make one or not.
func (s *scanner) number() ([]byte, bool) {
	i := 0
	for i < len(s.rest) && (s.rest[i] >= '0' && s.rest[i] <= '9' || s.rest[i] == '.' || s.rest[i] == '-' || s.rest[i] == '+' || s.rest[i]|0x20 == 'e') {
		i++
	}
	v := s.rest[:i:i]
	s.rest = s.rest[i:]
	return v, i > 0
}
