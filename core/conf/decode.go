package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Decode turns a checked object into its typed form: *Route, *Service,
// *Upstream, *Consumer, *Credential, *ConsumerGroup, *PluginConfig,
// *GlobalRule, *PluginMetadata, *Proto, *SSL, *StreamRoute or *Secret. The id
// in the object's key wins over one in the value. The result shares memory
// with o.Value.
func Decode(o *Object) (any, error) {
	if o.Deleted() {
		return nil, fmt.Errorf("%s %q is deleted: there is nothing to decode", o.Kind, o.ID)
	}
	value, meta := newTyped(o)
	if value == nil {
		return nil, fmt.Errorf("object %q is of no known kind", o.ID)
	}
	if meta == nil {
		return value, nil
	}
	if err := json.Unmarshal(o.Value, value); err != nil {
		return nil, fmt.Errorf("%s %q: %w", o.Kind, o.ID, err)
	}
	meta.ID = ID(o.ID)
	if o.Kind == KindCredential {
		_, id, _ := strings.Cut(o.ID, "/credentials/")
		meta.ID = ID(id)
	}
	return value, nil
}

// newTyped returns an empty value of the kind's type and where its common
// fields are; those that are kept as JSON text come complete, without.
func newTyped(o *Object) (any, *Meta) {
	switch o.Kind {
	case KindRoute:
		v := new(Route)
		return v, &v.Meta
	case KindService:
		v := new(Service)
		return v, &v.Meta
	case KindUpstream:
		v := new(Upstream)
		return v, &v.Meta
	case KindConsumer:
		v := new(Consumer)
		return v, &v.Meta
	case KindCredential:
		v := new(Credential)
		return v, &v.Meta
	case KindConsumerGroup:
		v := new(ConsumerGroup)
		return v, &v.Meta
	case KindPluginConfig:
		v := new(PluginConfig)
		return v, &v.Meta
	case KindGlobalRule:
		v := new(GlobalRule)
		return v, &v.Meta
	case KindProto:
		v := new(Proto)
		return v, &v.Meta
	case KindSSL:
		v := new(SSL)
		return v, &v.Meta
	case KindStreamRoute:
		v := new(StreamRoute)
		return v, &v.Meta
	case KindPluginMetadata:
		return &PluginMetadata{Conf: o.Value}, nil
	case KindSecret:
		manager, _, _ := strings.Cut(o.ID, "/")
		return &Secret{Manager: manager, Conf: o.Value}, nil
	}
	return nil, nil
}

// PluginMeta is the part of a plugin's configuration that the gateway itself
// acts on (field _meta).
type PluginMeta struct {
	// Disable keeps the plugin from running; its configuration is not checked.
	Disable bool `json:"disable,omitempty"`
	// Priority replaces the plugin's own where it is not nil.
	Priority *int `json:"priority,omitempty"`
	// ErrorResponse replaces the body of answers >= 400: a JSON string or
	// object, nil when not set.
	ErrorResponse json.RawMessage `json:"error_response,omitempty"`
	// Filter is an expression (JSON array); false means the plugin is skipped.
	Filter json.RawMessage `json:"filter,omitempty"`
}

// ParsePluginMeta reads _meta of one plugin's configuration; without one the
// zero value.
func ParsePluginMeta(conf []byte) (PluginMeta, error) {
	var v struct {
		Meta PluginMeta `json:"_meta"`
	}
	if !bytes.Contains(conf, []byte(`"_meta"`)) {
		return v.Meta, nil // Fast path: most instances have none.
	}
	err := json.Unmarshal(conf, &v)
	return v.Meta, err
}
