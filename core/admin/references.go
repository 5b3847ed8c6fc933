package admin

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

// Index finds objects by what they hold, so that a write into a large
// configuration does not read whole collections. What it names is looked at in
// the store before anything is refused; what it does not name counts as absent.
type Index interface {
	// Users lists the ids of objects of kind by that may refer to the object,
	// limit at most: one is enough to refuse. ok is false when the index is not as new as the store: the collection is
	// listed then.
	Users(ctx context.Context, kind conf.Kind, id string, by conf.Kind, limit int) (ids []string, ok bool)
	// Holders is the same for objects of kind by, consumers or credentials,
	// that may hold a key of an auth plugin.
	Holders(ctx context.Context, plugin, key string, by conf.Kind) (ids []string, ok bool)
}

// References is an index of who refers to whom and who holds which key. It is
// for one goroutine; values are plain, secrets opened.
type References struct {
	users map[userKey]map[string]struct{}
	out   map[objectKey][]userKey
}

// userKey is a target and the kind of those that refer to it. For keys of auth
// plugins the target's kind is none and its id plugin and key.
type userKey struct {
	target objectKey
	by     conf.Kind
}

// NewReferences makes an empty index.
func NewReferences() *References {
	return &References{users: map[userKey]map[string]struct{}{}, out: map[objectKey][]userKey{}}
}

// referrers lists, by kind, where references stand and to what.
var referrers = func() map[conf.Kind][]referrer {
	list := map[conf.Kind][]referrer{}
	for _, res := range resources {
		for _, users := range res.uses {
			for _, use := range users.paths {
				path := strings.Split(use.path, ".")
				list[users.kind] = append(list[users.kind], referrer{res.kind, path, []byte(`"` + path[len(path)-1] + `"`)})
			}
		}
	}
	return list
}()

type referrer struct {
	target conf.Kind
	path   []string
	mark   []byte // the value contains it when it refers at all
}

// Put enters an object in place of an earlier one; a deleted one is removed.
func (r *References) Put(o *conf.Object) {
	self := objectKey{o.Kind, o.ID}
	for _, key := range r.out[self] {
		delete(r.users[key], o.ID)
		if len(r.users[key]) == 0 {
			delete(r.users, key)
		}
	}
	delete(r.out, self)
	if o.Deleted() {
		return
	}
	var value map[string]any
	plain := func() map[string]any {
		if value == nil {
			value, _ = decodeObject(o.Value) // what cannot be read refers to nothing
		}
		return value
	}
	var keys []userKey
	for i := range referrers[o.Kind] {
		ref := &referrers[o.Kind][i]
		if !bytes.Contains(o.Value, ref.mark) {
			continue
		}
		for _, id := range collect(plain(), ref.path, nil) {
			keys = append(keys, userKey{objectKey{ref.target, id}, o.Kind})
		}
	}
	if o.Kind == conf.KindConsumer || o.Kind == conf.KindCredential {
		for plugin, field := range uniqueFields {
			if !bytes.Contains(o.Value, []byte(`"`+plugin+`"`)) {
				continue
			}
			for _, key := range collect(plain(), []string{"plugins", plugin, field}, nil) {
				keys = append(keys, userKey{holderTarget(plugin, key), o.Kind})
			}
		}
	}
	for _, key := range keys {
		if r.users[key] == nil {
			r.users[key] = map[string]struct{}{}
		}
		r.users[key][o.ID] = struct{}{}
	}
	if len(keys) > 0 {
		r.out[self] = keys
	}
}

func holderTarget(plugin, key string) objectKey {
	return objectKey{conf.KindNone, plugin + "\x00" + key}
}

// Users lists the objects of kind by that refer to an object, at most limit.
func (r *References) Users(kind conf.Kind, id string, by conf.Kind, limit int) []string {
	return r.list(userKey{objectKey{kind, id}, by}, limit)
}

// Holders lists the objects of kind by that hold a key.
func (r *References) Holders(plugin, key string, by conf.Kind) []string {
	return r.list(userKey{holderTarget(plugin, key), by}, -1)
}

func (r *References) list(key userKey, limit int) []string {
	var ids []string
	for id := range r.users[key] {
		if len(ids) == limit {
			break
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// collect appends the scalars at a path, as holds walks it.
func collect(value any, path, out []string) []string {
	if list, ok := value.([]any); ok {
		for _, element := range list {
			out = collect(element, path, out)
		}
		return out
	}
	if len(path) == 0 {
		if text, ok := scalar(value); ok {
			out = append(out, text)
		}
		return out
	}
	if object, ok := value.(map[string]any); ok {
		out = collect(object[path[0]], path[1:], out)
	}
	return out
}
