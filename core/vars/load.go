package vars

import (
	"encoding/base64"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

var (
	processID = os.Getpid()
	nodeName  = func() string {
		s, err := os.Hostname()
		if err != nil {
			return "unknown"
		}
		return s
	}()
)

// load reads the variable. text is either borrowed from the request, and out
// is buf then, or what out has grown by. out is never shorter than buf.
func (v *Var) load(ctx *req.Ctx, buf []byte) (kind Kind, text, out []byte) {
	switch v.id {
	case empty:
		return Unset, nil, buf
	case plugin:
		out, ok := v.fn(buf, ctx)
		if !ok {
			return Unset, nil, buf
		}
		return String, out[len(buf):], out
	case arg:
		return formValue(ctx.Query, v.key, buf)
	case header:
		return headerValue(&ctx.Req.Header, v.key, buf)
	case cookie:
		return cookieValue(&ctx.Req.Header, v.key, buf)
	case postArg:
		return postForm(ctx, v.key, buf)
	case postPath:
		return postValue(ctx, v.path, buf)
	case uriParam:
		if b, ok := ctx.Matched().Get(v.key); ok {
			return String, b, buf
		}
		return Unset, nil, buf
	case sentHeader:
		return headerValue(&ctx.Resp.Header, v.key, buf)
	case upstreamHeader:
		if ctx.Source != req.FromUpstream {
			return Unset, nil, buf
		}
		return headerValue(&ctx.Resp.Header, v.key, buf)
	case graphqlName, graphqlOperation, graphqlRootFields:
		return graphqlValue(ctx, v.id, buf)

	case requestMethod:
		return String, ctx.Req.Method(), buf
	case requestURI:
		out = append(buf, ctx.Path...)
		if len(ctx.Query) > 0 {
			out = append(out, '?')
			out = append(out, ctx.Query...)
		}
		return String, out[len(buf):], out
	case realRequestURI:
		return String, ctx.Req.RawTarget(), buf
	case requestLine:
		out = append(buf, ctx.Req.Method()...)
		out = append(out, ' ')
		out = append(out, ctx.Req.RawTarget()...)
		out = append(out, ' ')
		out = append(out, protocol(ctx)...)
		return String, out[len(buf):], out
	case requestLength:
		return number(buf, ctx.BytesIn)
	case requestBody:
		if ctx.BodyState != req.BodyBuffered {
			return Unset, nil, buf
		}
		return String, ctx.Body, buf
	case uri:
		return String, ctx.Path, buf
	case args:
		return nonEmpty(ctx.Query, buf)
	case isArgs:
		if len(ctx.Query) == 0 {
			return String, nil, buf
		}
		return static("?", buf)
	case scheme:
		if ctx.TLS {
			return static("https", buf)
		}
		return static("http", buf)
	case serverProtocol:
		return static(protocol(ctx), buf)
	case host:
		return String, ctx.Host, buf
	case hostname:
		return static(nodeName, buf)
	case contentType:
		return present(ctx.Req.GetID(h1.ContentType), buf)
	case contentLength:
		return present(ctx.Req.GetID(h1.ContentLength), buf)
	case remoteUser:
		return basicUser(ctx.Req.GetID(h1.Authorization), buf)
	case matchedURI:
		return name(ctx.Matched().MatchedURI, buf)
	case matchedHost:
		return name(ctx.Matched().MatchedHost, buf)

	case remoteAddr:
		return address(ctx.Client, buf)
	case realipRemoteAddr:
		return address(ctx.Peer.Addr(), buf)
	case serverAddr:
		return address(ctx.Local.Addr(), buf)
	case remotePort:
		if ctx.ClientPort > 0 {
			return number(buf, int64(ctx.ClientPort))
		}
		return port(ctx.Peer, buf)
	case realipRemotePort:
		return port(ctx.Peer, buf)
	case serverPort:
		return port(ctx.Local, buf)
	case binaryRemoteAddr:
		return binaryAddress(ctx.Client, buf)
	case serverName:
		return static("_", buf)
	case connection:
		return number(buf, int64(ctx.ConnID))
	case connectionRequests:
		return number(buf, int64(ctx.ConnRequests))
	case pid:
		return number(buf, int64(processID))
	case https:
		if !ctx.TLS {
			return String, nil, buf
		}
		return static("on", buf)
	case sslProtocol, sslCipher, sslServerName, sslClientSDN, sslClientIDN, sslClientSerial,
		sslClientVerify, sslSessionReused:
		return tlsValue(ctx, v.id, buf)

	case routeID, routeName, serviceID, serviceName:
		return routeValue(ctx.Route, v.id, buf)
	case consumerName:
		if ctx.Consumer == nil {
			return Unset, nil, buf
		}
		return name(ctx.Consumer.Username, buf)
	case consumerGroupID:
		if ctx.Consumer == nil {
			return Unset, nil, buf
		}
		return name(ctx.Consumer.GroupID, buf)

	case status:
		code := ctx.Status
		if code == 0 {
			code = ctx.Resp.StatusCode // about to be sent
		}
		if code == 0 {
			return Unset, nil, buf
		}
		return number(buf, int64(code))
	case bytesSent:
		return number(buf, ctx.BytesOut)
	case bodyBytesSent:
		return number(buf, bodyBytes(ctx))
	case requestTime, timeLocal, timeISO8601, msec:
		return clockValue(ctx, v.id, buf)
	}
	return upstreamValue(ctx, v.id, buf)
}

// static lends the bytes of a string; nobody writes into a value.
func static(s string, buf []byte) (Kind, []byte, []byte) {
	return String, unsafe.Slice(unsafe.StringData(s), len(s)), buf
}

// name is static for names that are unset when empty.
func name(s string, buf []byte) (Kind, []byte, []byte) {
	if s == "" {
		return Unset, nil, buf
	}
	return static(s, buf)
}

func present(b, buf []byte) (Kind, []byte, []byte) {
	if b == nil {
		return Unset, nil, buf
	}
	return String, b, buf
}

func nonEmpty(b, buf []byte) (Kind, []byte, []byte) {
	if len(b) == 0 {
		return Unset, nil, buf
	}
	return String, b, buf
}

func number(buf []byte, n int64) (Kind, []byte, []byte) {
	out := strconv.AppendInt(buf, n, 10)
	return String, out[len(buf):], out
}

func address(a netip.Addr, buf []byte) (Kind, []byte, []byte) {
	if !a.IsValid() {
		return Unset, nil, buf
	}
	out := a.Unmap().WithZone("").AppendTo(buf)
	return String, out[len(buf):], out
}

func binaryAddress(a netip.Addr, buf []byte) (Kind, []byte, []byte) {
	if !a.IsValid() {
		return Unset, nil, buf
	}
	out := buf
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		out = append(out, b[:]...)
	} else {
		b := a.As16()
		out = append(out, b[:]...)
	}
	return String, out[len(buf):], out
}

