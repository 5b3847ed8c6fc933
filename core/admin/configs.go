package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"
	"go.yaml.in/yaml/v3"

	"github.com/sluicegw/sluice/core/conf"
)

const (
	digestHeader       = "X-Digest"
	lastModifiedHeader = "X-Last-Modified"
	versionSuffix      = "_conf_version"
	// maxConfigErrors bounds the errors that one validation reports.
	maxConfigErrors = 500
)

// configKinds are the top-level keys of a whole configuration, in the order
// in which they are checked. Credentials ride among the consumers; plugins
// has no kind, it is the list of enabled plugins.
var configKinds = []struct {
	key  string
	kind conf.Kind
}{
	{"secrets", conf.KindSecret},
	{"plugin_metadata", conf.KindPluginMetadata},
	{"protos", conf.KindProto},
	{"ssls", conf.KindSSL},
	{"upstreams", conf.KindUpstream},
	{"services", conf.KindService},
	{"plugin_configs", conf.KindPluginConfig},
	{"consumer_groups", conf.KindConsumerGroup},
	{"consumers", conf.KindConsumer},
	{"global_rules", conf.KindGlobalRule},
	{"routes", conf.KindRoute},
	{"stream_routes", conf.KindStreamRoute},
	{"plugins", conf.KindNone},
}

// configError is one fault found in a whole configuration.
type configError struct {
	ResourceType string `json:"resource_type"`
	ResourceID   string `json:"resource_id,omitempty"`
	Index        *int   `json:"index,omitempty"`
	Error        string `json:"error"`
}

// validateConfigs checks a whole configuration, JSON or YAML; references
// between its objects are not followed.
func (api *API) validateConfigs(c *call) error {
	whole, err := c.wholeConfig()
	if err != nil {
		return err
	}
	if errs := api.checkConfig(whole, maxConfigErrors); len(errs) > 0 {
		return &failure{status: fasthttp.StatusBadRequest, body: struct {
			Msg    string        `json:"error_msg"`
			Errors []configError `json:"errors"`
		}{"Configuration validation failed", errs}}
	}
	return c.answer(fasthttp.StatusOK, struct{}{})
}

// wholeConfig reads a body in the language its Content-Type names.
func (c *call) wholeConfig() (map[string]any, error) {
	text, err := c.body(ConfigsBodyLimit)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, invalid("invalid request body: empty request body")
	}
	if strings.HasPrefix(string(c.http.Request.Header.ContentType()), "application/yaml") {
		whole, err := decodeYAML(text)
		if err != nil {
			return nil, invalid("invalid request body: invalid yaml request body: %v", err)
		}
		return whole, nil
	}
	whole, err := decodeObject(text)
	if err != nil {
		return nil, invalid("invalid request body: %v", err)
	}
	return whole, nil
}

// decodeYAML reads YAML into the same shapes as decode.
func decodeYAML(text []byte) (map[string]any, error) {
	var v map[string]any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, fmt.Errorf("not a mapping")
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		// Keys that are no strings, or values JSON does not have.
		return nil, err
	}
	return decodeObject(asJSON)
}

// checkConfig returns at most limit faults of a whole configuration.
func (api *API) checkConfig(whole map[string]any, limit int) []configError {
	var errs []configError
	for _, k := range configKinds {
		add := func(index *int, id, text string) {
			errs = append(errs, configError{k.key, id, index, text})
		}
		if v, ok := whole[k.key+versionSuffix]; ok && v != nil {
			if _, isNumber := v.(json.Number); !isNumber {
				add(nil, "", fmt.Sprintf("%s%s must be a number, got %s", k.key, versionSuffix, typeName(v)))
			}
		}
		items, ok := whole[k.key].([]any)
		if !ok {
			if v := whole[k.key]; v != nil {
				add(nil, "", fmt.Sprintf("%s must be an array, got %s", k.key, typeName(v)))
			}
			continue
		}
		seen := make(map[string]struct{}, len(items))
		for i, item := range items {
			if len(errs) >= limit {
				return errs[:limit]
			}
			id, label := itemID(k.kind, item)
			if err := api.checkItem(k.kind, id, item); err != nil {
				add(&i, id, fmt.Sprintf("invalid %s at index %d, err: %v", k.key, i, err))
			}
			if id == "" || k.kind == conf.KindNone {
				continue
			}
			if _, twice := seen[id]; twice {
				add(&i, id, fmt.Sprintf("found duplicate %s %s in %s", label, id, k.key))
			}
			seen[id] = struct{}{}
		}
	}
	if len(errs) > limit {
		errs = errs[:limit]
	}
	return errs
}

// itemID returns the id an item of a whole configuration carries, and the
// name of the field it stands in.
func itemID(kind conf.Kind, item any) (id, label string) {
	object, _ := item.(map[string]any)
	if id, ok := scalar(object["id"]); ok {
		return id, "id"
	}
	if kind == conf.KindConsumer {
		id, _ = scalar(object["username"])
		return id, "username"
	}
	return "", "id"
}

// checkItem checks one item as a resource of its own.
func (api *API) checkItem(kind conf.Kind, id string, item any) error {
	if kind == conf.KindNone {
		return nil
	}
	object, ok := item.(map[string]any)
	if !ok {
		return fmt.Errorf("wrong type: expected object, got %s", typeName(item))
	}
	if _, ok := object["modifiedIndex"]; ok {
		// It belongs to the transport, not to the resource.
		object = withoutField(object, "modifiedIndex")
	}
	switch kind {
	case conf.KindConsumer:
		if username, last, nested := cutCredential(id); nested {
			if !validName.MatchString(username) || !validName.MatchString(last) {
				return fmt.Errorf("invalid credential id: %s", id)
			}
			kind = conf.KindCredential
			object = withoutField(object, "id")
			object["id"] = last
		}
	case conf.KindSecret:
		manager, last, ok := strings.Cut(id, "/")
		if !ok || last == "" {
			return fmt.Errorf("invalid secret id: %s", id)
		}
		if !managers[manager] {
			return fmt.Errorf("invalid secret manager: %s", manager)
		}
	case conf.KindPluginMetadata:
		if id == "" {
			return errors.New("missing plugin name")
		}
	}
	if _, err := api.o.Checker.Check(kind, id, compact(object)); err != nil {
		return errors.New(conf.AdminMessage(err))
	}
	return nil
}

// cutCredential splits the id of a credential among the consumers.
func cutCredential(id string) (username, last string, nested bool) {
	return strings.Cut(id, "/credentials/")
}

func withoutField(object map[string]any, name string) map[string]any {
	copied := make(map[string]any, len(object))
	for n, v := range object {
		if n != name {
			copied[n] = v
		}
	}
	return copied
}
