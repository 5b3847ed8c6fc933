package schema

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

// The schemas of APISIX 3.18, as its control API exports them. {"$embed":
// "upstream"} stands for the schema of that resource; the field _meta, which is
// the same in every plugin, is put in when a plugin's schema is asked for.
// plugins_more.json is written from the plugins' attribute tables, since those
// plugins are not part of the export.
var (
	//go:embed main.json
	mainText []byte
	//go:embed plugins.json
	pluginsText []byte
	//go:embed plugins_more.json
	morePluginsText []byte
	//go:embed stream_plugins.json
	streamPluginsText []byte
)

const metaText = `{"additionalProperties":false,"properties":{"disable":{"type":"boolean"},` +
	`"error_response":{"oneOf":[{"type":"string"},{"type":"object"}]},` +
	`"filter":{"description":"expression that decides per request whether the plugin runs","type":"array"},` +
	`"pre_function":{"description":"Lua source; not supported","type":"string"},` +
	`"priority":{"description":"replaces the plugin's own priority on this object","type":"integer"}},"type":"object"}`

// Catalogue holds the schemas of resources and plugins. Texts are expanded and
// compiled when first asked for. It is safe for concurrent use.
type Catalogue struct {
	resources map[string]*Resource
	plugins   map[string]*Plugin
	stream    map[string]*Plugin
}

// Resource is the schema of a resource.
type Resource struct {
	text    func() []byte
	compile func() (*Schema, error)
}

// Text is the JSON Schema.
func (r *Resource) Text() []byte { return r.text() }

// Schema is the compiled form.
func (r *Resource) Schema() (*Schema, error) { return r.compile() }

// Plugin describes a plugin and its schemas.
type Plugin struct {
	Name     string
	Priority int
	Version  float64
	Type     string // "auth" for plugins that identify the consumer
	Scope    string

	instance, consumer, metadata *Resource
}

// Instance is the schema of the plugin on routes, services and the like.
func (p *Plugin) Instance() *Resource { return p.instance }

// Consumer is the schema of the plugin on consumers and credentials; for a
// plugin without a side of its own there it is Instance.
func (p *Plugin) Consumer() *Resource {
	if p.consumer != nil {
		return p.consumer
	}
	return p.instance
}

// HasConsumer tells whether the plugin has a schema of its own for consumers.
func (p *Plugin) HasConsumer() bool { return p.consumer != nil }

// Metadata is the schema of the plugin's metadata, nil when it takes none.
func (p *Plugin) Metadata() *Resource { return p.metadata }

// Load reads the embedded schemas. extensions maps the name of a resource to
// JSON text that is merged into its schema, object by object.
func Load(extensions map[string]string) (*Catalogue, error) {
	c := &Catalogue{resources: map[string]*Resource{}, plugins: map[string]*Plugin{}, stream: map[string]*Plugin{}}
	var main map[string]json.RawMessage
	if err := json.Unmarshal(mainText, &main); err != nil {
		return nil, fmt.Errorf("embedded resource schemas: %w", err)
	}
	for name := range extensions {
		if _, ok := main[name]; !ok {
			return nil, fmt.Errorf("extension of %q: there is no such resource schema", name)
		}
	}
	for name, text := range main {
		c.resources[name] = c.resource(text, extensions[name], false)
	}
	for _, from := range []struct {
		text []byte
		to   map[string]*Plugin
	}{{pluginsText, c.plugins}, {morePluginsText, c.plugins}, {streamPluginsText, c.stream}} {
		var list map[string]json.RawMessage
		if err := json.Unmarshal(from.text, &list); err != nil {
			return nil, fmt.Errorf("embedded plugin schemas: %w", err)
		}
		for name, text := range list {
			p, err := c.ParsePlugin(name, text)
			if err != nil {
				return nil, err
			}
			from.to[name] = p
		}
	}
	return c, nil
}

