package meter

import (
	"math/bits"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
)

// The types of http_latency, as indexes of the histograms in a cell.
const (
	typeRequest = iota
	typeUpstream
	typeGateway
	numTypes
)

// Rules change what labels say. Immutable; compared by address.
type Rules struct {
	// PreferName puts names in the place of ids of routes and services.
	PreferName bool
	// Disabled has a bit for every label of a family that stays empty.
	Disabled [numFamilies]uint16
}

// Disable empties a label of a family; it reports false for names that the
// family does not have. The labels code and type always stay.
func (u *Rules) Disable(family, label string) bool {
	for f, name := range familyNames {
		if name != family {
			continue
		}
		for i, l := range labelNames[f] {
			if l == label && l != "code" {
				u.Disabled[f] |= 1 << i
				return true
			}
		}
	}
	return false
}

// key is all that the labels of a request depend on, less extra labels.
type key struct {
	route    *req.Route
	consumer *req.Consumer
	node     *node.Node
	rules    *Rules
	uri      string
	host     string
	status   int
	source   req.Source
}

// slots is the size of a loop's memory of recent label sets.
const slots = 1 << 12

// stripe is what one loop counts in; only that loop uses it.
type stripe struct {
	reg     *Registry
	loop    *loop.Loop
	gen     uint64
	recent  []entry
	cells   [numFamilies]map[string]*cell
	scratch []byte
	refused atomic.Uint64
}

// entry remembers the cells of a label set; nil ones are looked up each time
// (extra labels) or were refused.
type entry struct {
	key
	known bool
	cells [numFamilies]*cell
}

func (r *Registry) mine(l *loop.Loop) *stripe {
	if uint(l.ID) >= maxLoops {
		return nil
	}
	s := r.stripe[l.ID].Load()
	if s != nil && s.loop == l {
		return s
	}
	if s != nil {
		r.refused.Add(s.refused.Load())
	}
	s = &stripe{reg: r, loop: l, recent: make([]entry, slots)}
	r.stripe[l.ID].Store(s)
	return s
}

// hash mixes addresses and numbers of the key; strings follow from the route
// and count by their address.
func (k *key) hash() uint32 {
	const m = 0x9e3779b97f4a7c15
	h := uint64(uintptr(unsafe.Pointer(k.route)))*m ^ uint64(uintptr(unsafe.Pointer(k.node)))
	h = bits.RotateLeft64(h*m, 29) ^ uint64(uintptr(unsafe.Pointer(k.consumer)))
	h = bits.RotateLeft64(h*m, 29) ^ uint64(uintptr(unsafe.Pointer(unsafe.StringData(k.uri)))) ^ uint64(k.status)<<1
	return uint32(h * m >> 32)
}

// Record counts a finished request. It runs on the request's loop.
func (r *Registry) Record(ctx *req.Ctx, rules *Rules) {
	s := r.mine(ctx.Loop)
	if s == nil {
		return
	}
	if g := r.gen.Load(); s.gen != g {
		s.forget(g)
	}
	k := key{route: ctx.Route, consumer: ctx.Consumer, rules: rules, status: ctx.Status, source: ctx.Source}
	if m := ctx.Matched(); ctx.Route != nil {
		k.uri, k.host = m.MatchedURI, m.MatchedHost
	}
	if n := len(ctx.Tries); n > 0 {
		k.node = ctx.Tries[n-1].Node
	}
	e := &s.recent[k.hash()%slots]
	if !e.known || e.key != k {
		// Slow path: seldom with few label sets, and without garbage.
		*e = entry{key: k, known: true}
		for f := range numFamilies {
			if len(r.opts.Load().Extra[f]) == 0 {
				e.cells[f] = s.find(ctx, f, &k)
			}
		}
	}
	o, now := r.opts.Load(), ctx.Loop.Now()
	for f := range numFamilies {
		c := e.cells[f]
		if c == nil && len(o.Extra[f]) > 0 {
			c = s.find(ctx, f, &k)
		}
		if c == nil {
			s.refused.Store(s.refused.Load() + 1)
			continue
		}
		c.last.Store(now)
		switch f {
		case Status:
			add(&c.n[0], 1)
		case Latency:
			o.latency(c, ctx, now)
		case Bandwidth:
			add(&c.n[0], uint64(max(ctx.BytesIn, 0)))
			add(&c.n[1], uint64(max(ctx.BytesOut, 0)))
		}
	}
}

