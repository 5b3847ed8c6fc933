package gateway

import (
	"os"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// The harness must not test a configuration that the gateway reads otherwise.
func TestConfigIsUnderstood(t *testing.T) {
	for name, o := range map[string]Options{
		"embedded": {},
		"yaml":     {YAML: "routes: []"},
		"external": {Role: "data_plane", Etcd: map[string]any{"host": []any{"http://127.0.0.1:2379"}}},
	} {
		l := newLayout(t, t.TempDir())
		l.write(t, o)
		text, err := os.ReadFile(l.config)
		if err != nil {
			t.Fatal(err)
		}
		s, notices, err := conf.ParseSettings(l.config, text, os.LookupEnv)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		for _, n := range notices {
			t.Errorf("%s: %v", name, n)
		}
		if s.EmbeddedEtcd() != (name == "embedded") {
			t.Errorf("%s: embedded etcd is %v", name, s.EmbeddedEtcd())
		}
	}
}
