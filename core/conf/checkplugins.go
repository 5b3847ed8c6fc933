package conf

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluicegw/sluice/core/conf/schema"
)

// guards are plugins that let only some requests through. Where one of them is
// wanted and not to be had, the object is refused rather than served open.
var guards = []string{
	"acl", "authz-casbin", "authz-casdoor", "authz-keycloak", "basic-auth", "cas-auth", "chaitin-waf",
	"consumer-restriction", "csrf", "dingtalk-auth", "feishu-auth", "forward-auth", "hmac-auth", "ip-restriction",
	"jwe-decrypt", "jwt-auth", "key-auth", "ldap-auth", "ldap-auth-advanced", "multi-auth", "oas-validator", "opa",
	"openid-connect", "referer-restriction", "request-validation", "saml-auth", "ua-restriction", "uri-blocker",
	"wolf-rbac",
}

func (c *check) stream() bool { return c.kind == KindStreamRoute }

func (c *check) onConsumer() bool { return c.kind == KindConsumer || c.kind == KindCredential }

// plugins checks every plugin of an object, in the order of their names, and
// takes out those that are skipped.
func (c *check) plugins(plugins map[string]any) error {
	auth := 0
	for _, name := range sortedNames(plugins) {
		out, err := c.plugin(name, plugins[name])
		if err != nil {
			if c.onConsumer() {
				return refuse("invalid plugins configuration: %s", err)
			}
			return err
		}
		if out == nil {
			delete(plugins, name)
			continue
		}
		plugins[name] = json.RawMessage(out)
		if p := c.description(name); p != nil && p.Type == "auth" {
			auth++
		} else if c.kind == KindCredential {
			return refuse("only supports auth type plugins in consumer credential")
		}
	}
	if c.kind == KindCredential && auth != 1 {
		return refuse("a credential holds exactly one auth plugin, this one has %d", auth)
	}
	return nil
}

// plugin returns the plugin's configuration as JSON with defaults, or nil when
// it is to be left out.
func (c *check) plugin(name string, v any) ([]byte, error) {
	conf, ok := v.(map[string]any)
	if !ok {
		if list, isList := v.([]any); !isList || len(list) > 0 {
			return nil, refuse("invalid plugin conf %s for plugin [%s]", appendJSON(nil, v), name)
		}
		conf = map[string]any{} // An empty array is an empty object.
	}
	meta, _ := conf["_meta"].(map[string]any)
	disabled := meta["disable"] == true
	if !disabled {
		if err := refuseLuaPlugin(name, meta); err != nil {
			return nil, err
		}
	}
	if !c.known(name) {
		return nil, c.unknownPlugin(name, disabled)
	}
	if disabled {
		// Not run, so not checked: it may be disabled because it is broken.
		return appendJSON(nil, conf), nil
	}
	ownCheck := c.v.PluginCheck
	if p := c.description(name); p != nil {
		r := p.Instance()
		if c.onConsumer() && p.HasConsumer() {
			r, ownCheck = p.Consumer(), c.v.ConsumerCheck
		}
		filled, err := c.applyPlugin(name, r, conf)
		if err != nil {
			return nil, err
		}
		conf = filled
	}
	if filter, ok := meta["filter"]; ok {
		if err := c.expression(filter); err != nil {
			return nil, err
		}
	}
	if name == "traffic-split" {
		if err := c.splitUpstreams(conf); err != nil {
			return nil, c.pluginError(name, err)
		}
	}
	if name == "workflow" {
		if err := c.workflowActions(conf); err != nil {
			return nil, c.pluginError(name, err)
		}
	}
	out := appendJSON(nil, conf)
	if ownCheck != nil {
		if err := ownCheck(name, out); err != nil {
			return nil, c.pluginError(name, err)
		}
	}
	return out, nil
}

func (c *check) applyPlugin(name string, r *schema.Resource, conf map[string]any) (map[string]any, error) {
	s, err := r.Schema()
	if err != nil {
		return nil, c.pluginError(name, err)
	}
	out, err := s.Apply(conf)
	if err != nil {
		return nil, c.pluginError(name, err)
	}
	if m, ok := out.(map[string]any); ok {
		return m, nil
	}
	return map[string]any{}, nil
}

func (c *check) pluginError(name string, err error) error {
	if c.stream() {
		return refuse("failed to check the configuration of stream plugin [%s]: %s", name, err)
	}
	return refuse("failed to check the configuration of plugin %s err: %s", name, err)
}

