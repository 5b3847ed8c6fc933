// Package publicapi is the plugin public-api: a route that leads to an endpoint
// of the gateway's own.
package publicapi

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "public-api", Priority: 501, New: compile})
}

// plugin is a compiled instance: the endpoints that it can lead to, by path.
type plugin struct {
	fixed     bool // whatever the request's path is
	path      string
	endpoints map[string][]chain.Endpoint
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c struct {
		URI string `json:"uri"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	all, err := env.Endpoints()
	if err != nil {
		return nil, err
	}
	p := &plugin{fixed: c.URI != "", path: c.URI, endpoints: map[string][]chain.Endpoint{}}
	for _, e := range all {
		p.endpoints[e.Path] = append(p.endpoints[e.Path], e)
	}
	if p.fixed && p.endpoints[p.path] == nil && env.Log != nil {
		env.Log.Warn("plugin public-api leads nowhere: no enabled plugin has this endpoint", "object", env.Owner, "uri", c.URI)
	}
	return p, nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	var list []chain.Endpoint
	if p.fixed {
		list = p.endpoints[p.path]
	} else {
		list = p.endpoints[string(ctx.Path)]
	}
	for i := range list {
		if list[i].Methods.Has(ctx.Req.MethodCode) {
			return list[i].Answer(ctx)
		}
	}
	return ctx.Exit(404, nil, "")
}

var _ chain.Accesser = (*plugin)(nil)
