// Package attachconsumerlabel is the plugin attach-consumer-label: it tells the
// upstream labels of the consumer in header fields.
package attachconsumerlabel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

func init() {
	chain.Register(&chain.Plugin{Name: "attach-consumer-label", Priority: 2399, New: compile, Check: check})
}

// config is what the user writes: "$label" by field name.
type config struct {
	Headers map[string]string `json:"headers"`
}

// plugin is a compiled instance.
type plugin struct{ fields []field }

type field struct{ name, label string }

func check(raw json.RawMessage) error {
	_, err := compile(raw, nil)
	return err
}

func compile(raw json.RawMessage, _ *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{}
	for name, label := range c.Headers {
		var probe h1.Header
		if probe.SetString(name, ""); probe.Len() == 0 {
			return nil, fmt.Errorf("headers: %q is no name of a header field", name)
		}
		label, ok := strings.CutPrefix(label, "$")
		if !ok {
			return nil, fmt.Errorf("headers: the label of %s must begin with $", name)
		}
		p.fields = append(p.fields, field{name, label})
	}
	slices.SortFunc(p.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return p, nil
}

// BeforeProxy implements chain.BeforeProxier. A field whose label the consumer
// does not have, or that has no consumer, is removed: the client has no say in
// what the upstream takes for labels.
func (p *plugin) BeforeProxy(ctx *req.Ctx) req.Verdict {
	for i := range p.fields {
		f := &p.fields[i]
		value, ok := "", false
		if ctx.Consumer != nil {
			value, ok = ctx.Consumer.Label(f.label)
		}
		if ok {
			ctx.Req.SetString(f.name, value)
		} else {
			ctx.Req.Del(f.name)
		}
	}
	return req.Continue
}

var _ chain.BeforeProxier = (*plugin)(nil)