func (c *check) known(name string) bool {
	if c.v.Plugins == nil {
		return c.description(name) != nil
	}
	if c.stream() {
		return c.v.Plugins.KnownStream(name)
	}
	return c.v.Plugins.Known(name)
}

func (c *check) description(name string) *schema.Plugin {
	if c.v.Plugins != nil {
		if p := c.v.Plugins.Schemas(name); p != nil {
			return p
		}
	}
	if c.stream() {
		return Catalogue().StreamPlugin(name)
	}
	return Catalogue().Plugin(name)
}

// unknownPlugin says what becomes of a plugin that does not run here. nil: it
// is left out.
func (c *check) unknownPlugin(name string, disabled bool) error {
	what := "unknown plugin [" + name + "]"
	ours := c.v.Plugins != nil && c.v.Plugins.Disabled(name, c.stream())
	inAPISIX := c.description(name) != nil
	switch {
	case ours:
		what += ": the plugin list of config.yaml leaves it out"
	case inAPISIX:
		what += ": a plugin of APISIX that this gateway does not have"
	}
	if c.v.Mode == ModeStore {
		if inAPISIX && !ours && !disabled && slices.Contains(guards, name) {
			return refuse("%s; it decides who may pass, so the object is not served without it "+
				"(set its _meta.disable or take it out to serve anyway)", what)
		}
		c.warn("%s; it is skipped", what)
		return nil
	}
	return refuse("%s", what)
}

// splitUpstreams applies the rules of upstreams to those that traffic-split
// holds.
func (c *check) splitUpstreams(conf map[string]any) error {
	rules, _ := conf["rules"].([]any)
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		list, _ := rule["weighted_upstreams"].([]any)
		for _, one := range list {
			one, _ := one.(map[string]any)
			if u, ok := one["upstream"].(map[string]any); ok {
				if err := c.upstream(u); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// workflowActions applies the schemas of the plugins that workflow runs.
func (c *check) workflowActions(conf map[string]any) error {
	rules, _ := conf["rules"].([]any)
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		actions, _ := rule["actions"].([]any)
		for _, action := range actions {
			action, _ := action.([]any)
			if len(action) < 2 {
				continue
			}
			name, _ := action[0].(string)
			p := c.description(name)
			if p == nil || name == "workflow" {
				continue // its name decides
			}
			s, err := p.Instance().Schema()
			if err != nil {
				return err
			}
			filled, err := s.Apply(action[1])
			if err != nil {
				return fmt.Errorf("failed to validate the '%s' action: %w", name, err)
			}
			action[1] = filled
		}
	}
	return nil
}

// metadata checks plugin metadata; the object's id is the plugin's name.
func (c *check) metadata(doc any) (map[string]any, error) {
	m, ok := doc.(map[string]any)
	if !ok {
		if list, isList := doc.([]any); !isList || len(list) > 0 {
			return nil, &Error{Text: "wrong type: expected object, got " + schema.TypeName(doc), Schema: true}
		}
		m = map[string]any{}
	}
	p := c.description(c.id)
	if p == nil {
		p = Catalogue().StreamPlugin(c.id)
	}
	if p == nil {
		if c.v.Mode != ModeStore {
			return nil, refuse("invalid plugin name")
		}
		c.warn("metadata of unknown plugin [%s] is kept but used by nobody", c.id)
		return m, nil
	}
	if p.Metadata() == nil {
		return m, nil
	}
	// The fields of the envelope are not the plugin's.
	kept := map[string]any{}
	for _, field := range []string{"id", "create_time", "update_time"} {
		if v, ok := m[field]; ok {
			kept[field] = v
			delete(m, field)
		}
	}
	s, err := p.Metadata().Schema()
	if err != nil {
		return nil, refuse("schema of plugin %s: %s", c.id, err)
	}
	out, err := s.Apply(m)
	if err != nil {
		return nil, &Error{Text: err.Error(), Schema: true}
	}
	m, _ = out.(map[string]any)
	if c.v.MetadataCheck != nil {
		if err := c.v.MetadataCheck(c.id, appendJSON(nil, m)); err != nil {
			return nil, &Error{Text: err.Error(), Schema: true}
		}
	}
	for field, v := range kept {
		m[field] = v
	}
	return m, nil
}
