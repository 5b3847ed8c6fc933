// Package paniconpurpose is a plugin that panics where it is told to. Only the
// tests link it into a gateway; see gateway.BinaryWith.
package paniconpurpose

import (
	"encoding/json"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/req"
)

// Name is how configuration names the plugin.
const Name = "panic-on-purpose"

func init() {
	chain.Register(&chain.Plugin{Name: Name, Priority: 1, New: newInstance})
}

func newInstance(conf json.RawMessage, _ *chain.Env) (any, error) {
	var c struct {
		Phase string `json:"phase"`
	}
	if err := json.Unmarshal(conf, &c); err != nil {
		return nil, err
	}
	switch c.Phase {
	case "rewrite":
		return rewrite{}, nil
	case "access":
		return access{}, nil
	case "before_proxy":
		return beforeProxy{}, nil
	case "header_filter":
		return headerFilter{}, nil
	case "body_filter":
		return bodyFilter{}, nil
	}
	return logger{}, nil
}

type (
	rewrite      struct{}
	access       struct{}
	beforeProxy  struct{}
	headerFilter struct{}
	bodyFilter   struct{}
	logger       struct{}
)

func (rewrite) Rewrite(*req.Ctx) req.Verdict         { return explode(nil) }
func (access) Access(*req.Ctx) req.Verdict           { return explode(nil) }
func (beforeProxy) BeforeProxy(*req.Ctx) req.Verdict { return explode(nil) }
func (headerFilter) HeaderFilter(*req.Ctx)           { explode(nil) }
func (bodyFilter) BodyFilter(*req.Ctx)               { explode(nil) }
func (logger) Log(*req.Ctx)                          { explode(nil) }

// explode reads through a nil pointer, the panic that a mistake makes.
func explode(v *req.Verdict) req.Verdict { return *v }
