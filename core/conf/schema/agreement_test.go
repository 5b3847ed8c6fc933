package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzAgreesWithLibrary holds our walk against the library's own validator:
// where neither empty containers nor references play a role, a value that
// passes here passes there once its defaults are in, and a value that fails
// here fails there.
func FuzzAgreesWithLibrary(f *testing.F) {
	c, err := Load(nil)
	if err != nil {
		f.Fatal(err)
	}
	names := c.ResourceNames()
	plugins := c.PluginNames()
	f.Add(uint16(0), `{"uri":"/a","upstream":{"nodes":{"a:1":1}}}`)
	f.Add(uint16(7), `{"username":"jack","plugins":{"key-auth":{"key":"a"}}}`)
	f.Add(uint16(60), `{"count":2,"time_window":60,"policy":"redis","redis_host":"127.0.0.1"}`)
	for i := range len(names) + len(plugins) {
		f.Add(uint16(i), `{"uri":"/a","key":"k","count":1,"time_window":1,"host":"x","type":"server","rules":[{"a":1}]}`)
	}
	f.Fuzz(func(t *testing.T, which uint16, text string) {
		if strings.Contains(text, "[]") || strings.Contains(text, "{}") || strings.Contains(text, "://") {
			return
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil || containsEmpty(v) {
			return
		}
		var r *Resource
		if i := int(which) % (len(names) + len(plugins)); i < len(names) {
			r = c.Resource(names[i])
		} else {
			r = c.Plugin(plugins[i-len(names)]).Instance()
		}
		s, err := r.Schema()
		if err != nil {
			t.Fatal(err)
		}
		out, ours := s.Apply(v)
		if ours != nil {
			// Filled defaults may be what failed (a oneOf that a default
			// decides), so only plain values are compared.
			var again any
			_ = json.Unmarshal([]byte(text), &again)
			if theirs := s.std.Validate(again); theirs == nil && !explained(ours.Error()) {
				t.Errorf("%s\nfails here: %s\npasses in the library", text, ours)
			}
			return
		}
		if theirs := s.std.Validate(out); theirs != nil && !containsEmpty(out) {
			t.Errorf("%s\npasses here, fails in the library: %s", text, theirs)
		}
	})
}

// explained lists failures that only exist because defaults count.
func explained(why string) bool {
	return strings.Contains(why, "clause did not match") || strings.Contains(why, "matches both") ||
		strings.Contains(why, "multiple of")
}

func containsEmpty(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if containsEmpty(e) {
				return true
			}
		}
		return len(v) == 0
	case map[string]any:
		for _, e := range v {
			if containsEmpty(e) {
				return true
			}
		}
		return len(v) == 0
	}
	return false
}
