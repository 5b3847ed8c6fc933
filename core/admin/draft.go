package admin

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// draft is a set of planned writes over the store: reads see the planned
// state, so that the members of a change set may refer to each other in any
// order. Nothing is written before commit.
type draft struct {
	ctx context.Context
	api *API
	// edits are the planned writes in the order of the request; at finds the
	// one of an object.
	edits []*edit
	at    map[objectKey]*edit
	// guards are objects that must still exist when the draft is committed.
	guards map[objectKey]struct{}
}

type objectKey struct {
	kind conf.Kind
	id   string
}

// edit is the planned fate of one object.
type edit struct {
	res *resource
	id  string
	// before is the stored object, nil when there is none.
	before *conf.Object
	// after is the plain value, nil for a removal; stored is its text with
	// secrets encrypted.
	after  map[string]any
	stored []byte
	ttl    time.Duration
	// force skips the delete protection.
	force bool
	// warnings are what the check had to say of the value.
	warnings []string
	// below are objects that go with a deleted one; the store removes them
	// with it.
	below []conf.Object
}

func (e *edit) action() string {
	switch {
	case e.after == nil:
		return "delete"
	case e.before == nil:
		return "create"
	}
	return "update"
}

func (api *API) newDraft(ctx context.Context) *draft {
	return &draft{
		ctx: ctx, api: api,
		at:     make(map[objectKey]*edit),
		guards: make(map[objectKey]struct{}),
	}
}

// stored returns the object in the store, nil when there is none.
func (d *draft) stored(kind conf.Kind, id string) (*conf.Object, error) {
	if !fitID(kind, id) {
		return nil, nil
	}
	o, err := d.api.o.Store.Get(d.ctx, kind, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// value returns the plain value an object will have, nil when there will be
// none.
func (d *draft) value(kind conf.Kind, id string) (map[string]any, error) {
	if e, ok := d.at[objectKey{kind, id}]; ok {
		return e.after, nil
	}
	o, err := d.stored(kind, id)
	if o == nil || err != nil {
		return nil, err
	}
	value, err := decodeObject(o.Value)
	if err != nil {
		// It exists, whatever it holds.
		return map[string]any{}, nil
	}
	d.api.o.Keyring.DecryptObject(kind, id, value)
	return value, nil
}

// each visits every object of a kind as it will be. mark, when not empty, is
// a text that the value must contain to be of interest: it spares decoding
// the rest of a large collection.
func (d *draft) each(kind conf.Kind, mark string, visit func(id string, value map[string]any) error) error {
	listing, err := d.api.o.Store.List(d.ctx, kind, "")
	if err != nil {
		return err
	}
	text := []byte(mark)
	for i := range listing.Objects {
		o := &listing.Objects[i]
		if _, ok := d.at[objectKey{kind, o.ID}]; ok || !bytes.Contains(o.Value, text) || d.goesAlong(o) {
			continue
		}
		value, err := decodeObject(o.Value)
		if err != nil {
			continue
		}
		d.api.o.Keyring.DecryptObject(kind, o.ID, value)
		if err := visit(o.ID, value); err != nil {
			return err
		}
	}
	return d.planned(kind, visit)
}

// some visits the named objects of a kind, and all that the draft itself
// writes, as they will be.
func (d *draft) some(kind conf.Kind, ids []string, visit func(id string, value map[string]any) error) error {
	for _, id := range ids {
		if _, ok := d.at[objectKey{kind, id}]; ok || d.goesAlong(&conf.Object{Kind: kind, ID: id}) {
			continue
		}
		value, err := d.value(kind, id)
		if err != nil {
			return err
		}
		if value == nil {
			continue
		}
		if err := visit(id, value); err != nil {
			return err
		}
	}
	return d.planned(kind, visit)
}

// planned visits what the draft writes.
func (d *draft) planned(kind conf.Kind, visit func(id string, value map[string]any) error) error {
	for _, e := range d.edits {
		if e.res.kind == kind && e.after != nil {
			if err := visit(e.id, e.after); err != nil {
				return err
			}
		}
	}
	return nil
}

// goesAlong tells whether an object is removed with the one above it.
func (d *draft) goesAlong(o *conf.Object) bool {
	if o.Kind != conf.KindCredential {
		return false
	}
	username, _, _ := cutCredential(o.ID)
	consumer, ok := d.at[objectKey{conf.KindConsumer, username}]
	return ok && consumer.after == nil
}

// plan adds an edit, or folds it into the earlier one of the same object.
func (d *draft) plan(e *edit) *edit {
	key := objectKey{e.res.kind, e.id}
	if earlier, ok := d.at[key]; ok {
		earlier.after, earlier.stored, earlier.ttl = e.after, e.stored, e.ttl
		earlier.force, earlier.below, earlier.warnings = e.force, e.below, e.warnings
		return earlier
	}
	d.at[key] = e
	d.edits = append(d.edits, e)
	return e
}

// verify follows references, runs the resources' own checks and refuses to
// remove what is in use, all on the planned state. With an error it returns
// the edit at fault.
func (d *draft) verify() (*edit, error) {
	for _, e := range d.edits {
		if err := d.verifyEdit(e); err != nil {
			return e, err
		}
	}
	return nil, nil
}

func (d *draft) verifyEdit(e *edit) error {
	if e.after == nil {
		if e.force || e.before == nil {
			return nil
		}
		return d.protect(e)
	}
	for _, ref := range e.res.refs {
		if err := d.follow(e, ref); err != nil {
			return err
		}
	}
	for _, check := range e.res.checks {
		if err := check(d, e); err != nil {
			return err
		}
	}
	return nil
}

// commit writes the draft in one transaction, bound to the states it was
// planned on. store.ErrConflict says that it has to be planned again.
func (d *draft) commit() (store.TxnResult, error) {
	ops := make([]store.Op, 0, len(d.edits)+len(d.guards))
	for _, e := range d.edits {
		op := store.Op{Type: store.OpPut, Kind: e.res.kind, ID: e.id, Value: e.stored, TTL: e.ttl, Cond: store.IfAbsent}
		if e.after == nil {
			op.Type, op.Value = store.OpDelete, nil
		}
		if e.before != nil {
			op.Cond, op.Rev = store.IfRev, e.before.Rev
		}
		if e.after == nil && e.before == nil {
			// Made and removed within one change set: only hold the place.
			op.Type = store.OpCheck
		}
		ops = append(ops, op)
	}
	for key := range d.guards {
		if _, own := d.at[key]; !own && len(ops) < d.api.o.Store.MaxTxnOps() {
			ops = append(ops, store.Op{Type: store.OpCheck, Kind: key.kind, ID: key.id, Cond: store.IfPresent})
		}
	}
	return d.api.o.Store.Txn(d.ctx, ops)
}