func port(a netip.AddrPort, buf []byte) (Kind, []byte, []byte) {
	if !a.IsValid() {
		return Unset, nil, buf
	}
	return number(buf, int64(a.Port()))
}

func protocol(ctx *req.Ctx) string {
	if p, ok := ctx.Stream.(Protocol); ok {
		return p.Protocol()
	}
	if ctx.Req.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// Protocol is implemented by streams that are not HTTP/1.x.
type Protocol interface {
	// Protocol is the value of $server_protocol, such as "HTTP/2.0".
	Protocol() string
}

// BodySize is implemented by streams that know how much of a response's body
// they have sent.
type BodySize interface {
	// BodyBytesSent is the number of body bytes sent, framing excluded.
	BodyBytesSent() int64
}

func bodyBytes(ctx *req.Ctx) int64 {
	if s, ok := ctx.Stream.(BodySize); ok {
		return s.BodyBytesSent()
	}
	return ctx.BytesOut
}

func routeValue(r *req.Route, v id, buf []byte) (Kind, []byte, []byte) {
	if r == nil {
		return Unset, nil, buf
	}
	switch v {
	case routeID:
		return name(r.ID, buf)
	case routeName:
		return name(r.Name, buf)
	case serviceID:
		return name(r.ServiceID, buf)
	}
	return name(r.ServiceName, buf)
}

// basicUser decodes the user out of Basic credentials.
func basicUser(auth, buf []byte) (Kind, []byte, []byte) {
	const scheme = "Basic "
	if len(auth) <= len(scheme) || !equalFold(auth[:len(scheme)], scheme) {
		return Unset, nil, buf
	}
	out, err := base64.StdEncoding.AppendDecode(buf, trimSpace(auth[len(scheme):]))
	if err != nil {
		return Unset, nil, buf
	}
	for i := len(buf); i < len(out); i++ {
		if out[i] == ':' {
			out = out[:i]
			return String, out[len(buf):], out
		}
	}
	return Unset, nil, buf
}

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
