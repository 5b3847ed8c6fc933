// Package gzip is the plugin gzip: it compresses responses for clients that
// take them so.
package gzip

import (
	"encoding/json"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/coding"
	"github.com/sluicegw/sluice/plugins/internal/perrequest"
)

var self = &chain.Plugin{Name: "gzip", Priority: 995, BodyOnDemand: true, New: compile}

func init() { chain.Register(self) }

// config is what the user writes. The field buffers of APISIX has no meaning
// here.
type config struct {
	coding.Config
	Level int `json:"comp_level"`
}

// plugin is a compiled instance.
type plugin struct {
	rule    coding.Rule
	encoder coding.Encoder
}

var store = perrequest.Store[coding.Body]{Slot: self.Slot}

// costs are nanoseconds per KiB by level, measured on one core of a server of
// 2026.
var costs = [10]int64{0, 3_500, 3_500, 4_000, 9_000, 10_000, 12_000, 27_000, 40_000, 90_000}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{rule: coding.Rule{Name: "gzip", Statuses: map[int]bool{200: true, 403: true, 404: true}}}
	if err := p.rule.Set(&c.Config); err != nil {
		return nil, err
	}
	if _, err := gzip.NewWriterLevel(io.Discard, c.Level); err != nil {
		return nil, err
	}
	p.encoder = coding.Encoder{Cost: costs[c.Level], New: func(out io.Writer) coding.Writer {
		w, err := gzip.NewWriterLevel(out, c.Level)
		if err != nil {
			panic("BUG: the level was checked: " + err.Error())
		}
		return w
	}}
	return p, nil
}

// EncodeHead implements chain.HeadEncoder.
func (p *plugin) EncodeHead(ctx *req.Ctx) {
	if !p.rule.Fits(ctx) {
		return
	}
	resp := &ctx.Resp
	weaken(ctx)
	resp.DelID(h1.ContentLength)
	resp.Del("accept-ranges")
	resp.AddID(h1.ContentEncoding, name)
	store.Take(ctx, p)
	ctx.FilterBody(self.Slot())
}

var name = []byte("gzip")

// weaken makes the entity tag a weak one: the bytes are no longer those that it
// stands for. What is no tag at all is removed.
func weaken(ctx *req.Ctx) {
	tag := ctx.Resp.GetID(h1.ETag)
	switch {
	case tag == nil || len(tag) > 2 && tag[0] == 'W' && tag[1] == '/':
	case len(tag) > 0 && tag[0] == '"':
		ctx.ValueBuf = append(append(ctx.ValueBuf[:0], "W/"...), tag...)
		ctx.Resp.SetID(h1.ETag, ctx.ValueBuf)
	default:
		ctx.Resp.DelID(h1.ETag)
	}
}

// EncodeBody implements chain.BodyEncoder.
func (p *plugin) EncodeBody(ctx *req.Ctx) {
	if b := store.Find(ctx, p); b != nil {
		p.encoder.Piece(ctx, b)
	}
}

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) { store.Drop(ctx, p, p.encoder.Done) }

var (
	_ chain.HeadEncoder = (*plugin)(nil)
	_ chain.BodyEncoder = (*plugin)(nil)
	_ chain.Logger      = (*plugin)(nil)
)
