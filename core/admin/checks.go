package admin

import (
	"sort"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
)

// follow checks that what a field names exists, and holds it until commit.
func (d *draft) follow(e *edit, ref reference) error {
	id, ok := field(e.after, ref.path)
	if !ok {
		return nil
	}
	value, err := d.value(ref.kind, id)
	if err != nil {
		return err
	}
	if value == nil {
		return invalid("failed to fetch %[1]s info by %[1]s id [%[2]s], response code: 404", ref.label, id)
	}
	d.guards[objectKey{ref.kind, id}] = struct{}{}
	return nil
}

// checkClientCert refuses server certificates where a client's is needed.
func checkClientCert(d *draft, e *edit) error {
	for _, path := range []string{certRef.path, innerCertRef.path} {
		id, ok := field(e.after, path)
		if !ok {
			continue
		}
		ssl, err := d.value(conf.KindSSL, id)
		if err != nil {
			return err
		}
		if ssl != nil && ssl["type"] != "client" {
			return invalid("failed to fetch ssl info by ssl id [%s], wrong ssl type", id)
		}
	}
	return nil
}

// checkSuperior checks the route that a stream route is subordinate to.
func checkSuperior(d *draft, e *edit) error {
	id, ok := field(e.after, "protocol.superior_id")
	if !ok {
		return nil
	}
	if id == e.id {
		return invalid("stream route can not set itself as superior_id")
	}
	superior, err := d.value(conf.KindStreamRoute, id)
	if err != nil {
		return err
	}
	if superior == nil {
		return invalid("failed to fetch stream routes[%s], response code: 404", id)
	}
	d.guards[objectKey{conf.KindStreamRoute, id}] = struct{}{}
	own, _ := field(e.after, "protocol.name")
	other, ok := field(superior, "protocol.name")
	if ok && own != other {
		return invalid("protocol mismatch: subordinate protocol [%s] does not match superior protocol [%s]", own, other)
	}
	return nil
}

// checkOneRulePerPlugin refuses a plugin that another global rule has: both
// would be dropped from execution.
func checkOneRulePerPlugin(d *draft, e *edit) error {
	own, _ := e.after["plugins"].(map[string]any)
	if len(own) == 0 {
		return nil
	}
	return d.each(conf.KindGlobalRule, "", func(id string, value map[string]any) error {
		if id == e.id {
			return nil
		}
		plugins, _ := value["plugins"].(map[string]any)
		for _, name := range sortedNames(own) {
			if _, ok := plugins[name]; ok {
				return invalid("plugin '%s' already exists in global rule with id '%s'", name, id)
			}
		}
		return nil
	})
}

// checkParentConsumer wants a credential's consumer to exist.
func checkParentConsumer(d *draft, e *edit) error {
	username, _, _ := strings.Cut(e.id, "/")
	consumer, err := d.value(conf.KindConsumer, username)
	if err != nil {
		return err
	}
	if consumer == nil {
		return refuse(fasthttp.StatusNotFound, "consumer not found")
	}
	d.guards[objectKey{conf.KindConsumer, username}] = struct{}{}
	return nil
}

// uniqueFields are the fields by which a request's credential is looked up:
// two consumers with one value could not be told apart.
var uniqueFields = map[string]string{
	"key-auth":   "key",
	"basic-auth": "username",
	"jwt-auth":   "key",
	"hmac-auth":  "key_id",
	"ldap-auth":  "user_dn",
}

// checkDuplicateKey refuses a consumer or credential whose key someone else
// has. It is best effort: two writers at the same moment are not seen.
func checkDuplicateKey(d *draft, e *edit) error {
	plugins, _ := e.after["plugins"].(map[string]any)
	username, _, _ := strings.Cut(e.id, "/")
	for _, name := range sortedNames(plugins) {
		unique, ok := uniqueFields[name]
		if !ok {
			continue
		}
		cfg, _ := plugins[name].(map[string]any)
		key, ok := scalar(cfg[unique])
		if !ok || isReference(key) {
			continue
		}
		visit := func(id string, value map[string]any) error {
			owner, _, nested := strings.Cut(id, "/")
			same := id == e.id || e.res.kind == conf.KindConsumer && owner == username && nested
			if !same && holds(value, []string{"plugins", name, unique}, key) {
				return invalid("duplicate key found with consumer: %s", owner)
			}
			return nil
		}
		for _, kind := range []conf.Kind{conf.KindConsumer, conf.KindCredential} {
			if err := d.holders(kind, name, key, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// isReference tells secrets that are only named here.
func isReference(text string) bool {
	lower := strings.ToLower(text)
	return strings.HasPrefix(lower, "$env://") || strings.HasPrefix(lower, "$secret://")
}

// protect refuses to delete what another object uses.
func (d *draft) protect(e *edit) error {
	for _, users := range e.res.uses {
		err := d.users(e, users.kind, func(id string, value map[string]any) error {
			for _, use := range users.paths {
				if holds(value, strings.Split(use.path, "."), e.id) {
					return invalid(use.message, id)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// users visits the objects of a kind that may refer to the one of an edit.
func (d *draft) users(e *edit, by conf.Kind, visit func(id string, value map[string]any) error) error {
	if x := d.api.o.Index; x != nil {
		// Those that the draft itself changes do not count.
		if ids, ok := x.Users(d.ctx, e.res.kind, e.id, by, len(d.edits)+1); ok {
			return d.some(by, ids, visit)
		}
	}
	return d.each(by, e.id, visit)
}

// holders visits the objects of a kind that may hold a key of an auth plugin.
func (d *draft) holders(by conf.Kind, plugin, key string, visit func(id string, value map[string]any) error) error {
	if x := d.api.o.Index; x != nil {
		if ids, ok := x.Holders(d.ctx, plugin, key, by); ok {
			return d.some(by, ids, visit)
		}
	}
	return d.each(by, plugin, visit)
}

func sortedNames(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// explainStore turns a fault of the store into the answer to the client.
func explainStore(err error) *failure {
	return refuse(fasthttp.StatusServiceUnavailable, "%s", err)
}
