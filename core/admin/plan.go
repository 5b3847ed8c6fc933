package admin

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// pendingID stands for the id of a POST until the draft is about to be
// written: making one costs a write.
const pendingID = "<generated>"

// planWrite plans a PUT or POST. body is the decoded request body, or nil
// when there was none.
func (d *draft) planWrite(a address, method verb, body any, ttl time.Duration) (*edit, error) {
	value, id, err := d.identify(a, method, body)
	if err != nil {
		return nil, err
	}
	if name, ok := forbiddenTime(value); ok {
		// Two blanks, as APISIX has them.
		return nil, invalid("the property is forbidden:  %s", name)
	}
	warnings, err := d.api.check(a.res.kind, a.checkID(id), value)
	if err != nil {
		return nil, err
	}
	// A consumer's id is only known to be fit for a key after the check.
	id, err = d.settleID(a, id, value)
	if err != nil {
		return nil, err
	}
	e := &edit{res: a.res, id: a.objectID(id), after: value, ttl: ttl, warnings: warnings}
	if id != pendingID {
		if e.before, err = d.stored(a.res.kind, e.id); err != nil {
			return nil, err
		}
	}
	if !a.res.untimed {
		stamp(value, d.created(e), d.api.o.Now())
	}
	d.seal(e)
	return d.plan(e), nil
}

// identify applies the rules of a resource's id and writes it into the value.
func (d *draft) identify(a address, method verb, body any) (value map[string]any, id string, err error) {
	label := a.res.label
	if a.res.ids == idPlugin {
		if a.id == "" {
			return nil, "", invalid("missing plugin name")
		}
	}
	if a.res.ids == idManaged && a.parent == "" {
		return nil, "", invalid("missing secret type")
	}
	if a.res.ids == idManaged && !managers[a.parent] {
		return nil, "", invalid("invalid secret manager: %s", a.parent)
	}
	if body == nil {
		return nil, "", invalid("missing configurations")
	}
	value, ok := body.(map[string]any)
	if !ok {
		return nil, "", invalid("invalid configuration: wrong type: expected object, got %s", typeName(body))
	}
	if a.res.ids == idUsername {
		return value, a.id, nil
	}
	if a.res.ids == idPlugin {
		value["id"] = a.id
		return value, a.id, nil
	}
	given, hasGiven := value["id"]
	inBody, ok := scalar(given)
	if hasGiven && !ok {
		return nil, "", invalid("wrong %s id", label)
	}
	id = a.id
	if id == "" && hasGiven {
		id = inBody
		if a.res.ids == idManaged {
			id = id[min(len(a.parent)+1, len(id)):]
		}
	}
	if method == verbPost {
		if id != "" {
			return nil, "", invalid("wrong %s id, do not need it", label)
		}
		return value, pendingID, nil
	}
	if id == "" {
		return nil, "", invalid("missing %s id", label)
	}
	whole := id
	if a.res.ids == idManaged {
		whole = a.parent + "/" + id
	}
	if hasGiven && inBody != whole {
		return nil, "", invalid("wrong %s id", label)
	}
	if !hasGiven || a.id != "" {
		value["id"] = whole
	}
	return value, id, nil
}

// settleID returns the id proper of a checked value.
func (d *draft) settleID(a address, id string, value map[string]any) (string, error) {
	if a.res.ids == idUsername {
		username, ok := scalar(value["username"])
		if !ok {
			return "", invalid("invalid configuration: property \"username\" is required")
		}
		if id != "" && id != username {
			return "", invalid("wrong username")
		}
		id = username
	}
	if id != pendingID && !validName.MatchString(id) {
		return "", invalid("invalid configuration: property \"id\" validation failed: only letters, digits, '-', '_' and '.' are allowed")
	}
	if a.parent != "" && !validName.MatchString(a.parent) {
		return "", invalid("invalid configuration: %q is not a valid name", a.parent)
	}
	return id, nil
}

// planPatch plans a PATCH of the whole object or, with a sub-path, of one
// field of it.
func (d *draft) planPatch(a address, body any, hasBody bool, ttl time.Duration) (*edit, error) {
	label := a.res.label
	if a.id == "" {
		if a.res.ids == idManaged {
			return nil, invalid("no secret id")
		}
		return nil, invalid("missing %s id", label)
	}
	if !hasBody {
		return nil, invalid("missing new configuration")
	}
	change, isObject := body.(map[string]any)
	if len(a.sub) == 0 && !isObject {
		return nil, invalid("invalid configuration")
	}
	e := &edit{res: a.res, id: a.objectID(a.id), ttl: ttl}
	value, err := d.current(e)
	if err != nil {
		return nil, err
	}
	now := d.api.o.Now()
	if len(a.sub) > 0 {
		if f := setAt(value, a.sub, body); f != nil {
			return nil, f
		}
		delete(value, "update_time")
	} else {
		if _, given := change["update_time"]; !given {
			delete(value, "update_time")
		}
		merge(value, change)
	}
	if given, ok := scalar(value["id"]); a.res.ids != idPlugin && (!ok || given != d.storedID(a)) {
		return nil, invalid("wrong %s id", label)
	}
	if e.warnings, err = d.api.check(a.res.kind, e.id, value); err != nil {
		return nil, err
	}
	stamp(value, value["create_time"], now)
	e.after = value
	d.seal(e)
	return d.plan(e), nil
}

