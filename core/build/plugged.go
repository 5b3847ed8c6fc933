package build

import (
	"encoding/json"
	"errors"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
)

var errNoUpstream = errors.New("neither the id of an upstream nor an upstream is given")

// pluginUpstream is chain.Env.Upstream for the plugins of one object.
func (b *Builder) pluginUpstream(owner string) func(chain.UpstreamRef) (*req.UpstreamCell, func(), error) {
	return func(ref chain.UpstreamRef) (*req.UpstreamCell, func(), error) {
		switch {
		case ref.ID != "":
			id := conf.ID(ref.ID)
			up := b.hold(id)
			return &up.cell, func() { b.release(up, id) }, nil
		case len(ref.Inline) == 0:
			return nil, nil, errNoUpstream
		}
		var c conf.Upstream
		if err := json.Unmarshal(ref.Inline, &c); err != nil {
			return nil, nil, err
		}
		up, err := b.setInline(nil, owner+"/plugins/"+ref.Place, &c)
		if err != nil {
			return nil, nil, err
		}
		b.plugged[up] = true
		return &up.cell, func() { b.unplug(up) }, nil
	}
}

// unplug takes an upstream that was written in a plugin out of use. Its
// definition stays in the cell: requests may still be about to read it. State
// that an upstream of the same place has taken over stays, too.
func (b *Builder) unplug(up *upstream) {
	if !b.plugged[up] {
		return
	}
	delete(b.plugged, up)
	b.releasePools(up.cell.Load())
	for other := range b.plugged {
		if other.id == up.id {
			return
		}
	}
	b.registry.Drop(up.id)
	if b.opt.Health != nil {
		b.opt.Health.Remove(up.id)
	}
}
