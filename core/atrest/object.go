package atrest

import (
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

// EncryptObject encrypts the declared fields of a resource in place. pluginID
// is the object's id where value is plugin metadata. Only plain values may be
// passed: encrypting twice would make them unreadable.
func (k *Keyring) EncryptObject(kind conf.Kind, pluginID string, value map[string]any) {
	if k == nil {
		return
	}
	if !k.keysOnly {
		k.walkPlugins(kind, pluginID, value, k.Encrypt, fields)
	}
	k.walkKeys(kind, value, k.EncryptPEM)
}

// DecryptObject opens every encrypted field of a resource in place, private
// keys included: the form that is validated, merged and served from.
func (k *Keyring) DecryptObject(kind conf.Kind, pluginID string, value map[string]any) {
	if k == nil {
		return
	}
	k.DecryptPlugins(kind, pluginID, value)
	k.OpenKeys(kind, value)
}

// OpenKeys opens the private keys of certificates only.
func (k *Keyring) OpenKeys(kind conf.Kind, value map[string]any) {
	if k != nil {
		k.walkKeys(kind, value, k.DecryptPEM)
	}
}

// DecryptPlugins opens the plugins' fields only and leaves private keys of
// certificates encrypted: the form the Admin API answers with.
func (k *Keyring) DecryptPlugins(kind conf.Kind, pluginID string, value map[string]any) {
	if k == nil {
		return
	}
	open := func(text string) string {
		plain, _ := k.Decrypt(text)
		return plain
	}
	k.walkPlugins(kind, pluginID, value, open, fields)
	k.walkPlugins(kind, pluginID, value, open, formerly)
}

func (k *Keyring) walkPlugins(kind conf.Kind, pluginID string, value map[string]any,
	change func(string) string, table map[string][numSections][]string,
) {
	if kind == conf.KindPluginMetadata {
		applyAll(value, table[pluginID][Metadata], change)
		return
	}
	section := Instance
	if kind == conf.KindConsumer || kind == conf.KindCredential {
		section = Consumer
	}
	plugins, _ := value["plugins"].(map[string]any)
	for name, cfg := range plugins {
		paths := table[name][section]
		if section == Consumer && len(paths) == 0 {
			// A plugin without a consumer side (limit-count on a consumer)
			// keeps its usual configuration there.
			paths = table[name][Instance]
		}
		if cfg, ok := cfg.(map[string]any); ok {
			applyAll(cfg, paths, change)
		}
	}
}

func applyAll(value map[string]any, paths []string, change func(string) string) {
	for _, path := range paths {
		apply(value, strings.Split(path, "."), change)
	}
}

// apply walks the rest of a path from value, through arrays as through maps.
func apply(value any, path []string, change func(string) string) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			apply(element, path, change)
		}
	case map[string]any:
		child, ok := v[path[0]]
		if !ok {
			return
		}
		if len(path) > 1 {
			apply(child, path[1:], change)
			return
		}
		v[path[0]] = changed(child, change)
	}
}

// changed applies change to a string or to the strings right inside a
// container; it writes into containers and returns the new value.
func changed(value any, change func(string) string) any {
	switch v := value.(type) {
	case string:
		return change(v)
	case []any:
		for i, element := range v {
			if text, ok := element.(string); ok {
				v[i] = change(text)
			}
		}
	case map[string]any:
		for name, element := range v {
			if text, ok := element.(string); ok {
				v[name] = change(text)
			}
		}
	}
	return value
}

// walkKeys visits the private keys of certificates: an ssl's key and keys, an
// upstream's tls.client_key, also where the upstream is embedded.
func (k *Keyring) walkKeys(kind conf.Kind, value map[string]any, change func(string) string) {
	switch kind {
	case conf.KindSSL:
		applyAll(value, []string{"key", "keys"}, change)
	case conf.KindUpstream:
		applyAll(value, []string{"tls.client_key"}, change)
	case conf.KindRoute, conf.KindService, conf.KindStreamRoute:
		applyAll(value, []string{"upstream.tls.client_key"}, change)
	}
}
