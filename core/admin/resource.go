package admin

import (
	"regexp"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// idRule says where a resource's id lies and what it may be.
type idRule uint8

const (
	// idPlain: in the path or the body, also stored in the value.
	idPlain idRule = iota
	// idUsername: the value's username is the id, nothing else is stored.
	idUsername
	// idPlugin: the path names a plugin; stored as id.
	idPlugin
	// idManaged: "<manager>/<id>", all of it stored.
	idManaged
	// idNested: below a parent object; the last part is stored.
	idNested
)

// verb is one thing to do with a resource.
type verb uint8

const (
	verbGet verb = 1 << iota
	verbPut
	verbPost
	verbPatch
	verbDelete
)

var verbs = map[string]verb{
	"GET": verbGet, "PUT": verbPut, "POST": verbPost, "PATCH": verbPatch, "DELETE": verbDelete,
}

// resource declares one kind: all that tells it from the others.
type resource struct {
	kind conf.Kind
	// dir is the path segment ("routes"), label the word in messages, schema
	// the name of its JSON Schema.
	dir, label, schema string
	ids                idRule
	// refused are the verbs answered 405.
	refused verb
	// untimed resources get no create_time and update_time.
	untimed bool
	// filters are the fields that the list parameter filter may name.
	filters []string
	// refs are followed when the resource is written.
	refs []reference
	// uses are looked for when it is deleted.
	uses []userKind
	// checks run after refs when it is written.
	checks []func(*draft, *edit) error
	// hidden fields are left out of every answer.
	hidden []string
}

// reference is a field that names another object, which must exist.
type reference struct {
	// path is dotted, through objects only.
	path string
	kind conf.Kind
	// label names the other kind in the message.
	label string
}

// userKind tells how objects of a kind may use the resource.
type userKind struct {
	kind  conf.Kind
	paths []use
}

// use is one way of using an object, with the message that refuses to delete
// it; %s is the user's id.
type use struct {
	path    string
	message string
}

var (
	upstreamRef     = reference{"upstream_id", conf.KindUpstream, "upstream"}
	serviceRef      = reference{"service_id", conf.KindService, "service"}
	pluginConfigRef = reference{"plugin_config_id", conf.KindPluginConfig, "plugin config"}
	groupRef        = reference{"group_id", conf.KindConsumerGroup, "consumer group"}
	certRef         = reference{"tls.client_cert_id", conf.KindSSL, "ssl"}
	innerCertRef    = reference{"upstream.tls.client_cert_id", conf.KindSSL, "ssl"}
)

const (
	splitPath = "plugins.traffic-split.rules.weighted_upstreams.upstream_id"
	protoPath = "plugins.grpc-transcode.proto_id"
)

// splitUse finds an upstream in a traffic-split rule of a kind of objects.
func splitUse(label string) use {
	return use{splitPath, "can not delete this upstream, plugin in " + label + " [%s] is still using it now"}
}

// resources are the declarations, by path segment.
var resources = byDir(
	&resource{
		kind: conf.KindRoute, dir: "routes", label: "route", schema: "route",
		filters: []string{"service_id", "upstream_id"},
		refs:    []reference{innerCertRef, upstreamRef, serviceRef, pluginConfigRef},
		checks:  []func(*draft, *edit) error{checkClientCert},
	},
	&resource{
		kind: conf.KindService, dir: "services", label: "service", schema: "service",
		refs:   []reference{innerCertRef, upstreamRef},
		checks: []func(*draft, *edit) error{checkClientCert},
		uses: []userKind{
			{conf.KindRoute, []use{{"service_id", "can not delete this service directly, route [%s] is still using it now"}}},
			{conf.KindStreamRoute, []use{{"service_id", "can not delete this service directly, stream_route [%s] is still using it now"}}},
		},
	},
	&resource{
		kind: conf.KindUpstream, dir: "upstreams", label: "upstream", schema: "upstream",
		refs:   []reference{certRef},
		checks: []func(*draft, *edit) error{checkClientCert},
		uses: []userKind{
			{conf.KindRoute, []use{splitUse("route"), {"upstream_id", "can not delete this upstream, route [%s] is still using it now"}}},
			{conf.KindService, []use{splitUse("service"), {"upstream_id", "can not delete this upstream, service [%s] is still using it now"}}},
			{conf.KindPluginConfig, []use{splitUse("plugin_config")}},
			{conf.KindConsumer, []use{splitUse("consumer")}},
			{conf.KindConsumerGroup, []use{splitUse("consumer_group")}},
			{conf.KindGlobalRule, []use{splitUse("global_rules")}},
		},
	},
	&resource{
		kind: conf.KindConsumer, dir: "consumers", label: "consumer", schema: "consumer",
		ids: idUsername, refused: verbPost | verbPatch,
		refs:   []reference{groupRef},
		checks: []func(*draft, *edit) error{checkDuplicateKey},
	},
	&resource{
		kind: conf.KindCredential, dir: "credentials", label: "credential", schema: "credential",
		ids: idNested, refused: verbPost | verbPatch,
		checks: []func(*draft, *edit) error{checkDuplicateKey, checkParentConsumer},
	},
	&resource{
		kind: conf.KindSSL, dir: "ssls", label: "ssl", schema: "ssl",
		hidden: []string{"key", "keys"},
	},
	&resource{
		kind: conf.KindGlobalRule, dir: "global_rules", label: "global rule", schema: "global_rule",
		refused: verbPost,
		checks:  []func(*draft, *edit) error{checkOneRulePerPlugin},
	},
	&resource{
		kind: conf.KindPluginConfig, dir: "plugin_configs", label: "plugin config", schema: "plugin_config",
		refused: verbPost,
		uses: []userKind{
			{conf.KindRoute, []use{{"plugin_config_id", "can not delete this plugin config, route [%s] is still using it now"}}},
		},
	},
	&resource{
		kind: conf.KindConsumerGroup, dir: "consumer_groups", label: "consumer group", schema: "consumer_group",
		refused: verbPost,
		uses: []userKind{
			{conf.KindConsumer, []use{{"group_id", "can not delete this consumer group, consumer [%s] is still using it now"}}},
		},
	},
	&resource{
		kind: conf.KindPluginMetadata, dir: "plugin_metadata", label: "plugin_metadata", schema: "plugin_metadata",
		ids: idPlugin, refused: verbPost | verbPatch, untimed: true,
	},
	&resource{
		kind: conf.KindProto, dir: "protos", label: "proto", schema: "proto",
		refused: verbPatch,
		uses: []userKind{
			{conf.KindRoute, []use{{protoPath, "can not delete this proto, route [%s] is still using it now"}}},
			{conf.KindService, []use{{protoPath, "can not delete this proto, service [%s] is still using it now"}}},
		},
	},
	&resource{
		kind: conf.KindStreamRoute, dir: "stream_routes", label: "stream route", schema: "stream_route",
		refused: verbPatch,
		filters: []string{"service_id", "upstream_id"},
		refs:    []reference{innerCertRef, upstreamRef, serviceRef},
		checks:  []func(*draft, *edit) error{checkClientCert, checkSuperior},
		uses: []userKind{
			{conf.KindStreamRoute, []use{{"protocol.superior_id", "can not delete this stream route directly, stream route [%s] is still using it as superior_id"}}},
		},
	},
	&resource{
		kind: conf.KindSecret, dir: "secrets", label: "secret", schema: "secret",
		ids: idManaged, refused: verbPost,
	},
)

func byDir(list ...*resource) map[string]*resource {
	m := make(map[string]*resource, len(list))
	for _, r := range list {
		m[r.dir] = r
	}
	return m
}

// managers are the secret managers a path may name.
var managers = map[string]bool{"vault": true, "aws": true, "gcp": true}

// validName is what may become part of a key in the store. The schemas say
// the same; this guards the key space even where a schema is silent.
var validName = regexp.MustCompile(`^[a-zA-Z0-9_.\-]{1,256}$`)

// fitID tells whether an object may exist under the id at all.
func fitID(kind conf.Kind, id string) bool {
	switch kind {
	case conf.KindSecret:
		manager, last, ok := strings.Cut(id, "/")
		return ok && validName.MatchString(manager) && validName.MatchString(last)
	case conf.KindCredential:
		username, last, nested := cutCredential(id)
		return nested && validName.MatchString(username) && validName.MatchString(last)
	}
	return validName.MatchString(id)
}

// address is a resource path taken apart.
type address struct {
	res *resource
	// parent is the consumer of a credential or the manager of a secret.
	parent string
	// id is the last part of the object's id, empty when the path ends
	// before it.
	id string
	// sub is what follows the id.
	sub []string
}

// parseAddress reads the path segments after /apisix/admin.
func parseAddress(segments []string) (address, bool) {
	if len(segments) >= 3 && segments[0] == "consumers" && segments[2] == "credentials" {
		a := address{res: resources["credentials"], parent: segments[1]}
		a.take(segments[3:])
		return a, true
	}
	res, ok := resources[segments[0]]
	if !ok || res.ids == idNested {
		return address{}, false
	}
	a := address{res: res}
	rest := segments[1:]
	if res.ids == idManaged && len(rest) > 0 {
		a.parent, rest = rest[0], rest[1:]
	}
	a.take(rest)
	return a, true
}

func (a *address) take(rest []string) {
	if len(rest) > 0 {
		a.id, a.sub = rest[0], rest[1:]
	}
}

// objectID composes the id as in conf.Object from its last part.
func (a *address) objectID(id string) string {
	switch a.res.ids {
	case idManaged:
		return a.parent + "/" + id
	case idNested:
		return store.CredentialID(a.parent, id)
	}
	return id
}

// checkID is the object id to check a value under; a POST has none yet.
func (a *address) checkID(id string) string {
	if id == pendingID {
		return ""
	}
	return a.objectID(id)
}

// listPrefix is what the ids of the listed objects start with.
func (a *address) listPrefix() string {
	switch {
	case a.res.ids == idManaged && a.parent != "":
		return a.parent + "/"
	case a.res.ids == idNested:
		return store.CredentialPrefix(a.parent)
	}
	return ""
}
