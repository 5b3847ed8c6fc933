package guard

import (
	"bytes"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// What Check refuses beyond what h1 refuses.
var (
	ErrConnect     = &h1.Error{Status: 405, Reason: "CONNECT: the gateway is no forward proxy"}
	ErrTrace       = &h1.Error{Status: 405, Reason: "TRACE would return what the gateway adds for the upstream"}
	ErrPath        = &h1.Error{Status: 400, Reason: "malformed path"}
	ErrPathEscapes = &h1.Error{Status: 400, Reason: "path leads above the root"}
	ErrPathDots    = &h1.Error{Status: 400, Reason: "dot segment in disguise"}
	ErrPathParams  = &h1.Error{Status: 400, Reason: "path parameters on an empty segment"}
)

// removed are the fields that a client's request loses in any case. Connection
// and Upgrade go too unless they ask for a switch of protocols that is allowed
// to reach a back end. Content-Length and Transfer-Encoding stay: the relay
// writes the framing.
const removed = h1.HopByHop&^(1<<h1.TransferEncoding) | h1.Identity | 1<<h1.Shadow

// Check is run once per request, after its head was scanned. It fills Path,
// Query, Host, Port and Client, makes Req.Target the normalised origin form
// and removes or overwrites fields that the client has no say in. Req.Upgrade
// keeps its meaning only for a switch that may be passed on; Connection and
// Upgrade are then still in the table, and the relay drops them unless the
// route allows the switch.
//
// X-Real-IP and X-Forwarded-For are left to Forward, so that plugins see what
// the client sent and may change whom the request is attributed to.
func (p *Policy) Check(ctx *req.Ctx) *h1.Error {
	r := &ctx.Req
	if m := r.MethodCode; m == h1.MethodConnect {
		return ErrConnect
	} else if m == h1.MethodTrace {
		return ErrTrace
	}
	host := r.GetID(h1.Host)
	target := r.RawTarget()
	if r.Form() == h1.AbsoluteForm {
		authority, rest := splitAbsolute(target)
		if r.HasID(h1.Host) {
			if !bytes.EqualFold(authority, host) {
				return h1.ErrHostConflict
			}
		} else {
			r.SetID(h1.Host, authority)
			host = authority
		}
		target = rest
	}
	if len(host) > 0 || r.HasID(h1.Host) {
		if err := setHost(ctx, host); err != nil {
			return err
		}
	}
	if err := p.setPath(ctx, target); err != nil {
		return err
	}
	if r.ConnectionNames {
		if err := r.CheckNamed(); err != nil {
			return err
		}
	}
	checkUpgrade(r)
	if r.ConnectionNames {
		r.DelNamed()
	}
	drop := removed
	if r.Upgrade {
		drop &^= 1<<h1.Connection | 1<<h1.Upgrade
	}
	r.DelSet(drop)
	if p.noUnderscore {
		r.DelUnderscored()
	}
	p.setClient(ctx)
	p.setForwarded(ctx)
	return nil
}

// splitAbsolute splits "http://authority/path?query". A missing path is "/".
func splitAbsolute(target []byte) (authority, rest []byte) {
	a := target[bytes.IndexByte(target, ':')+3:]
	i := bytes.IndexAny(a, "/?#")
	if i < 0 {
		return a, rootPath
	}
	return a[:i], a[i:]
}

var rootPath = []byte("/")

// checkUpgrade decides whether a wish to switch protocols may go on. A switch
// to another version of HTTP may not: who decides the framing of what follows
// is the gateway. Nor may one with a body: no two parsers agree on where the
// new protocol begins.
func checkUpgrade(r *h1.Request) {
	if !r.Upgrade {
		return
	}
	i := r.IndexID(h1.Upgrade, 0)
	switch {
	case r.HasBody(), r.IndexID(h1.Upgrade, i+1) >= 0, r.HasID(h1.HTTP2Settings), !upgradeToken(r.Value(i)),
		r.WebSocket && r.MethodCode != h1.MethodGet:
		r.Upgrade, r.WebSocket = false, false
	}
}

// upgradeToken accepts one protocol that is not HTTP and not TLS.
func upgradeToken(v []byte) bool {
	for _, c := range v {
		if hostClass[c] == 0 && c != '/' {
			return false
		}
	}
	return !hasPrefixFold(v, "h2") && !hasPrefixFold(v, "http") && !hasPrefixFold(v, "tls")
}

func hasPrefixFold(b []byte, low string) bool {
	if len(b) < len(low) {
		return false
	}
	for i := range low {
		if b[i]|0x20 != low[i]|0x20 {
			return false
		}
	}
	return true
}
