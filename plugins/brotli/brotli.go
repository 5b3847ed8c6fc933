// Package brotli is the plugin brotli: it compresses responses for clients that
// take them so.
package brotli

import (
	"encoding/json"
	"io"

	brrr "github.com/molecule-man/go-brrr"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/plugins/internal/answer"
	"github.com/sluicegw/sluice/plugins/internal/coding"
	"github.com/sluicegw/sluice/plugins/internal/perrequest"
)

var self = &chain.Plugin{Name: "brotli", Priority: 996, BodyOnDemand: true, New: compile}

func init() { chain.Register(self) }

// config is what the user writes. The encoder finds mode and lgblock itself.
type config struct {
	coding.Config
	Level int `json:"comp_level"`
	LGWin int `json:"lgwin"`
}

// plugin is a compiled instance.
type plugin struct {
	rule    coding.Rule
	encoder coding.Encoder
}

var store = perrequest.Store[coding.Body]{Slot: self.Slot}

// costs are nanoseconds per KiB by level, measured on one core of a server of
// 2026.
var costs = [12]int64{2_500, 3_000, 8_500, 8_500, 12_000, 20_000, 25_000, 30_000, 35_000, 40_000, 200_000, 600_000}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{rule: coding.Rule{Name: "br"}}
	if err := p.rule.Set(&c.Config); err != nil {
		return nil, err
	}
	options := brrr.WriterOptions{LGWin: c.LGWin}
	if _, err := brrr.NewWriterOptions(io.Discard, c.Level, options); err != nil {
		return nil, err
	}
	p.encoder = coding.Encoder{Cost: costs[c.Level], New: func(out io.Writer) coding.Writer {
		w, err := brrr.NewWriterOptions(out, c.Level, options)
		if err != nil {
			panic("BUG: the options were checked: " + err.Error())
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
	answer.BodyChanges(resp)
	resp.Del("accept-ranges")
	resp.AddID(h1.ContentEncoding, name)
	store.Take(ctx, p)
	ctx.FilterBody(self.Slot())
}

var name = []byte("br")

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
