package conf

// Kind names a resource collection. The zero value is no kind.
type Kind uint8

// The resource kinds, in the order in which a first load applies them: what
// others refer to comes before what refers to it.
const (
	KindNone Kind = iota
	KindSecret
	KindPluginMetadata
	KindProto
	KindSSL
	KindUpstream
	KindService
	KindPluginConfig
	KindConsumerGroup
	KindConsumer
	KindCredential
	KindGlobalRule
	KindRoute
	KindStreamRoute
	NumKinds
)

var kindNames = [NumKinds]struct{ dir, singular string }{
	KindSecret:         {"secrets", "secret"},
	KindPluginMetadata: {"plugin_metadata", "plugin_metadata"},
	KindProto:          {"protos", "proto"},
	KindSSL:            {"ssls", "ssl"},
	KindUpstream:       {"upstreams", "upstream"},
	KindService:        {"services", "service"},
	KindPluginConfig:   {"plugin_configs", "plugin_config"},
	KindConsumerGroup:  {"consumer_groups", "consumer_group"},
	KindConsumer:       {"consumers", "consumer"},
	KindCredential:     {"credentials", "credential"},
	KindGlobalRule:     {"global_rules", "global_rule"},
	KindRoute:          {"routes", "route"},
	KindStreamRoute:    {"stream_routes", "stream_route"},
}

// Dir is the collection's name in etcd and in Admin API paths ("routes").
// Credentials live below their consumer and have no directory of their own
// in etcd; Dir still answers "credentials".
func (k Kind) Dir() string { return kindNames[k].dir }

// String is the singular name used in messages and schemas ("route").
func (k Kind) String() string { return kindNames[k].singular }

// Object is one resource at one revision: the unit that travels from the
// store through validation to the data process. Objects are immutable once
// handed on; nobody writes into Value.
type Object struct {
	Kind Kind
	// ID is unique within Kind. A credential's is "<username>/credentials/<id>",
	// a secret's "<manager>/<id>", plugin metadata's the plugin's name.
	ID string
	// CreateRev and Rev are etcd's create and mod revision. A file provider
	// numbers its own.
	CreateRev, Rev int64
	// Value is the JSON text. Nil means that the object was deleted at Rev.
	Value []byte
}

// Deleted tells whether the object stands for a removal.
func (o *Object) Deleted() bool { return o.Value == nil }

// Batch is an ordered set of changes that is applied as one.
type Batch struct {
	// Full says that Objects is the whole configuration: what it does not
	// name is gone.
	Full bool
	// Rev is the store revision that holds after the batch.
	Rev     int64
	Objects []Object
}
