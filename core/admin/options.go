package admin

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sluicegw/sluice/core/atrest"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// Limits of the API. They are part of its documentation (docs/admin-api.md).
const (
	// BodyLimit is the largest request body, in bytes, except for PUT
	// /configs: 1.5 MiB as in APISIX.
	BodyLimit = 3 << 19
	// ConfigsBodyLimit is the largest body of PUT /configs and of POST
	// /configs/validate, in bytes: these carry a whole configuration.
	ConfigsBodyLimit = 64 << 20
	// MaxChanges is the largest number of operations in one change set.
	MaxChanges = 128
	// casAttempts bounds how often a PUT, POST, DELETE or change set that
	// lost a race is planned again. A PATCH is not repeated: its author saw a
	// state that is gone.
	casAttempts = 8
)

// Checker validates resources and knows the schemas. Conf is the real one.
type Checker interface {
	// Check validates the plain JSON of one object as a whole: schema,
	// plugins, certificates; no reference is followed. Warnings tell what is
	// accepted but will not do what it says. The error becomes an answer by
	// conf.AdminMessage.
	Check(kind conf.Kind, id string, value []byte) (warnings []string, err error)
	// CheckSchema validates against the resource's JSON Schema alone.
	CheckSchema(kind conf.Kind, value []byte) error
	// Schema returns the JSON Schema of a resource by its singular name.
	Schema(name string) (schema []byte, ok bool)
	// Plugin describes a plugin that is enabled in the subsystem.
	Plugin(subsystem Subsystem, name string) (Plugin, bool)
	// Plugins lists the enabled plugins of the subsystem, highest priority
	// first.
	Plugins(subsystem Subsystem) []Plugin
}

// Subsystem is the part of the gateway that a plugin runs in.
type Subsystem string

// The subsystems.
const (
	HTTP   Subsystem = "http"
	Stream Subsystem = "stream"
)

// Plugin is what the API tells about one plugin. Schemas are JSON texts, nil
// when the plugin has none of that sort.
type Plugin struct {
	Name     string
	Priority int
	Version  float64
	// Type is "auth" for plugins that hold credentials, else mostly empty.
	Type string
	// Scope is "global" for plugins that only work in global rules.
	Scope          string
	Schema         []byte
	ConsumerSchema []byte
	MetadataSchema []byte
}

// Key is one administrator.
type Key struct {
	// Name stands in the journal.
	Name string
	// Key is the secret a client sends.
	Key string
	// Role is "admin" (everything) or "viewer" (GET only).
	Role string
}

// Access says who may use the API. It may change while the API serves.
type Access struct {
	// Keys are the administrators. With KeyRequired and no key nobody gets in.
	Keys []Key
	// KeyRequired is deployment.admin.admin_key_required.
	KeyRequired bool
	// Allow lists the client networks that may talk to the API; empty means
	// everyone.
	Allow []netip.Prefix
	// CORS is deployment.admin.enable_admin_cors.
	CORS bool
}

// RoleViewer is the role that may only read.
const RoleViewer = "viewer"

// Change is one accepted write, as the journal and the lint hook see it.
type Change struct {
	// Time is when the store accepted it.
	Time time.Time
	// Admin is the name of the key used, Address the client's IP address.
	Admin, Address string
	// Action is "create", "update" or "delete".
	Action string
	Kind   conf.Kind
	// ID is the object's id as in conf.Object.
	ID string
	// Rev is the store revision of the change, 0 in a dry run.
	Rev int64
	// Before and After are the stored JSON texts (secrets encrypted), nil
	// where the object did not or does not exist.
	Before, After []byte
}

// Options configure the API. Store and Checker are required.
type Options struct {
	Store   store.KV
	Checker Checker
	// Prefix is the etcd prefix, shown in the keys of answers ("/apisix").
	Prefix string
	// Access decides who gets in; SetAccess changes it later.
	Access Access
	// StreamEnabled tells that apisix.proxy_mode includes stream.
	StreamEnabled bool
	// Keyring encrypts secret fields at rest; nil turns that off.
	Keyring *atrest.Keyring
	// Configs, when set, makes the API-driven standalone mode: /configs is
	// served from it and the resource paths answer 404.
	Configs Configs
	// Timeout bounds what one request does with the store (default 10 s).
	Timeout time.Duration
	// Journal, when set, is told of every accepted change, in the order of
	// revisions within one request, before the client is answered.
	Journal func([]Change)
	// Lint, when set, may warn of an accepted or a trial change; the texts
	// follow the Checker's warnings in the X-Sluice-Warnings header.
	Lint func([]Change) []string
	// Index, when set, spares reading whole collections for reference and
	// duplicate checks.
	Index Index
	// ReloadPlugins, when set, re-reads the plugin list.
	ReloadPlugins func(context.Context) error
	// Log receives one line per refused key and per store fault.
	Log *slog.Logger
	// Now is the clock (default time.Now).
	Now func() time.Time
}
