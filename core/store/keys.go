package store

import (
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

// KeyClass says what a key below the prefix stands for.
type KeyClass uint8

// The classes of keys.
const (
	// KeyUnknown is nothing that this version reads.
	KeyUnknown KeyClass = iota
	// KeyObject is a resource.
	KeyObject
	// KeyPlaceholder ends in a slash and keeps an empty collection alive.
	KeyPlaceholder
	// KeyPlugins is the plugin list that an admin node pushed.
	KeyPlugins
	// KeyGenID is the counter behind generated ids.
	KeyGenID
	// KeyDataPlane is what data planes report about themselves.
	KeyDataPlane
	// KeyCostDecoration is a GraphQL cost decoration below a service; this
	// version stores but does not use them.
	KeyCostDecoration
)

// Layout is the naming of keys below one prefix. Two gateways share an etcd
// when their prefixes differ.
type Layout struct {
	// prefix has a leading and no trailing slash.
	prefix string
}

const (
	pluginsKey      = "plugins"
	genIDKey        = "gen_id"
	dataPlaneDir    = "data_plane"
	decorationsPart = "/graphql_cost_decorations/"
	placeholderText = "init_dir"
)

// NewLayout returns the layout below prefix; "" stands for "/apisix". A
// missing leading slash is added and trailing ones are dropped, as APISIX's
// users write both.
func NewLayout(prefix string) Layout {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		prefix = "apisix"
	}
	return Layout{prefix: "/" + prefix}
}

// Prefix is the configured prefix, without a trailing slash.
func (l Layout) Prefix() string { return l.prefix }

// Root is the start of every key of this layout.
func (l Layout) Root() string { return l.prefix + "/" }

// Key is an object's key: "/apisix/routes/1".
func (l Layout) Key(kind conf.Kind, id string) string {
	return l.dir(kind) + id
}

// Dir is the start of the keys of a kind: "/apisix/routes/", which is the
// placeholder's key too. Credentials share the consumers' one.
func (l Layout) Dir(kind conf.Kind) string { return l.dir(kind) }

func (l Layout) dir(kind conf.Kind) string {
	if kind == conf.KindCredential {
		kind = conf.KindConsumer
	}
	return l.prefix + "/" + kind.Dir() + "/"
}

// Raw is the key of something that is no resource: "/apisix/plugins".
func (l Layout) Raw(name string) string { return l.prefix + "/" + name }

// Placeholders lists the keys that APISIX's init_etcd writes, so that its
// nodes on the same store start.
func (l Layout) Placeholders() []string {
	keys := make([]string, 0, int(conf.NumKinds)+1)
	for kind := conf.KindNone + 1; kind < conf.NumKinds; kind++ {
		if kind != conf.KindCredential {
			keys = append(keys, l.dir(kind))
		}
	}
	return append(keys, l.Raw(pluginsKey)+"/")
}

// children lists the ranges of keys that go when the object goes.
func (l Layout) children(kind conf.Kind, id string) []string {
	switch kind {
	case conf.KindConsumer:
		return []string{l.dir(kind) + id + credentialsPart}
	case conf.KindService:
		return []string{l.dir(kind) + id + decorationsPart}
	}
	return nil
}

var kindByDir = func() map[string]conf.Kind {
	m := make(map[string]conf.Kind, conf.NumKinds)
	for kind := conf.KindNone + 1; kind < conf.NumKinds; kind++ {
		if kind != conf.KindCredential {
			m[kind.Dir()] = kind
		}
	}
	return m
}()

// Parse tells what a key stands for; kind and id are set for KeyObject only.
func (l Layout) Parse(key string) (class KeyClass, kind conf.Kind, id string) {
	rest, ok := strings.CutPrefix(key, l.prefix+"/")
	if !ok || rest == "" {
		return KeyUnknown, conf.KindNone, ""
	}
	dir, id, deep := strings.Cut(rest, "/")
	if !deep {
		switch dir {
		case pluginsKey:
			return KeyPlugins, conf.KindNone, ""
		case genIDKey:
			return KeyGenID, conf.KindNone, ""
		}
		return KeyUnknown, conf.KindNone, ""
	}
	if dir == dataPlaneDir {
		return KeyDataPlane, conf.KindNone, ""
	}
	if strings.HasSuffix(rest, "/") {
		return KeyPlaceholder, conf.KindNone, ""
	}
	kind = kindByDir[dir]
	switch kind {
	case conf.KindNone:
		return KeyUnknown, conf.KindNone, ""
	case conf.KindConsumer:
		if !strings.Contains(id, "/") {
			return KeyObject, conf.KindConsumer, id
		}
		if isCredentialID(id) {
			return KeyObject, conf.KindCredential, id
		}
		return KeyUnknown, conf.KindNone, ""
	case conf.KindSecret:
		if manager, name, ok := strings.Cut(id, "/"); !ok || manager == "" || name == "" || strings.Contains(name, "/") {
			return KeyUnknown, conf.KindNone, ""
		}
		return KeyObject, kind, id
	case conf.KindService:
		if strings.Contains(id, decorationsPart) {
			return KeyCostDecoration, conf.KindNone, ""
		}
	}
	// A route's id with a slash in it is passed on: the check of the object
	// refuses it by name, which says more than silence here.
	return KeyObject, kind, id
}

// isCredentialID tells whether id reads "<username>/credentials/<id>".
func isCredentialID(id string) bool {
	user, cred, ok := strings.Cut(id, credentialsPart)
	return ok && user != "" && cred != "" && !strings.Contains(user, "/") && !strings.Contains(cred, "/")
}

// checkID refuses ids that would name another key than the caller means.
func checkID(kind conf.Kind, id string) bool {
	switch {
	case kind <= conf.KindNone || kind >= conf.NumKinds, id == "":
		return false
	case kind == conf.KindCredential:
		return isCredentialID(id)
	case kind == conf.KindSecret:
		manager, name, ok := strings.Cut(id, "/")
		return ok && manager != "" && name != "" && !strings.Contains(name, "/")
	}
	return !strings.Contains(id, "/")
}
