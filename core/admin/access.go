package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// caller is who a request comes from.
type caller struct {
	name    string
	address netip.Addr
}

// doorkeeper decides who may call. It is immutable.
type doorkeeper struct {
	required bool
	cors     bool
	keys     []hashedKey
	allow    []netip.Prefix
}

// hashedKey keeps a digest in place of the key: comparing digests of equal
// length takes the same time for every candidate.
type hashedKey struct {
	digest [sha256.Size]byte
	name   string
	viewer bool
}

func newDoorkeeper(a *Access) *doorkeeper {
	d := &doorkeeper{required: a.KeyRequired, cors: a.CORS, allow: append([]netip.Prefix(nil), a.Allow...)}
	for _, k := range a.Keys {
		if k.Key == "" {
			continue
		}
		d.keys = append(d.keys, hashedKey{
			digest: sha256.Sum256([]byte(k.Key)), name: k.Name, viewer: k.Role == RoleViewer,
		})
	}
	return d
}

// ParseAllow reads addresses and networks, as deployment.admin.allow_admin
// holds them.
func ParseAllow(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		if addr, err := netip.ParseAddr(text); err == nil {
			networks = append(networks, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("allow_admin: %q is no address and no network (address/bits)", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// admits tells whether the address list lets the client in.
func (d *doorkeeper) admits(addr netip.Addr) bool {
	if len(d.allow) == 0 || !addr.IsValid() {
		// A unix socket has no address: its file permissions decide.
		return true
	}
	for _, p := range d.allow {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// check looks at the key of a request and returns the administrator's name,
// or why it is refused.
func (d *doorkeeper) check(ctx *fasthttp.RequestCtx) (name, why string) {
	if !d.required {
		return "anonymous", ""
	}
	token := requestKey(ctx)
	if len(token) == 0 {
		return "", "missing apikey"
	}
	digest := sha256.Sum256(token)
	found := -1
	for i := range d.keys {
		if subtle.ConstantTimeCompare(digest[:], d.keys[i].digest[:]) == 1 && found < 0 {
			found = i
		}
	}
	if found < 0 {
		return "", "wrong apikey"
	}
	if d.keys[found].viewer && !ctx.IsGet() {
		return "", "invalid method for role viewer"
	}
	return d.keys[found].name, ""
}

// requestKey returns the first key that is not empty, in APISIX's order.
func requestKey(ctx *fasthttp.RequestCtx) []byte {
	if key := ctx.QueryArgs().Peek("api_key"); len(key) > 0 {
		return key
	}
	if key := ctx.Request.Header.Peek("X-API-KEY"); len(key) > 0 {
		return key
	}
	return ctx.Request.Header.Cookie("x_api_key")
}

// remote returns the peer's address, the zero Addr for a unix socket.
func remote(ctx *fasthttp.RequestCtx) netip.Addr {
	if tcp, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		if addr, ok := netip.AddrFromSlice(tcp.IP); ok {
			return addr.Unmap()
		}
	}
	return netip.Addr{}
}
