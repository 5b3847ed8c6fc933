// Package realip is the plugin real-ip: the client's address is what the
// request says, if a trusted proxy says it.
package realip

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"unsafe"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

func init() {
	chain.Register(&chain.Plugin{Name: "real-ip", Priority: 23000, New: compile, Check: check})
}

// config is what the user writes.
type config struct {
	Source    string   `json:"source"`
	Trusted   []string `json:"trusted_addresses"`
	Recursive bool     `json:"recursive"`
}

// plugin is a compiled instance.
type plugin struct {
	forwarded bool // source is X-Forwarded-For
	source    vars.Var
	trusted   *expr.IPSet // nil: everybody
	recursive bool
}

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{recursive: c.Recursive, forwarded: c.Source == "http_x_forwarded_for"}
	p.source, _ = vars.Compile(c.Source)
	if len(c.Trusted) > 0 {
		set, err := expr.ParseIPs(c.Trusted)
		if err != nil {
			return nil, err
		}
		p.trusted = set
	}
	return p, nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.trusted != nil && !p.trusted.Contains(ctx.Client) {
		return req.Continue
	}
	var text []byte
	if p.forwarded {
		text = p.lastForwarded(ctx)
	} else {
		text, _ = p.source.Get(ctx)
	}
	addr, port, ok := parseAddr(text)
	if !ok {
		return req.Continue
	}
	ctx.SetClient(addr, port)
	return req.Continue
}

// lastForwarded is the last address of the last X-Forwarded-For, or with
// recursive the last one that is not trusted.
func (p *plugin) lastForwarded(ctx *req.Ctx) []byte {
	var list []byte
	for i := ctx.Req.Index("x-forwarded-for", 0); i >= 0; i = ctx.Req.Index("x-forwarded-for", i+1) {
		list = ctx.Req.Value(i)
	}
	for {
		i := bytes.LastIndexByte(list, ',')
		last := bytes.TrimSpace(list[i+1:])
		if i < 0 || !p.recursive || p.trusted == nil {
			return last
		}
		if addr, _, ok := parseAddr(last); !ok || !p.trusted.Contains(addr) {
			return last
		}
		list = list[:i]
	}
}

// parseAddr reads address, address:port, or either with an IPv6 address in
// brackets. A port of 0 means that there was none.
func parseAddr(b []byte) (addr netip.Addr, port uint16, ok bool) {
	if len(b) == 0 || len(b) > 64 {
		return addr, 0, false
	}
	host, digits := b, []byte(nil)
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return addr, 0, false
		}
		host, digits = b[1:end], b[end+1:]
		if len(digits) > 0 && digits[0] != ':' {
			return addr, 0, false
		}
	} else if i := bytes.IndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i+1:], ':') < 0 {
		host, digits = b[:i], b[i:]
	}
	if len(digits) > 0 {
		n := 0
		for _, c := range digits[1:] {
			if c < '0' || c > '9' || n > 65535 {
				return addr, 0, false
			}
			n = n*10 + int(c-'0')
		}
		if n < 1 || n > 65535 {
			return addr, 0, false
		}
		port = uint16(n)
	}
	if len(host) == 0 {
		return addr, 0, false
	}
	// The result of a good address without a zone keeps nothing of the text.
	addr, err := netip.ParseAddr(unsafe.String(&host[0], len(host)))
	return addr.Unmap(), port, err == nil && addr.Zone() == ""
}
