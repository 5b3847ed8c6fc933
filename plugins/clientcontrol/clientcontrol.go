// Package clientcontrol is the plugin client-control: how large the body of a
// route's requests may be.
package clientcontrol

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "client-control", Priority: 22000, New: compile})
}

// plugin is a compiled instance.
type plugin struct {
	most int64 // bytes; 0: no limit of the route's own
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c struct {
		MaxBodySize int64 `json:"max_body_size"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	return &plugin{c.MaxBodySize}, nil
}

// Rewrite implements chain.Rewriter.
func (p *plugin) Rewrite(ctx *req.Ctx) req.Verdict {
	if p.most == 0 {
		return req.Continue
	}
	if ctx.Req.ContentLength > p.most || int64(len(ctx.Body)) > p.most {
		return ctx.Exit(413, nil, "")
	}
	// A body of unknown length is counted as it comes.
	ctx.MaxBody = p.most
	return req.Continue
}
