package chain

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/req"
)

// Item is one configured plugin, ready to be compiled.
type Item struct {
	Name string
	Conf json.RawMessage
	// Priority replaces the plugin's own where it is not nil.
	Priority *int
	// Disabled instances are left out.
	Disabled bool
	// Filter, when set, decides per request whether the instance runs.
	Filter func(*req.Ctx) bool
	// ErrorBody replaces the body whenever the instance ends a request with a
	// status of 400 or more; ErrorType is its content type.
	ErrorBody []byte
	ErrorType string
	// Metadata is the plugin's metadata object.
	Metadata *Metadata
	// Attr is the plugin's part of plugin_attr.
	Attr json.RawMessage
}

// Set holds the compiled instances of one object's plugins. Immutable.
type Set struct {
	instances []instance
}

type instance struct {
	plugin   *Plugin
	priority int
	steps    [req.NumPhases]func(*req.Ctx) req.Verdict
	value    any
}

// NewSet compiles the plugins of one object. env.Metadata and env.Attr are
// taken from the items. A plugin that is not built in is an error; callers that
// skip such plugins leave the item out.
func NewSet(items []Item, env Env) (*Set, error) {
	s := &Set{}
	for i := range items {
		it := &items[i]
		if it.Disabled {
			continue
		}
		p := Lookup(it.Name)
		if p == nil {
			s.Close()
			return nil, fmt.Errorf("unknown plugin [%s]", it.Name)
		}
		e := *env.For(p)
		e.Metadata, e.Attr = it.Metadata, it.Attr
		v, err := p.New(it.Conf, &e)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("plugin %s: %w", it.Name, err)
		}
		in := instance{plugin: p, priority: p.Priority, value: v}
		if it.Priority != nil {
			in.priority = *it.Priority
		}
		in.bind(it)
		s.instances = append(s.instances, in)
	}
	s.sort()
	return s, nil
}

// bind resolves the instance's methods once, so that a request calls functions
// and asks nothing.
func (in *instance) bind(it *Item) {
	v := in.value
	if x, ok := v.(Rewriter); ok {
		in.steps[req.Rewrite] = x.Rewrite
	}
	if x, ok := v.(Accesser); ok {
		in.steps[req.Access] = x.Access
	}
	if x, ok := v.(BeforeProxier); ok {
		in.steps[req.BeforeProxy] = x.BeforeProxy
	}
	if x, ok := v.(HeaderFilterer); ok {
		in.steps[req.HeaderFilter] = goOn(x.HeaderFilter)
	}
	if x, ok := v.(BodyFilterer); ok {
		in.steps[req.BodyFilter] = goOn(x.BodyFilter)
	}
	if x, ok := v.(HeadEncoder); ok {
		in.steps[req.EncodeHead] = goOn(x.EncodeHead)
	}
	if x, ok := v.(BodyEncoder); ok {
		in.steps[req.EncodeBody] = goOn(x.EncodeBody)
	}
	if x, ok := v.(Logger); ok {
		in.steps[req.Log] = goOn(x.Log)
	}
	for p := range in.steps {
		run := in.steps[p]
		if run == nil {
			continue
		}
		if it.ErrorBody != nil && req.Phase(p) <= req.BeforeProxy {
			run = withErrorBody(run, it.ErrorBody, it.ErrorType)
		}
		if it.Filter != nil {
			run = filtered(run, it.Filter)
		}
		in.steps[p] = run
	}
}

func goOn(f func(*req.Ctx)) func(*req.Ctx) req.Verdict {
	return func(ctx *req.Ctx) req.Verdict {
		f(ctx)
		return req.Continue
	}
}

func withErrorBody(run func(*req.Ctx) req.Verdict, body []byte, ctype string) func(*req.Ctx) req.Verdict {
	return func(ctx *req.Ctx) req.Verdict {
		v := run(ctx)
		if v == req.Exit && ctx.Resp.StatusCode >= 400 {
			return ctx.Exit(ctx.Resp.StatusCode, body, ctype)
		}
		return v
	}
}

func filtered(run func(*req.Ctx) req.Verdict, want func(*req.Ctx) bool) func(*req.Ctx) req.Verdict {
	return func(ctx *req.Ctx) req.Verdict {
		if !want(ctx) {
			return req.Continue
		}
		return run(ctx)
	}
}

func (s *Set) sort() {
	slices.SortStableFunc(s.instances, func(a, b instance) int {
		if a.priority != b.priority {
			return b.priority - a.priority
		}
		return strings.Compare(a.plugin.Name, b.plugin.Name)
	})
}

// Has tells whether the set holds an instance of the named plugin.
func (s *Set) Has(name string) bool {
	if s == nil {
		return false
	}
	return slices.ContainsFunc(s.instances, func(in instance) bool { return in.plugin.Name == name })
}

// Close closes the instances that can be closed.
func (s *Set) Close() {
	if s == nil {
		return
	}
	for i := range s.instances {
		if c, ok := s.instances[i].value.(io.Closer); ok {
			_ = c.Close()
		}
	}
}

// Merge makes the chain of several objects' sets, the one that wins first. Of a
// plugin that stands in more than one, the first is taken whole. Nil sets are
// allowed; without any instance the result is nil.
func Merge(sets ...*Set) *req.Chain {
	var all Set
	for _, s := range sets {
		if s == nil {
			continue
		}
		for i := range s.instances {
			if !all.Has(s.instances[i].plugin.Name) {
				all.instances = append(all.instances, s.instances[i])
			}
		}
	}
	return all.chain()
}

// Join makes the chain of global rules: all sets run.
func Join(sets ...*Set) *req.Chain {
	var all Set
	for _, s := range sets {
		if s == nil {
			continue
		}
		for _, in := range s.instances {
			if in.plugin.PreferRoute {
				in.yield()
			}
			all.instances = append(all.instances, in)
		}
	}
	return all.chain()
}

// yield makes the instance stand back where the route has one of its own.
func (in *instance) yield() {
	bit := uint64(1) << in.plugin.slot
	for p, run := range in.steps {
		if run == nil {
			continue
		}
		in.steps[p] = func(ctx *req.Ctx) req.Verdict {
			if ctx.Eff != nil && ctx.Eff.Chain != nil && ctx.Eff.Chain.Plugins&bit != 0 {
				return req.Continue
			}
			return run(ctx)
		}
	}
}

func (s *Set) chain() *req.Chain {
	if len(s.instances) == 0 {
		return nil
	}
	s.sort()
	c := &req.Chain{}
	for i := range s.instances {
		in := &s.instances[i]
		slot := uint8(in.plugin.slot)
		c.Members = append(c.Members, req.Member{Name: in.plugin.Name, Slot: slot, Priority: in.priority})
		c.Plugins |= 1 << slot
		for p, run := range in.steps {
			if run != nil {
				c.Phases[p] = append(c.Phases[p], req.Step{
					Name: in.plugin.Name, Run: run, Slot: slot, Priority: in.priority, OnDemand: in.plugin.BodyOnDemand,
				})
			}
		}
	}
	return c
}

// Without returns the set less the named plugins.
func (s *Set) Without(names map[string]bool) *Set {
	if s == nil || len(names) == 0 {
		return s
	}
	out := &Set{}
	for _, in := range s.instances {
		if !names[in.plugin.Name] {
			out.instances = append(out.instances, in)
		}
	}
	return out
}
