package admin

import (
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/store"
)

// node is one object in an answer.
type node struct {
	Key           string `json:"key"`
	Value         any    `json:"value"`
	CreatedIndex  int64  `json:"createdIndex,omitempty"`
	ModifiedIndex int64  `json:"modifiedIndex,omitempty"`
}

// show returns a stored value as clients see it: plugin secrets opened, what
// is hidden left out.
func (api *API) show(res *resource, id string, stored []byte) (map[string]any, error) {
	value, err := decodeObject(stored)
	if err != nil {
		return nil, err
	}
	api.o.Keyring.DecryptPlugins(res.kind, id, value)
	for _, name := range res.hidden {
		delete(value, name)
	}
	return value, nil
}

// get answers one object or a list.
func (c *call) get(a address) error {
	if a.id == "" {
		return c.list(a)
	}
	id := a.objectID(a.id)
	if !fitID(a.res.kind, id) {
		return notFound()
	}
	o, err := c.api.o.Store.Get(c.ctx, a.res.kind, id)
	if errors.Is(err, store.ErrNotFound) {
		return notFound()
	}
	if err != nil {
		return err
	}
	value, err := c.api.show(a.res, id, o.Value)
	if err != nil {
		return refuse(fasthttp.StatusServiceUnavailable,
			"the stored value of %s is unusable, write it again: %v", c.api.keyOf(a.res.kind, id), err)
	}
	return c.answer(fasthttp.StatusOK, node{c.api.keyOf(a.res.kind, id), value, o.CreateRev, o.Rev})
}

// list answers a collection, filtered and paged.
func (c *call) list(a address) error {
	args := c.http.QueryArgs()
	p, failed := parsePage(args)
	if failed != nil {
		return failed
	}
	f, ignored := parseFilter(args, a.res.filters)
	if len(ignored) > 0 {
		c.api.o.Log.Warn("list filter has fields that the resource does not offer", "resource", a.res.dir, "fields", ignored)
	}
	listing, err := c.api.o.Store.List(c.ctx, a.res.kind, a.listPrefix())
	if err != nil {
		return err
	}
	if a.res.ids == idNested && len(listing.Objects) == 0 {
		// Nested collections have no placeholder in etcd, so APISIX does not
		// find them while they are empty.
		return notFound()
	}
	objects := listing.Objects
	if f.active() {
		objects = objects[:0:0]
		for _, o := range listing.Objects {
			if value, err := decodeObject(o.Value); err == nil && f.matches(value) {
				objects = append(objects, o)
			}
		}
	}
	total := len(objects)
	from, to := p.slice(total)
	nodes := make([]node, 0, to-from)
	for _, o := range objects[from:to] {
		value, err := c.api.show(a.res, o.ID, o.Value)
		if err != nil {
			c.api.o.Log.Warn("object left out of a list: its stored value is unusable",
				"key", c.api.keyOf(o.Kind, o.ID), "error", err)
			total--
			continue
		}
		nodes = append(nodes, node{c.api.keyOf(o.Kind, o.ID), value, o.CreateRev, o.Rev})
	}
	return c.answer(fasthttp.StatusOK, struct {
		Total int    `json:"total"`
		List  []node `json:"list"`
	}{total, nodes})
}
