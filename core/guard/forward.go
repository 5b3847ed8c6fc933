package guard

import (
	"net/netip"
	"unsafe"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// setClient finds out whom the request is attributed to: the peer, or whom a
// proxy in front of us names.
func (p *Policy) setClient(ctx *req.Ctx) {
	ctx.Client = ctx.Peer.Addr().Unmap()
	if p.realIP.empty() || !p.realIP.has(ctx.Client) {
		return
	}
	h := &ctx.Req.Header
	// The last address of the last field is the one that our neighbour wrote.
	for i := h.Len() - 1; i >= 0; i-- {
		if len(h.Name(i)) != len(p.realIPHeader) || !hasPrefixFold(h.Name(i), p.realIPHeader) {
			continue
		}
		list := h.Value(i)
		for len(list) > 0 {
			k := len(list)
			for k > 0 && list[k-1] != ',' {
				k--
			}
			a, ok := parseHop(list[k:])
			if !ok {
				return
			}
			ctx.Client = a
			if !p.realIPRecursive || !p.realIP.has(a) {
				return
			}
			list = list[:max(k-1, 0)]
		}
	}
}

// parseHop reads one element of a list of addresses, with or without a port.
func parseHop(b []byte) (netip.Addr, bool) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	if a, ok := parseAddr(b); ok {
		return a.Unmap(), true
	}
	if len(b) > 0 && len(b) <= 53 {
		if ap, err := netip.ParseAddrPort(text(b)); err == nil && ap.Addr().Zone() == "" {
			return ap.Addr().Unmap(), true
		}
	}
	return netip.Addr{}, false
}

// text views b as a string for a call that does not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// setForwarded overwrites what the client says about how the request came in,
// unless it is a proxy that we trust; what a trusted one leaves out is filled
// in.
func (p *Policy) setForwarded(ctx *req.Ctx) {
	r := &ctx.Req
	if claims := r.Seen() & h1.Forwarding &^ (1 << h1.XRealIP); claims != 0 {
		for id := h1.XForwardedFor; id <= h1.Forwarded; id++ {
			if claims.Has(id) && id != h1.XRealIP {
				r.SaveOriginal(id)
			}
		}
		if !p.trustListed || !p.trusted.has(ctx.Peer.Addr()) {
			if !p.trustListed {
				// Nobody said whom to trust: the chain of addresses goes on.
				claims &^= 1 << h1.XForwardedFor
			}
			r.DelSet(claims)
		}
	}
	const observed = h1.IDSet(1<<h1.XForwardedProto | 1<<h1.XForwardedHost | 1<<h1.XForwardedPort)
	seen := r.Seen()
	if seen&observed == 0 {
		// Fast path: what the client sees is what is passed on.
		r.AddForwarded(scheme(ctx.TLS), ctx.Host, ctx.Local.Port())
		return
	}
	if !seen.Has(h1.XForwardedProto) {
		r.AddString(h1.XForwardedProto.String(), scheme(ctx.TLS))
	}
	if !seen.Has(h1.XForwardedHost) && len(ctx.Host) > 0 {
		r.AddID(h1.XForwardedHost, ctx.Host)
	}
	if !seen.Has(h1.XForwardedPort) {
		var b [8]byte
		r.AddID(h1.XForwardedPort, h1.AppendInt(b[:0], int64(ctx.Local.Port())))
	}
}

func scheme(tls bool) string {
	if tls {
		return "https"
	}
	return "http"
}

// Forward writes X-Real-IP and X-Forwarded-For from ctx.Client. It is called
// once per request, after the plugins and before the first try at an upstream.
func Forward(ctx *req.Ctx) {
	r := &ctx.Req
	var b [48]byte
	addr := ctx.Client.AppendTo(b[:0])
	if r.Seen()&(1<<h1.XRealIP|1<<h1.XForwardedFor) == 0 {
		r.AddClient(addr)
		return
	}
	r.SetID(h1.XRealIP, addr)
	i := r.IndexID(h1.XForwardedFor, 0)
	if i < 0 {
		r.AddID(h1.XForwardedFor, addr)
		return
	}
	// Several fields are one list.
	list := ctx.Scratch[:0]
	for ; i >= 0; i = r.IndexID(h1.XForwardedFor, i+1) {
		if v := r.Value(i); len(v) > 0 {
			list = append(list, v...)
			list = append(list, ", "...)
		}
	}
	list = append(list, addr...)
	ctx.Scratch = list
	r.SetID(h1.XForwardedFor, list)
}
