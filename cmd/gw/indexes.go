package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/admin"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/lint"
	"github.com/sluicegw/sluice/core/proc"
)

// indexes are made of the configuration for the Admin API: which routes compete
// with each other, for warnings about a written one; who refers to whom, so
// that a check reads no whole collections.
type indexes struct {
	mu       sync.Mutex
	follower *proc.Follower
	rivals   *lint.Index
	refs     *admin.References
	loaded   bool
}

// followIndexes makes the indexes in the background: with many objects that
// takes a moment, and nobody waits for it.
func (c *control) followIndexes(s *conf.Settings) {
	x := &c.indexes
	x.follower = c.table.Follow()
	x.rivals = lint.NewIndex(lintOptions(s, c.plugins), c.route)
	x.refs = admin.NewReferences()
	c.work.Go(func() {
		defer x.follower.Close()
		for {
			select {
			case <-c.ctx.Done():
				return
			case <-x.follower.Wake():
				x.mu.Lock()
				x.catchUp()
				x.mu.Unlock()
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

// catchUp takes what changed into the indexes.
func (x *indexes) catchUp() {
	b, ok := x.follower.Changes()
	if !ok {
		return
	}
	x.loaded = true
	for i := range b.Objects {
		o := &b.Objects[i]
		x.refs.Put(o)
		switch o.Kind {
		case conf.KindService:
			x.rivals.PutService(o.ID, serviceHosts(o))
		case conf.KindRoute:
			if route := existingRoute(o); route != nil {
				x.rivals.Put(route)
			} else {
				x.rivals.Delete(o.ID)
			}
		}
	}
}

func existingRoute(o *conf.Object) *conf.Route {
	if o.Deleted() {
		return nil
	}
	return decodeRoute(o)
}

const (
	// indexPatience is how long a check may wait for the watch before it reads
	// the collection itself.
	indexPatience = 100 * time.Millisecond
	// maxRefused is how many objects may be refused, which no index holds,
	// before a check reads the collection.
	maxRefused = 1000
)

// Users implements admin.Index.
func (c *control) Users(ctx context.Context, kind conf.Kind, id string, by conf.Kind, limit int) ([]string, bool) {
	return c.look(ctx, by, func(r *admin.References) []string { return r.Users(kind, id, by, limit) })
}

// Holders implements admin.Index.
func (c *control) Holders(ctx context.Context, plugin, key string, by conf.Kind) ([]string, bool) {
	return c.look(ctx, by, func(r *admin.References) []string { return r.Holders(plugin, key, by) })
}

// look asks the index once it is as new as the store. Refused objects, which
// are not in it in their newest version, are named in any case.
func (c *control) look(ctx context.Context, by conf.Kind, ask func(*admin.References) []string) ([]string, bool) {
	src := c.src.Load()
	if src == nil || src.etcd == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, indexPatience)
	defer cancel()
	if !src.etcd.CatchUp(ctx) || c.keep.serving.Load() {
		return nil, false
	}
	refused := c.feed.Refused(by)
	x := &c.indexes
	if len(refused) > maxRefused || !x.mu.TryLock() {
		return nil, false
	}
	defer x.mu.Unlock()
	x.catchUp()
	if !x.loaded {
		return nil, false
	}
	ids := ask(x.refs)
	for _, id := range refused {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, true
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
		if route := decodeRoute(&object); route != nil && c.indexes.mu.TryLock() {
			tell(c.indexes.rivals.CheckRoute(route))
			c.indexes.mu.Unlock()
		}
	}
	return texts
}
