package guard

import (
	"net/netip"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// hostClass maps a byte that may stand in a host name to its lower case, all
// others to 0. '_' is no part of host names but common in container networks.
var hostClass = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = uint8(c)
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = uint8(c)
		t[c-'a'+'A'] = uint8(c)
	}
	t['-'], t['.'], t['_'] = '-', '.', '_'
	return t
}()

// maxHost bounds a host in bytes, port included: 253 for the name.
const maxHost = 253 + len(":65535")

// setHost checks a Host and stores it in lower case, without port and without
// the dot at the end. An IPv6 address keeps its brackets.
func setHost(ctx *req.Ctx, host []byte) *h1.Error {
	if len(host) == 0 || len(host) > maxHost {
		return h1.ErrHost
	}
	if host[0] == '[' {
		return setHost6(ctx, host)
	}
	dst := ctx.Host[:0]
	prev := uint8('.') // so that a dot in front is an empty label, too
	i := 0
	for ; i < len(host); i++ {
		c := hostClass[host[i]]
		if c == 0 {
			break
		}
		if c == '.' && prev == '.' {
			return h1.ErrHost
		}
		dst = append(dst, c)
		prev = c
	}
	if prev == '.' && len(dst) > 0 {
		dst = dst[:len(dst)-1]
	}
	ctx.Host = dst
	if len(dst) == 0 {
		return h1.ErrHost
	}
	return setPort(ctx, host[i:])
}

func setHost6(ctx *req.Ctx, host []byte) *h1.Error {
	end := 1
	for end < len(host) && host[end] != ']' {
		end++
	}
	if end == len(host) || end > 40 {
		return h1.ErrHost
	}
	dst := append(ctx.Host[:0], '[')
	for _, c := range host[1:end] {
		switch {
		case c >= 'A' && c <= 'F':
			c |= 0x20
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c == ':', c == '.':
		default:
			return h1.ErrHost
		}
		dst = append(dst, c)
	}
	ctx.Host = append(dst, ']')
	if a, ok := parseAddr(dst[1:]); !ok || !a.Is6() {
		return h1.ErrHost
	}
	return setPort(ctx, host[end+1:])
}

// setPort reads what follows a host: nothing, or a colon and a port.
func setPort(ctx *req.Ctx, b []byte) *h1.Error {
	ctx.Port = 0
	if len(b) == 0 {
		return nil
	}
	if b[0] != ':' || len(b) < 2 || len(b) > len(":65535") {
		return h1.ErrHost
	}
	n := 0
	for _, c := range b[1:] {
		if c -= '0'; c > 9 {
			return h1.ErrHost
		}
		n = n*10 + int(c)
	}
	if n == 0 || n > 65535 {
		return h1.ErrHost
	}
	ctx.Port = uint16(n)
	return nil
}

// parseAddr reads an IP address.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > 45 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text(b))
	return a, err == nil && a.Zone() == ""
}
