package vars

import (
	"strconv"

	"github.com/sluicegw/sluice/core/req"
)

// upstreamValue reads what is known of the tries so far. Variables with a value
// a try are joined by ", " in the order of the tries.
func upstreamValue(ctx *req.Ctx, v id, buf []byte) (Kind, []byte, []byte) {
	switch v {
	case upstreamScheme:
		if ctx.Upstream == nil {
			return Unset, nil, buf
		}
		return name(ctx.Upstream.Scheme, buf)
	case upstreamHost:
		if len(ctx.UpstreamHost) > 0 {
			return String, ctx.UpstreamHost, buf
		}
		return headerValue(&ctx.Req.Header, "host", buf)
	case upstreamURI:
		return nonEmpty(ctx.UpstreamURI, buf)
	}
	if len(ctx.Tries) == 0 {
		return Unset, nil, buf
	}
	last := &ctx.Tries[len(ctx.Tries)-1]
	switch v {
	case upstreamUnresolvedHost:
		if last.Node == nil {
			return Unset, nil, buf
		}
		return name(last.Node.Host, buf)
	case balancerIP:
		if last.Node == nil {
			return Unset, nil, buf
		}
		return address(last.Node.Addr.Addr(), buf)
	case balancerPort:
		if last.Node == nil {
			return Unset, nil, buf
		}
		return port(last.Node.Addr, buf)
	}
	out := buf
	for i := range ctx.Tries {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = appendTry(out, &ctx.Tries[i], v)
	}
	return String, out[len(buf):], out
}

// appendTry writes what v says of one try, "-" when it did not get that far.
func appendTry(dst []byte, t *req.Try, v id) []byte {
	ns := int64(-1)
	switch v {
	case upstreamAddr:
		if t.Node == nil {
			return append(dst, '-')
		}
		return append(dst, t.Node.Key...)
	case upstreamStatus:
		if t.Status == 0 {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, int64(t.Status), 10)
	case upstreamBytesReceived:
		return strconv.AppendInt(dst, t.Bytes, 10)
	case upstreamResponseTime:
		ns = t.Total
	case upstreamConnectTime:
		ns = t.Connect
	case upstreamHeaderTime:
		ns = t.Header
	}
	if ns < 0 {
		return append(dst, '-')
	}
	return appendSeconds(dst, ns)
}
