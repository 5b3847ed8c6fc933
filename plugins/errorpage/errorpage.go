// Package errorpage is the plugin error-page: pages of the user's own for the
// errors that the gateway answers with.
package errorpage

import (
	"encoding/json"
	"fmt"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

var self = &chain.Plugin{
	Name: "error-page", Priority: 450, BodyOnDemand: true, New: compile,
	NewMetadata: func(raw json.RawMessage) (any, error) { return compileMetadata(raw) },
}

func init() { chain.Register(self) }

// plugin is an instance; all it shows stands in the metadata.
type plugin struct{ metadata *chain.Metadata }

func compile(_ json.RawMessage, env *chain.Env) (any, error) {
	return &plugin{metadata: env.Metadata}, nil
}

// pages are the pages by status. Immutable.
type pages map[int]*page

type page struct{ body, contentType []byte }

// statuses are those that the metadata has a field for.
var statuses = [...]int{404, 500, 502, 503}

func compileMetadata(raw json.RawMessage) (pages, error) {
	var c map[string]json.RawMessage
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("metadata of error-page: %w", err)
	}
	var enable bool
	if v, ok := c["enable"]; ok {
		if err := json.Unmarshal(v, &enable); err != nil {
			return nil, fmt.Errorf("metadata of error-page: enable: %w", err)
		}
	}
	if !enable {
		return nil, nil
	}
	out := pages{}
	for _, status := range statuses {
		name := fmt.Sprintf("error_%d", status)
		v, ok := c[name]
		if !ok {
			continue
		}
		var one struct {
			Body        *string `json:"body"`
			ContentType string  `json:"content_type"`
		}
		if err := json.Unmarshal(v, &one); err != nil {
			return nil, fmt.Errorf("metadata of error-page: %s: %w", name, err)
		}
		if one.Body == nil {
			text := defaultPage(status)
			one.Body = &text
		}
		if *one.Body == "" {
			continue // the gateway's own page
		}
		if one.ContentType == "" {
			one.ContentType = "text/html"
		}
		out[status] = &page{[]byte(*one.Body), []byte(one.ContentType)}
	}
	return out, nil
}

func defaultPage(status int) string {
	line := fmt.Sprintf("%d %s", status, h1.Reason(status))
	return "<html>\n<head><title>" + line + "</title></head>\n<body>\n<center><h1>" + line +
		"</h1></center>\n<hr><center>sluice</center>\n</body>\n</html>"
}

// HeaderFilter implements chain.HeaderFilterer.
func (p *plugin) HeaderFilter(ctx *req.Ctx) {
	if ctx.Source == req.FromUpstream || ctx.Resp.StatusCode < 400 {
		return
	}
	all, _ := p.metadata.Load().(pages)
	one := all[ctx.Resp.StatusCode]
	if one == nil {
		return
	}
	ctx.Resp.SetID(h1.ContentType, one.contentType)
	ctx.SetSlot(self.Slot(), one)
	ctx.FilterBody(self.Slot())
}

// BodyFilter implements chain.BodyFilterer. Answers of the gateway come in one
// piece.
func (p *plugin) BodyFilter(ctx *req.Ctx) {
	if one, ok := ctx.Slot(self.Slot()).(*page); ok {
		ctx.Chunk = one.body
	}
}

var (
	_ chain.HeaderFilterer = (*plugin)(nil)
	_ chain.BodyFilterer   = (*plugin)(nil)
)
