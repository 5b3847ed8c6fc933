package conf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sluicegw/sluice/core/conf/schema"
)

// Mode says where objects come from: it decides what an unknown plugin means.
type Mode uint8

const (
	// ModeAdmin is a write through the Admin API: unknown plugins are errors.
	ModeAdmin Mode = iota
	// ModeStore is data found in etcd: an unknown plugin is left out with a
	// warning, as other gateways on the same etcd may have it.
	ModeStore
	// ModeFile is a file provider: unknown plugins make the object invalid.
	ModeFile
)

// PluginSet tells which plugins run here.
type PluginSet interface {
	// Known tells whether an HTTP plugin of this name is implemented and
	// enabled by the configuration.
	Known(name string) bool
	// KnownStream is Known for plugins of TCP and UDP.
	KnownStream(name string) bool
	// Disabled tells whether the configuration's plugin list leaves the plugin
	// out: the operator's decision, not a gap of ours.
	Disabled(name string, stream bool) bool
	// Schemas returns the plugin's description where it is not the one of
	// Catalogue, else nil.
	Schemas(name string) *schema.Plugin
}

// Validator checks objects from any source. Its fields are set before first
// use; then it is safe for concurrent use.
type Validator struct {
	// Plugins is nil where every plugin of the catalogue counts as known.
	Plugins PluginSet
	// PluginCheck is a plugin's own check of its configuration after the schema
	// passed; conf is JSON with defaults. Optional.
	PluginCheck func(name string, conf []byte) error
	// ConsumerCheck is the same for what a plugin with a consumer schema holds
	// on consumers and credentials, MetadataCheck for its metadata. Optional.
	ConsumerCheck, MetadataCheck func(name string, conf []byte) error
	// ExprCheck checks an expression (fields vars and _meta.filter). Optional.
	ExprCheck func(expr []byte) error
	Mode      Mode
}

// Error is why an object is refused.
type Error struct {
	// Text says what is wrong, in APISIX's words where it has any.
	Text string
	// Schema tells that the resource's own schema was violated.
	Schema bool
}

// Error returns Text.
func (e *Error) Error() string { return e.Text }

// AdminMessage is the error_msg of the Admin API: schema violations carry a
// prefix, the checks beyond the schema do not.
func (e *Error) AdminMessage() string {
	if e.Schema {
		return "invalid configuration: " + e.Text
	}
	return e.Text
}

// AdminMessage is Error.AdminMessage for any error that Check returns.
func AdminMessage(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.AdminMessage()
	}
	return err.Error()
}

func refuse(format string, args ...any) error { return &Error{Text: fmt.Sprintf(format, args...)} }

// Check decides whether an object may be served. filled is its JSON with
// defaults and the id of the key; warnings name what is accepted but will not
// do what it says. err is an *Error. value is not kept or changed.
func (v *Validator) Check(kind Kind, id string, value []byte) (filled []byte, warnings []string, err error) {
	var doc any
	if err := json.Unmarshal(value, &doc); err != nil {
		return nil, nil, refuse("the value is not JSON: %s", err)
	}
	c := check{v: v, kind: kind, id: id}
	m, err := c.run(doc)
	if err != nil {
		return nil, c.warnings, err
	}
	filled = appendJSON(make([]byte, 0, len(value)+len(value)/2), m)
	// Fast path: what passed also decodes, but for integers beyond 53 bits,
	// which are written with an exponent (as some strings are).
	if !bytes.Contains(filled, []byte("e+")) {
		return filled, c.warnings, nil
	}
	if _, err := Decode(&Object{Kind: kind, ID: id, Value: filled}); err != nil {
		return nil, c.warnings, refuse("%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("%s %q: ", kind, id)))
	}
	return filled, c.warnings, nil
}

// CheckSchema checks value against the schema of a kind only, no plugin and no
// rule beyond it. It is what POST /schema/validate does.
func (v *Validator) CheckSchema(kind Kind, id string, value []byte) error {
	var doc any
	if err := json.Unmarshal(value, &doc); err != nil {
		return refuse("the value is not JSON: %s", err)
	}
	if m, ok := doc.(map[string]any); ok && kind == KindSecret {
		if id == "" {
			id, _ = m["id"].(string) // "vault/1": the id tells the schema.
		}
		delete(m, "id")
	}
	_, err := applySchema(kind, id, doc)
	return err
}

// check is one run of Check.
type check struct {
	v        *Validator
	kind     Kind
	id       string
	warnings []string
}

func (c *check) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func (c *check) run(doc any) (map[string]any, error) {
	if m, ok := doc.(map[string]any); ok {
		if err := c.refuseLua(m); err != nil {
			return nil, err
		}
		c.setID(m)
	}
	if c.kind == KindPluginMetadata {
		return c.metadata(doc)
	}
	m, err := applySchema(c.kind, c.id, doc)
	if err != nil {
		return nil, err
	}
	return m, c.beyondSchema(m)
}

// setID writes the id of the key into the value: the key wins.
func (c *check) setID(m map[string]any) {
	id := c.id
	switch c.kind {
	case KindCredential:
		if i := strings.LastIndex(id, "/credentials/"); i >= 0 {
			id = id[i+len("/credentials/"):]
		}
	case KindSecret:
		// The schemas of secrets say nothing about "manager/id", which APISIX
		// stores: the id is no part of the settings.
		delete(m, "id")
		return
	case KindConsumer:
		return // Known by its username; id is free.
	}
	if id != "" {
		m["id"] = id
	}
}

func applySchema(kind Kind, id string, doc any) (map[string]any, error) {
	r := Catalogue().Resource(schemaName(kind, id))
	if r == nil {
		manager, _, _ := strings.Cut(id, "/")
		return nil, refuse("invalid secret manager: %s", manager)
	}
	s, err := r.Schema()
	if err != nil {
		return nil, refuse("schema of %s: %s", kind, err)
	}
	out, err := s.Apply(doc)
	if err != nil {
		return nil, &Error{Text: err.Error(), Schema: true}
	}
	return out.(map[string]any), nil
}

// beyondSchema holds the rules between fields and those about plugins.
func (c *check) beyondSchema(m map[string]any) error {
	switch c.kind {
	case KindRoute:
		if err := c.route(m); err != nil {
			return err
		}
	case KindStreamRoute:
		c.warn("stream routes are stored and checked, but TCP and UDP are not proxied yet")
		for _, field := range []string{"remote_addr", "server_addr"} {
			if err := checkAddress(field, m[field]); err != nil {
				return err
			}
		}
	case KindUpstream:
		return c.upstream(m)
	case KindSSL:
		return c.ssl(m)
	case KindConsumer:
		if name, _ := m["username"].(string); c.id != "" && name != c.id {
			return refuse("wrong username")
		}
	}
	if u, ok := m["upstream"].(map[string]any); ok {
		if err := c.upstream(u); err != nil {
			return err
		}
	}
	if plugins, ok := m["plugins"].(map[string]any); ok {
		return c.plugins(plugins)
	}
	return nil
}
