package conf

import "encoding/json"

// Consumer is a caller known by name. Its auth plugins hold credentials, its
// other plugins are merged into the request's set.
type Consumer struct {
	Meta

	Username string  `json:"username"`
	GroupID  ID      `json:"group_id,omitempty"`
	Plugins  Plugins `json:"plugins,omitempty"`
}

// Credential is one more credential of a consumer: exactly one auth plugin.
// Which consumer it belongs to stands in the object's ID.
type Credential struct {
	Meta

	Plugins Plugins `json:"plugins,omitempty"`
}

// PluginSetting is the content of consumer groups, plugin configs and global
// rules: a named set of plugins.
type PluginSetting struct {
	Meta

	Plugins Plugins `json:"plugins,omitempty"`
}

// ConsumerGroup holds plugins shared by consumers.
type ConsumerGroup struct{ PluginSetting }

// PluginConfig holds plugins shared by routes.
type PluginConfig struct{ PluginSetting }

// GlobalRule holds plugins that run for every request.
type GlobalRule struct{ PluginSetting }

// PluginMetadata is what a plugin is told once for all its instances. The
// object's ID is the plugin's name.
type PluginMetadata struct {
	// Conf is the whole JSON object.
	Conf json.RawMessage
}

// Proto is a protobuf definition: source text, or base64 of a compiled
// descriptor set.
type Proto struct {
	Meta

	Content string `json:"content"`
}

// Secret holds the settings of a secret manager. The object's ID is
// "<manager>/<id>".
type Secret struct {
	// Manager is vault, aws or gcp.
	Manager string
	// Conf is the whole JSON object.
	Conf json.RawMessage
}
