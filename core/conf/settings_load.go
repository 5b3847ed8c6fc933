package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultSettings are the settings of a gateway without config.yaml.
func DefaultSettings() *Settings {
	s := &Settings{}
	setDefaults(reflect.ValueOf(s).Elem())
	s.derive()
	return s
}

// LoadSettings reads config.yaml; an empty path means that there is none. With
// APISIX_PROFILE=dev the file config-dev.yaml beside it is read instead.
// Notices name every key without meaning here, once. The error names every
// wrong value with its line, the first twenty.
func LoadSettings(path string) (*Settings, []Notice, error) {
	var text []byte
	if path != "" {
		path = ProfilePath(path)
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, nil, fmt.Errorf("cannot read the configuration: %w", err)
		}
	}
	return ParseSettings(path, text, os.LookupEnv)
}

// ProfilePath is the file that is read in place of path: with APISIX_PROFILE
// set to "dev", conf/config.yaml becomes conf/config-dev.yaml, and apisix.yaml
// likewise.
func ProfilePath(path string) string {
	profile := os.Getenv("APISIX_PROFILE")
	if profile == "" {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + profile + ext
}

// ParseSettings is LoadSettings on text; file is its name for messages, env
// looks variables of the environment up.
func ParseSettings(file string, text []byte, env func(string) (string, bool)) (*Settings, []Notice, error) {
	s := &Settings{}
	setDefaults(reflect.ValueOf(s).Elem())
	d := &decoder{file: filepath.Base(file), filled: map[*yaml.Node]bool{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, nil, fmt.Errorf("%s: %s", d.file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) > 0 {
		root := doc.Content[0]
		d.substitute(root, env, 0)
		if root.Kind != yaml.ScalarNode || root.ShortTag() != "!!null" {
			d.structure(root, s, "")
			d.takeOver(s)
		}
	}
	d.environment(s, env)
	if len(d.errs) == 0 {
		s.derive()
		d.errs = s.validate(d.file)
	}
	if len(d.errs) > 0 {
		return nil, d.notices, errors.Join(d.errs...)
	}
	return s, append(d.notices, s.notices()...), nil
}

// substitute replaces ${{NAME}} and ${{NAME:=default}} in every scalar.
func (d *decoder) substitute(n *yaml.Node, env func(string) (string, bool), depth int) {
	const deepest = 64
	if depth > deepest {
		d.fail(n, "the file", "nested deeper than %d levels", deepest)
		return
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "${{") {
		value, err := expandEnv(n.Value, env)
		if err != nil {
			d.fail(n, "the file", "%s", err)
			return
		}
		// Read again as a plain scalar: a number or boolean may come out.
		n.Value, n.Tag, n.Style = value, "", 0
		if strings.Contains(value, "\n") || value == "" {
			n.Tag = "!!str"
		}
		d.filled[n] = true
	}
	for _, child := range n.Content {
		d.substitute(child, env, depth+1)
	}
}

// expandEnv replaces the references in text; the values are taken as they are.
func expandEnv(text string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		ref, after, found := strings.Cut(rest, "}}")
		if !found {
			return "", fmt.Errorf("${{%s is not closed by }}", clip(rest, 40))
		}
		name, fallback, hasFallback := strings.Cut(ref, ":=")
		name = strings.TrimSpace(name)
		value, ok := env(name)
		if !ok {
			if !hasFallback {
				return "", fmt.Errorf("the environment has no variable %s: set it, or give a default as in ${{%s:=value}}",
					name, name)
			}
			value = strings.TrimSpace(fallback)
		}
		b.WriteString(value)
		text = after
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// environment applies the variables that win over the file.
func (d *decoder) environment(s *Settings, env func(string) (string, bool)) {
	at := &yaml.Node{}
	if text, ok := env("APISIX_DEPLOYMENT_ETCD_HOST"); ok && strings.TrimSpace(text) != "" {
		var hosts []string
		if strings.HasPrefix(strings.TrimSpace(text), "[") {
			if err := json.Unmarshal([]byte(text), &hosts); err != nil {
				d.fail(at, "APISIX_DEPLOYMENT_ETCD_HOST", "expected a JSON array of URLs, or URLs separated by commas")
			}
		} else {
			for host := range strings.SplitSeq(text, ",") {
				hosts = append(hosts, strings.TrimSpace(host))
			}
		}
		s.Deployment.Etcd.Host = hosts
	}
	if text, ok := env("APISIX_WORKER_PROCESSES"); ok && text != "" {
		if err := s.Nginx.WorkerProcesses.fromText(text); err != nil {
			d.fail(at, "APISIX_WORKER_PROCESSES", "%s", err)
		}
	}
}

// derive fills what depends on other settings.
func (s *Settings) derive() {
	sl := &s.Sluice
	if e := s.Deployment.Etcd.Embedded; e != nil {
		sl.EmbeddedEtcd = *e
		s.Deployment.Etcd.Embedded = nil
	}
	if sl.EmbeddedEtcd.ListenClient != "" {
		sl.EmbeddedEtcd.Listen, sl.EmbeddedEtcd.ListenClient = sl.EmbeddedEtcd.ListenClient, ""
	}
	under := func(field *string, name string) {
		if *field == "" {
			*field = filepath.Join(sl.DataDir, name)
		}
	}
	under(&sl.AdminKeyFile, "admin.key")
	under(&sl.EmbeddedEtcd.DataDir, "etcd")
	under(&sl.LastGood.File, "last-good.bin")
	under(&sl.Journal.Dir, "journal")
	// Block scalars end with a line break that no log line wants.
	s.Nginx.HTTP.AccessLogFormat = strings.TrimRight(s.Nginx.HTTP.AccessLogFormat, "\n")
	s.Nginx.Stream.AccessLogFormat = strings.TrimRight(s.Nginx.Stream.AccessLogFormat, "\n")
	if s.APISIX.EnableDevMode {
		s.Nginx.WorkerProcesses = 1
	}
	if len(s.APISIX.ProxyCache.Zones) == 0 {
		s.APISIX.ProxyCache.Zones = []CacheZone{
			{Name: "disk_cache_one", MemorySize: 50 << 20, DiskSize: 1 << 30, DiskPath: "/tmp/disk_cache_one", CacheLevels: "1:2"},
			{Name: "memory_cache", MemorySize: 50 << 20},
		}
	}
}

// NeedsAdminKey tells whether the Admin API wants a key that the file does not
// give: none at all, or one that is left empty. The caller then takes the one
// in Sluice.AdminKeyFile, making it at the first start, and tells the operator
// where it lies.
func (s *Settings) NeedsAdminKey() bool {
	if !s.ServesAdmin() || !s.Deployment.Admin.KeyRequired {
		return false
	}
	for _, k := range s.Deployment.Admin.Keys {
		if k.Key == "" {
			return true
		}
	}
	return len(s.Deployment.Admin.Keys) == 0
}

// AdminKeys are the administrators with made filled in where the file gives no
// key. An empty made leaves such entries out: an empty key admits nobody.
func (s *Settings) AdminKeys(made string) []AdminKey {
	keys := s.Deployment.Admin.Keys
	if len(keys) == 0 {
		keys = []AdminKey{{Name: "admin", Role: "admin"}}
	}
	out := make([]AdminKey, 0, len(keys))
	used := false
	for _, k := range keys {
		if k.Key == "" {
			if made == "" || used || k.Role != "admin" {
				continue // One key cannot stand for two administrators.
			}
			k.Key, used = made, true
		}
		out = append(out, k)
	}
	return out
}