func (s *stripe) forget(gen uint64) {
	s.gen = gen
	clear(s.recent)
	for f := range s.cells {
		s.cells[f] = map[string]*cell{}
	}
}

// add is an addition by the only writer.
func add(w *atomic.Uint64, n uint64) { w.Store(w.Load() + n) }

func (o *options) latency(c *cell, ctx *req.Ctx, now int64) {
	total, upstream := max(now-ctx.Start, 0), int64(0)
	for i := range ctx.Tries {
		upstream += max(ctx.Tries[i].Total, 0)
	}
	o.observe(c, typeRequest, total)
	if len(ctx.Tries) > 0 {
		o.observe(c, typeUpstream, upstream)
	}
	o.observe(c, typeGateway, max(total-upstream, 0))
}

func (o *options) observe(c *cell, which int, ns int64) {
	h := c.n[which*o.histogram():][:o.histogram()]
	i := 0
	for i < len(o.boundsNS) && ns > o.boundsNS[i] {
		i++
	}
	add(&h[i], 1)
	add(&h[len(h)-1], uint64(ns))
}

// find returns the loop's cell for the request's labels.
func (s *stripe) find(ctx *req.Ctx, f Family, k *key) *cell {
	s.scratch = appendLabels(s.scratch[:0], ctx, f, k, s.reg.opts.Load().Extra[f])
	c := s.cells[f][string(s.scratch)]
	if c != nil {
		return c
	}
	id := ""
	if k.route != nil {
		id = k.route.ID
	}
	if c = s.reg.meet(f, s.scratch, id); c != nil {
		s.cells[f][string(s.scratch)] = c
	}
	return c
}

var sources = [...]string{req.FromGateway: "apisix", req.FromProxy: "nginx", req.FromUpstream: "upstream"}

func appendLabels(b []byte, ctx *req.Ctx, f Family, k *key, extra []Extra) []byte {
	for i, name := range labelNames[f] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, name...), '=', '"')
		if k.rules == nil || k.rules.Disabled[f]&(1<<i) == 0 {
			b = k.appendValue(b, name)
		}
		b = append(b, '"')
	}
	for i := range extra {
		b = append(append(append(b, ','), extra[i].Name...), '=', '"')
		var v []byte
		v, _ = extra[i].Value.AppendTo(ctx.ValueBuf[:0], ctx)
		ctx.ValueBuf = v
		b = append(appendEscaped(b, v), '"')
	}
	return b
}

func (k *key) appendValue(b []byte, label string) []byte {
	name := k.rules != nil && k.rules.PreferName
	switch label {
	case "code":
		return strconv.AppendInt(b, int64(k.status), 10)
	case "matched_uri":
		return appendEscaped(b, k.uri)
	case "matched_host":
		return appendEscaped(b, k.host)
	case "request_type":
		return append(b, "traditional_http"...)
	case "response_source":
		return append(b, sources[k.source]...)
	case "consumer":
		if k.consumer != nil {
			return appendEscaped(b, k.consumer.Username)
		}
	case "node":
		if k.node != nil {
			return k.node.Addr.Addr().Unmap().AppendTo(b)
		}
	case "route", "service":
		if k.route == nil {
			return b
		}
		id, text := k.route.ID, k.route.Name
		if label == "service" {
			id, text = k.route.ServiceID, k.route.ServiceName
		}
		if name && text != "" {
			id = text
		}
		return appendEscaped(b, id)
	}
	return b
}

// appendEscaped appends a label value as the text format wants it.
func appendEscaped[T string | []byte](b []byte, v T) []byte {
	for i := range len(v) {
		switch c := v[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, c)
		}
	}
	return b
}
