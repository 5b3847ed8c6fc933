// Package prometheus is the plugin prometheus: the requests of routes that have
// it are counted.
package prometheus

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/meter"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{
		Name: "prometheus", Version: "0.2", Priority: 500, PreferRoute: true, New: compile,
		NewMetadata: func(raw json.RawMessage) (any, error) { return compileMetadata(raw) },
	})
}

// metadata is the compiled metadata object: the rules without and with
// prefer_name.
type metadata struct{ ids, names meter.Rules }

func compileMetadata(raw json.RawMessage) (*metadata, error) {
	var c struct {
		Disabled map[string][]string `json:"disabled_labels"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	m := &metadata{names: meter.Rules{PreferName: true}}
	for family, labels := range c.Disabled {
		for _, l := range labels {
			// Families of AI traffic have no series here and nothing to empty.
			m.ids.Disable(family, l)
			m.names.Disable(family, l)
		}
	}
	return m, nil
}

// plain are the rules without metadata.
var plain = &metadata{names: meter.Rules{PreferName: true}}

// plugin is a compiled instance.
type plugin struct {
	preferName bool
	meta       *chain.Metadata
	reg        *meter.Registry
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c struct {
		PreferName bool `json:"prefer_name"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{preferName: c.PreferName, reg: meter.Default}
	if env != nil {
		p.meta = env.Metadata
	}
	return p, nil
}

// Log implements chain.Logger.
func (p *plugin) Log(ctx *req.Ctx) {
	m := plain
	if p.meta != nil {
		if v, _ := p.meta.Load().(*metadata); v != nil {
			m = v
		}
	}
	rules := &m.ids
	if p.preferName {
		rules = &m.names
	}
	p.reg.Record(ctx, rules)
}