// storedID is what the value's id has to be.
func (d *draft) storedID(a address) string {
	if a.res.ids == idManaged {
		return a.parent + "/" + a.id
	}
	return a.id
}

// current fills in e.before and returns a private copy of the plain value, or
// the 404 of a missing object.
func (d *draft) current(e *edit) (map[string]any, error) {
	if earlier, ok := d.at[objectKey{e.res.kind, e.id}]; ok {
		e.before = earlier.before
		if earlier.after == nil {
			return nil, notFound()
		}
		return clone(earlier.after).(map[string]any), nil
	}
	before, err := d.stored(e.res.kind, e.id)
	if err != nil {
		return nil, err
	}
	if before == nil {
		return nil, notFound()
	}
	e.before = before
	value, err := decodeObject(before.Value)
	if err != nil {
		return nil, invalid("the stored %s [%s] cannot be patched, write it with PUT: %v", e.res.label, e.id, err)
	}
	d.api.o.Keyring.DecryptObject(e.res.kind, e.id, value)
	if _, ok := value["id"]; !ok && e.res.ids == idPlain {
		// Written past the API: the key's last part is the id.
		value["id"] = e.id
	}
	return value, nil
}

// planDelete plans a removal with all that lies below the object.
func (d *draft) planDelete(a address, force bool) (*edit, error) {
	if a.id == "" {
		return nil, invalid("missing %s id", a.res.label)
	}
	e := &edit{res: a.res, id: a.objectID(a.id), force: force}
	if _, err := d.current(e); err != nil {
		var f *failure
		if !errors.As(err, &f) || f.status == fasthttp.StatusNotFound {
			return nil, err
		}
		// Unreadable is no reason to keep it.
	}
	if a.res.kind == conf.KindConsumer {
		listing, err := d.api.o.Store.List(d.ctx, conf.KindCredential, store.CredentialPrefix(a.id))
		if err != nil {
			return nil, err
		}
		e.below = listing.Objects
	}
	return d.plan(e), nil
}

// seal computes the text to be stored from the plain value.
func (d *draft) seal(e *edit) {
	if d.api.o.Keyring == nil {
		e.stored = compact(e.after)
		return
	}
	sealed := clone(e.after).(map[string]any)
	d.api.o.Keyring.EncryptObject(e.res.kind, e.id, sealed)
	e.stored = compact(sealed)
}

// created returns the create_time that a rewritten object keeps.
func (d *draft) created(e *edit) any {
	if e.before == nil {
		return nil
	}
	old, err := decodeObject(e.before.Value)
	if err != nil {
		return nil
	}
	return old["create_time"]
}

// stamp sets the times. An update_time that is there was asked for.
func stamp(value map[string]any, created any, now time.Time) {
	seconds := json.Number(formatUnix(now))
	if created == nil {
		created = seconds
	}
	value["create_time"] = created
	if value["update_time"] == nil {
		value["update_time"] = seconds
	}
}

// forbiddenTime finds a time that only the gateway may set.
func forbiddenTime(value map[string]any) (string, bool) {
	names := [...]string{"create_time", "update_time"}
	for _, inner := range [...]string{"", "upstream", "plugins"} {
		object, prefix := value, ""
		if inner != "" {
			object, _ = value[inner].(map[string]any)
			prefix = inner + "."
		}
		for _, name := range names {
			if set := object[name]; set != nil && set != false {
				return prefix + name, true
			}
		}
	}
	return "", false
}

// parseTTL reads the ttl parameter: seconds, rounded up to whole ones.
func parseTTL(args *fasthttp.Args) (time.Duration, error) {
	if !args.Has("ttl") {
		return 0, nil
	}
	seconds, ok := luaNumber(args.Peek("ttl"))
	if !ok {
		return 0, invalid("invalid argument ttl: should be a number")
	}
	if seconds <= 0 || seconds > 10*365*24*3600 {
		return 0, invalid("invalid argument ttl: should be between 1 second and 10 years")
	}
	return time.Duration(math.Ceil(seconds)) * time.Second, nil
}
