package store

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func TestKeysAreToldApart(t *testing.T) {
	l := NewLayout("/apisix")
	f := func(key string, class KeyClass, kind conf.Kind, id string) {
		t.Helper()
		c, k, i := l.Parse(key)
		if c != class || k != kind || i != id {
			t.Errorf("%s: class %d kind %q id %q, want class %d kind %q id %q", key, c, k, i, class, kind, id)
		}
	}
	f("/apisix/routes/1", KeyObject, conf.KindRoute, "1")
	f("/apisix/routes/a/b", KeyObject, conf.KindRoute, "a/b")
	f("/apisix/consumers/jack", KeyObject, conf.KindConsumer, "jack")
	f("/apisix/consumers/jack/credentials/k1", KeyObject, conf.KindCredential, "jack/credentials/k1")
	f("/apisix/consumers/jack/credentials/k1/x", KeyUnknown, conf.KindNone, "")
	f("/apisix/consumers/jack/other/k1", KeyUnknown, conf.KindNone, "")
	f("/apisix/secrets/vault/1", KeyObject, conf.KindSecret, "vault/1")
	f("/apisix/secrets/vault", KeyUnknown, conf.KindNone, "")
	f("/apisix/plugin_metadata/syslog", KeyObject, conf.KindPluginMetadata, "syslog")
	f("/apisix/services/s1", KeyObject, conf.KindService, "s1")
	f("/apisix/services/s1/graphql_cost_decorations/d1", KeyCostDecoration, conf.KindNone, "")
	f("/apisix/services/", KeyPlaceholder, conf.KindNone, "")
	f("/apisix/consumers/jack/credentials/", KeyPlaceholder, conf.KindNone, "")
	f("/apisix/plugins/", KeyPlaceholder, conf.KindNone, "")
	f("/apisix/plugins", KeyPlugins, conf.KindNone, "")
	f("/apisix/gen_id", KeyGenID, conf.KindNone, "")
	f("/apisix/data_plane/server_info/abc", KeyDataPlane, conf.KindNone, "")
	f("/apisix/stranger/1", KeyUnknown, conf.KindNone, "")
	f("/apisix/routes", KeyUnknown, conf.KindNone, "")
	f("/apisix/", KeyUnknown, conf.KindNone, "")
	f("/apisix2/routes/1", KeyUnknown, conf.KindNone, "")
	f("/other", KeyUnknown, conf.KindNone, "")
	f("", KeyUnknown, conf.KindNone, "")
}

func TestPrefixForms(t *testing.T) {
	for in, want := range map[string]string{"": "/apisix", "/": "/apisix", "gw": "/gw", "/gw/": "/gw", "/a/b": "/a/b"} {
		if got := NewLayout(in).Prefix(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPlaceholdersCoverEveryKind(t *testing.T) {
	l := NewLayout("")
	all := strings.Join(l.Placeholders(), " ")
	for kind := conf.KindNone + 1; kind < conf.NumKinds; kind++ {
		if kind != conf.KindCredential && !strings.Contains(all, "/apisix/"+kind.Dir()+"/") {
			t.Errorf("no placeholder for %s in %s", kind, all)
		}
	}
	for _, key := range l.Placeholders() {
		if class, _, _ := l.Parse(key); class != KeyPlaceholder {
			t.Errorf("%s is read as class %d", key, class)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"/apisix/routes/1", "/apisix/consumers/a/credentials/b", "/apisix/secrets/vault/1", "/apisix//", "x"} {
		f.Add(s)
	}
	l := NewLayout("/apisix")
	f.Fuzz(func(t *testing.T, key string) {
		class, kind, id := l.Parse(key)
		if class == KeyObject && l.Key(kind, id) != key {
			t.Fatalf("%q was read as %s %q, whose key is %q", key, kind, id, l.Key(kind, id))
		}
	})
}
