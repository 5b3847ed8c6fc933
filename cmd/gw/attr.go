package main

import (
	"encoding/json"
	"maps"
	"strconv"

	"github.com/sluicegw/sluice/core/conf"
)

// pluginAttr is plugin_attr as plugins get it: with what other sections say
// where the user left it out.
func pluginAttr(s *conf.Settings) map[string]json.RawMessage {
	attr := maps.Clone(s.PluginAttr.Rest)
	if attr == nil {
		attr = map[string]json.RawMessage{}
	}
	// redirect sends clients to one of our own TLS ports.
	if ssl := &s.APISIX.SSL; ssl.Enable && len(ssl.Listen) > 0 {
		var a map[string]json.RawMessage
		if raw := attr["redirect"]; len(raw) == 0 || json.Unmarshal(raw, &a) == nil && a["https_port"] == nil {
			if a == nil {
				a = map[string]json.RawMessage{}
			}
			a["https_port"] = json.RawMessage(strconv.Itoa(ssl.Listen[0].Port))
			if text, err := json.Marshal(a); err == nil {
				attr["redirect"] = text
			}
		}
	}
	return attr
}
