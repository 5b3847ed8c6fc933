// Package requestid is the plugin request-id: every request has a name that
// client, gateway and upstream see.
package requestid

import (
	"encoding/json"
	"math/rand/v2"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

// schema is that of APISIX's documentation.
const schema = `{
	"type": "object",
	"properties": {
		"header_name": {"type": "string", "default": "X-Request-Id"},
		"include_in_response": {"type": "boolean", "default": true},
		"algorithm": {"type": "string", "enum": ["uuid", "nanoid", "range_id", "ksuid"], "default": "uuid"},
		"range_id": {
			"type": "object",
			"properties": {
				"length": {"type": "integer", "minimum": 6, "maximum": 1024, "default": 16},
				"char_set": {"type": "string", "minLength": 6, "default": "` + rangeSet + `"}
			},
			"default": {"length": 16, "char_set": "` + rangeSet + `"}
		}
	}
}`

const rangeSet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789"

var me = &chain.Plugin{Name: "request-id", Priority: 12015, Schema: json.RawMessage(schema), New: compile}

func init() {
	chain.Register(me)
	vars.Register("apisix_request_id", func(dst []byte, ctx *req.Ctx) ([]byte, bool) {
		p, _ := ctx.Slot(me.Slot()).(*plugin)
		if p == nil {
			return dst, false
		}
		id := p.header.Get(&ctx.Req.Header)
		return append(dst, id...), len(id) > 0
	})
}

// config is what the user writes.
type config struct {
	Header    string `json:"header_name"`
	Include   bool   `json:"include_in_response"`
	Algorithm string `json:"algorithm"`
	Range     struct {
		Length int    `json:"length"`
		Set    string `json:"char_set"`
	} `json:"range_id"`
}

// plugin is a compiled instance.
type plugin struct {
	name    string
	header  chain.Field
	include bool
	make    func(p *plugin, dst []byte, ctx *req.Ctx) []byte
	length  int
	set     string
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	c := config{Header: "X-Request-Id", Include: true}
	c.Range.Length, c.Range.Set = 16, rangeSet
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{name: c.Header, header: chain.NewField(c.Header), include: c.Include, length: c.Range.Length, set: c.Range.Set, make: uuid}
	switch c.Algorithm {
	case "nanoid":
		p.make = nanoID
	case "range_id":
		p.make = rangeID
	case "ksuid":
		p.make = ksuid
	}
	return p, nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if len(p.header.Get(&ctx.Req.Header)) == 0 {
		ctx.ValueBuf = p.make(p, ctx.ValueBuf[:0], ctx)
		ctx.Req.Set(p.name, ctx.ValueBuf)
	}
	ctx.SetSlot(me.Slot(), p)
	return req.Continue
}

// HeaderFilter implements chain.HeaderFilterer.
func (p *plugin) HeaderFilter(ctx *req.Ctx) {
	if !p.include || len(p.header.Get(&ctx.Resp.Header)) > 0 {
		return
	}
	if id := p.header.Get(&ctx.Req.Header); len(id) > 0 {
		ctx.Resp.Set(p.name, id)
	}
}

const hex = "0123456789abcdef"

// uuid appends a random UUID (RFC 9562, version 4).
func uuid(_ *plugin, dst []byte, _ *req.Ctx) []byte {
	a, b := rand.Uint64(), rand.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 2<<62
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			dst = append(dst, '-')
		}
		w := a
		if i >= 16 {
			w = b
		}
		dst = append(dst, hex[w>>(60-4*(i%16))&15])
	}
	return dst
}

const urlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// nanoID appends 21 characters that may stand in a URL: 126 random bits.
func nanoID(_ *plugin, dst []byte, _ *req.Ctx) []byte {
	for range 3 {
		w := rand.Uint64()
		for range 7 {
			dst = append(dst, urlSafe[w&63])
			w >>= 6
		}
	}
	return dst
}

// rangeID appends characters of the configured set.
func rangeID(p *plugin, dst []byte, _ *req.Ctx) []byte {
	for range p.length {
		dst = append(dst, p.set[rand.IntN(len(p.set))])
	}
	return dst
}

const (
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// ksuidEpoch is where the time in a KSUID begins, in unix seconds.
	ksuidEpoch = 1400000000
	ksuidSize  = 27
)

// ksuid appends a KSUID: 32 bits of time and 128 random ones in base 62, so
// that identifiers sort by time.
func ksuid(_ *plugin, dst []byte, ctx *req.Ctx) []byte {
	a, b := rand.Uint64(), rand.Uint64()
	n := [5]uint32{uint32(ctx.Wall/1e9 - ksuidEpoch), uint32(a >> 32), uint32(a), uint32(b >> 32), uint32(b)}
	var out [ksuidSize]byte
	for i := ksuidSize - 1; i >= 0; i-- {
		rest := uint64(0)
		for j := range n {
			v := rest<<32 | uint64(n[j])
			n[j], rest = uint32(v/62), v%62
		}
		out[i] = base62[rest]
	}
	return append(dst, out[:]...)
}