// ParsePlugin reads one plugin's description: an object with schema,
// consumer_schema, metadata_schema, priority, version, type and scope. It is
// how a plugin that APISIX does not have brings its schemas along.
func (c *Catalogue) ParsePlugin(name string, text []byte) (*Plugin, error) {
	var d struct {
		Priority int             `json:"priority"`
		Version  float64         `json:"version"`
		Type     string          `json:"type"`
		Scope    string          `json:"scope"`
		Schema   json.RawMessage `json:"schema"`
		Consumer json.RawMessage `json:"consumer_schema"`
		Metadata json.RawMessage `json:"metadata_schema"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("schemas of plugin %s: %w", name, err)
	}
	if d.Schema == nil {
		return nil, fmt.Errorf("schemas of plugin %s: there is no field schema", name)
	}
	p := &Plugin{Name: name, Priority: d.Priority, Version: d.Version, Type: d.Type, Scope: d.Scope}
	p.instance = c.resource(d.Schema, "", true)
	if d.Consumer != nil {
		p.consumer = c.resource(d.Consumer, "", false)
	}
	if d.Metadata != nil {
		p.metadata = c.resource(d.Metadata, "", false)
	}
	return p, nil
}

// Resource returns a resource's schema ("route"), nil when there is none.
func (c *Catalogue) Resource(name string) *Resource { return c.resources[name] }

// ResourceNames returns the names of all resource schemas, sorted.
func (c *Catalogue) ResourceNames() []string { return sortedKeys(c.resources) }

// Plugin returns the description of an HTTP plugin, nil when APISIX has none
// of that name.
func (c *Catalogue) Plugin(name string) *Plugin { return c.plugins[name] }

// StreamPlugin is Plugin for TCP and UDP.
func (c *Catalogue) StreamPlugin(name string) *Plugin { return c.stream[name] }

// PluginNames returns the HTTP plugins, highest priority first.
func (c *Catalogue) PluginNames() []string { return byPriority(c.plugins) }

// StreamPluginNames returns the stream plugins, highest priority first.
func (c *Catalogue) StreamPluginNames() []string { return byPriority(c.stream) }

func byPriority(plugins map[string]*Plugin) []string {
	names := sortedKeys(plugins)
	slices.SortStableFunc(names, func(a, b string) int { return plugins[b].Priority - plugins[a].Priority })
	return names
}

func (c *Catalogue) resource(text []byte, extension string, meta bool) *Resource {
	r := &Resource{}
	expanded := sync.OnceValues(func() ([]byte, error) { return c.expand(text, extension, meta) })
	r.text = func() []byte {
		text, err := expanded()
		if err != nil {
			panic("BUG: " + err.Error()) // The texts are part of the program, or were compiled before.
		}
		return text
	}
	r.compile = sync.OnceValues(func() (*Schema, error) {
		text, err := expanded()
		if err != nil {
			return nil, err
		}
		return Compile(text)
	})
	return r
}

func (c *Catalogue) expand(text []byte, extension string, meta bool) ([]byte, error) {
	doc, err := decodeNumbers(text)
	if err != nil {
		return nil, err
	}
	if extension != "" {
		more, err := decodeNumbers([]byte(extension))
		if err != nil {
			return nil, fmt.Errorf("schema extension: %w", err)
		}
		doc = merged(doc, more)
	}
	if doc, err = c.embed(doc); err != nil {
		return nil, err
	}
	if meta {
		m, _ := doc.(map[string]any)
		if m == nil {
			return nil, fmt.Errorf("a plugin's schema must be a JSON object")
		}
		props, _ := m["properties"].(map[string]any)
		if props == nil {
			props = map[string]any{}
			m["properties"] = props
		}
		props["_meta"] = json.RawMessage(metaText)
	}
	return json.Marshal(doc)
}

// embed replaces {"$embed": name} by that resource's schema.
func (c *Catalogue) embed(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["$embed"].(string); ok {
			r := c.resources[name]
			if r == nil {
				return nil, fmt.Errorf("cannot embed %q: there is no such resource schema", name)
			}
			return json.RawMessage(r.Text()), nil
		}
		for k := range v {
			sub, err := c.embed(v[k])
			if err != nil {
				return nil, err
			}
			v[k] = sub
		}
	case []any:
		for i := range v {
			sub, err := c.embed(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = sub
		}
	}
	return v, nil
}

func merged(base, more any) any {
	a, ok1 := base.(map[string]any)
	b, ok2 := more.(map[string]any)
	if !ok1 || !ok2 {
		return more
	}
	for k, v := range b {
		if old, ok := a[k]; ok {
			v = merged(old, v)
		}
		a[k] = v
	}
	return a
}

func decodeNumbers(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}
