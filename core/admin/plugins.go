package admin

import (
	"encoding/json"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
)

// PluginInfo is the JSON form of a plugin in /plugins?all=true and in the
// Control API's schema.
type PluginInfo struct {
	Version        float64         `json:"version"`
	Priority       int             `json:"priority"`
	Schema         json.RawMessage `json:"schema,omitempty"`
	ConsumerSchema json.RawMessage `json:"consumer_schema,omitempty"`
	MetadataSchema json.RawMessage `json:"metadata_schema,omitempty"`
	Type           string          `json:"type,omitempty"`
	Scope          string          `json:"scope,omitempty"`
}

// DescribePlugins returns the plugins of a subsystem by name.
func DescribePlugins(c Checker, subsystem Subsystem) map[string]PluginInfo {
	list := c.Plugins(subsystem)
	described := make(map[string]PluginInfo, len(list))
	for _, p := range list {
		described[p.Name] = PluginInfo{
			p.Version, p.Priority, p.Schema, p.ConsumerSchema, p.MetadataSchema, p.Type, p.Scope,
		}
	}
	return described
}

// subsystem reads the parameter of that name.
func (c *call) subsystem() (Subsystem, bool) {
	s := Subsystem(c.http.QueryArgs().Peek("subsystem"))
	if s == "" {
		s = HTTP
	}
	return s, s == HTTP || s == Stream
}

// listPlugins answers the names, highest priority first.
func (api *API) listPlugins(c *call) error {
	s, ok := c.subsystem()
	if !ok {
		return &failure{status: fasthttp.StatusBadRequest, body: "invalid subsystem passed"}
	}
	list := api.o.Checker.Plugins(s)
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	return c.answer(fasthttp.StatusOK, names)
}

// getPlugin answers one plugin's schema, or everything about all of them.
func (api *API) getPlugin(c *call) error {
	s, ok := c.subsystem()
	if !ok {
		return invalid("unsupported subsystem: %s", s)
	}
	if c.flag("all") {
		return c.answer(fasthttp.StatusOK, DescribePlugins(api.o.Checker, s))
	}
	name, _ := c.http.UserValue("name").(string)
	p, ok := api.o.Checker.Plugin(s, name)
	if !ok {
		return refuse(fasthttp.StatusNotFound, "plugin not found in subsystem %s", s)
	}
	schema := p.Schema
	if string(c.http.QueryArgs().Peek("schema_type")) == "consumer" {
		schema = p.ConsumerSchema
	}
	if schema == nil {
		return invalid("not found schema")
	}
	return c.answer(fasthttp.StatusOK, rawJSON(schema))
}

// getSchema answers a resource's JSON Schema.
func (api *API) getSchema(c *call) error {
	name, _ := c.http.UserValue("name").(string)
	schema, ok := api.o.Checker.Schema(name)
	if !ok {
		return invalid("not found schema: %s", name)
	}
	return c.answer(fasthttp.StatusOK, rawJSON(schema))
}

func (api *API) reloadPlugins(c *call) error {
	if !c.http.IsPut() {
		return refuse(fasthttp.StatusMethodNotAllowed,
			"please use PUT method to reload the plugins, %s method is not allowed.", c.http.Method())
	}
	if api.o.ReloadPlugins != nil {
		if err := api.o.ReloadPlugins(c.ctx); err != nil {
			return refuse(fasthttp.StatusServiceUnavailable, "plugins cannot be reloaded: %v", err)
		}
	}
	return c.answer(fasthttp.StatusOK, "done")
}

// validateSchema checks a body against a resource's schema alone.
func (api *API) validateSchema(c *call) error {
	dir, _ := c.http.UserValue("dir").(string)
	res, ok := resources[dir]
	if !ok {
		return refuse(fasthttp.StatusNotFound, "Unsupported resource type: %s", dir)
	}
	body, present, err := c.jsonBody()
	if err != nil {
		return err
	}
	if !present {
		return invalid("wrong type: expected object, got nil")
	}
	if res.kind == conf.KindSecret || res.kind == conf.KindPluginMetadata {
		// Their schema depends on the manager or the plugin, which only the
		// path of a write names.
		if _, ok := body.(map[string]any); !ok {
			return invalid("wrong type: expected object, got %s", typeName(body))
		}
		return c.answer(fasthttp.StatusOK, nil)
	}
	if err := api.o.Checker.CheckSchema(res.kind, compact(body)); err != nil {
		return invalid("%s", err)
	}
	return c.answer(fasthttp.StatusOK, nil)
}
