package main

import (
	"sync"

	"github.com/sluicegw/sluice/core/admin"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/lint"
	"github.com/sluicegw/sluice/core/proc"
)

// rivals keeps the index of routes that compete with each other, for warnings
// about a written route.
type rivals struct {
	mu       sync.Mutex
	follower *proc.Follower
	index    *lint.Index
}

// followRivals makes the index in the background: with many routes that takes
// a moment, and nobody waits for it.
func (c *control) followRivals(s *conf.Settings) {
	r := &c.rivals
	r.follower = c.table.Follow()
	r.index = lint.NewIndex(lintOptions(s, c.plugins), c.route)
	c.work.Go(func() {
		defer r.follower.Close()
		for {
			select {
			case <-c.ctx.Done():
				return
			case <-r.follower.Wake():
				r.mu.Lock()
				r.catchUp()
				r.mu.Unlock()
			}
		}
	})
}

// route is a route as it is served.
func (c *control) route(id string) *conf.Route {
	o, ok := c.table.Get(conf.KindRoute, id)
	if !ok {
		return nil
	}
	return decodeRoute(&o)
}

func decodeRoute(o *conf.Object) *conf.Route {
	v, err := conf.Decode(o)
	if err != nil {
		return nil
	}
	r, _ := v.(*conf.Route)
	return r
}

// catchUp takes what changed into the index.
func (r *rivals) catchUp() {
	b, ok := r.follower.Changes()
	if !ok {
		return
	}
	for i := range b.Objects {
		o := &b.Objects[i]
		switch o.Kind {
		case conf.KindService:
			r.index.PutService(o.ID, serviceHosts(o))
		case conf.KindRoute:
			if route := r.decode(o); route != nil {
				r.index.Put(route)
			} else {
				r.index.Delete(o.ID)
			}
		}
	}
}

func (r *rivals) decode(o *conf.Object) *conf.Route {
	if o.Deleted() {
		return nil
	}
	return decodeRoute(o)
}

func serviceHosts(o *conf.Object) []string {
	if o.Deleted() {
		return nil
	}
	v, err := conf.Decode(o)
	if err != nil {
		return nil
	}
	if s, ok := v.(*conf.Service); ok {
		return s.Hosts
	}
	return nil
}

// warnings is what the Admin API says about accepted or tried changes: what
// concerns the written objects alone, hints left out. It costs as much as they
// do, whatever else there is.
func (c *control) warnings(changes []admin.Change) []string {
	o := lintOptions(c.settings.Load(), c.plugins)
	var texts []string
	tell := func(found []lint.Finding) {
		for i := range found {
			if found[i].Severity > lint.Hint {
				texts = append(texts, found[i].Sentence())
			}
		}
	}
	for i := range changes {
		ch := &changes[i]
		if ch.After == nil {
			continue
		}
		object := conf.Object{Kind: ch.Kind, ID: ch.ID, Rev: ch.Rev, Value: ch.After}
		tell(lint.CheckObject(o, &object))
		if ch.Kind != conf.KindRoute {
			continue
		}
		// While the index is being made there is nothing to compare with.
		if route := decodeRoute(&object); route != nil && c.rivals.mu.TryLock() {
			tell(c.rivals.index.CheckRoute(route))
			c.rivals.mu.Unlock()
		}
	}
	return texts
}
