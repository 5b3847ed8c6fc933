// Package trafficsplit is the plugin traffic-split: it divides a route's
// requests among upstreams.
package trafficsplit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/req"
)

const name = "traffic-split"

func init() { chain.Register(&chain.Plugin{Name: name, Priority: 966, New: compile, Check: check}) }

// config is what the user writes.
type config struct {
	Rules []struct {
		Match []struct {
			Vars json.RawMessage `json:"vars"`
		} `json:"match"`
		Upstreams []struct {
			ID     json.RawMessage `json:"upstream_id"`
			Inline json.RawMessage `json:"upstream"`
			Weight *int64          `json:"weight"`
		} `json:"weighted_upstreams"`
	} `json:"rules"`
}

// plugin is a compiled instance.
type plugin struct {
	rules    []rule
	releases []func()
}

// rule divides the requests that fit.
type rule struct {
	any   []*expr.Expr // one of them must hold; empty: every request fits
	cells []*req.UpstreamCell
	share share
}

func check(raw json.RawMessage) error {
	_, err := compile(raw, &chain.Env{})
	return err
}

func compile(raw json.RawMessage, env *chain.Env) (any, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	p := &plugin{}
	if err := p.compile(&c, env); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

func (p *plugin) compile(c *config, env *chain.Env) error {
	p.rules = make([]rule, len(c.Rules))
	for i := range c.Rules {
		r, rc := &p.rules[i], &c.Rules[i]
		for _, m := range rc.Match {
			if len(m.Vars) == 0 {
				r.any = append(r.any, nil)
				continue
			}
			e, err := expr.CompileJSON(m.Vars)
			if err != nil {
				return fmt.Errorf("failed to validate the 'vars' expression: %w", err)
			}
			r.any = append(r.any, e)
		}
		weights := make([]int64, len(rc.Upstreams))
		for j, u := range rc.Upstreams {
			weights[j] = 1
			if u.Weight != nil {
				weights[j] = *u.Weight
			}
			cell, err := p.upstream(env, u.ID, u.Inline, fmt.Sprintf("%s/%d/%d", name, i, j))
			if err != nil {
				return err
			}
			r.cells = append(r.cells, cell)
		}
		r.share.init(weights)
	}
	return nil
}

// upstream compiles one choice; nil stands for the route's own upstream.
func (p *plugin) upstream(env *chain.Env, id, inline json.RawMessage, place string) (*req.UpstreamCell, error) {
	ref := chain.UpstreamRef{Inline: inline, Place: place}
	if len(id) > 0 {
		if json.Unmarshal(id, &ref.ID) != nil {
			ref.ID = string(id) // a number
		}
		ref.Inline = nil
	}
	if ref.ID == "" && len(ref.Inline) == 0 || env.Upstream == nil {
		return nil, nil
	}
	cell, release, err := env.Upstream(ref)
	if err != nil {
		return nil, err
	}
	p.releases = append(p.releases, release)
	return cell, nil
}

// Close implements io.Closer.
func (p *plugin) Close() error {
	for _, release := range p.releases {
		release()
	}
	p.releases = nil
	return nil
}

// Access implements chain.Accesser.
func (p *plugin) Access(ctx *req.Ctx) req.Verdict {
	for i := range p.rules {
		r := &p.rules[i]
		if !r.fits(ctx) {
			continue
		}
		if len(r.cells) == 0 {
			return req.Continue
		}
		cell := r.cells[r.share.next()]
		if cell == nil {
			return req.Continue
		}
		if ctx.Upstream = cell.Load(); ctx.Upstream == nil {
			return ctx.Exit(502, nil, "") // nobody has defined it
		}
		return req.Continue
	}
	return req.Continue
}

func (r *rule) fits(ctx *req.Ctx) bool {
	for _, e := range r.any {
		if e == nil || e.Eval(ctx) {
			return true
		}
	}
	return len(r.any) == 0
}

// share hands out numbers in proportion to weights.
type share struct {
	// sequence is one round, as evenly mixed as can be; loops share the place
	// in it, so that a round is a round of all requests.
	sequence []uint16
	at       atomic.Uint32
	// Of weights whose round would be too long, upTo are the sums.
	upTo []int64
}

// maxRound is the longest round that is laid out.
const maxRound = 1000

func (s *share) init(weights []int64) {
	divisor, total := int64(0), int64(0)
	for _, w := range weights {
		for a := w; a != 0; {
			divisor, a = a, divisor%a
		}
		total += w
		s.upTo = append(s.upTo, total)
	}
	if total == 0 {
		// Nobody is to get anything: the first does, as with equal weights.
		s.sequence = []uint16{0}
		return
	}
	if total/divisor > maxRound {
		return
	}
	credit := make([]int64, len(weights))
	for range total / divisor {
		best := 0
		for i, w := range weights {
			credit[i] += w
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		s.sequence = append(s.sequence, uint16(best))
	}
	s.at.Store(uint32(rand.IntN(len(s.sequence))))
}

func (s *share) next() int {
	if n := uint32(len(s.sequence)); n == 1 {
		return int(s.sequence[0])
	} else if n > 0 {
		return int(s.sequence[s.at.Add(1)%n])
	}
	r := rand.Int64N(s.upTo[len(s.upTo)-1])
	for i, sum := range s.upTo {
		if r < sum {
			return i
		}
	}
	panic("BUG: a random number below the sum of the weights is below none of the sums")
}
