package build_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/keyauth"
)

// who tells which consumer a key belongs to, with its credential behind '/';
// "-" for nobody.
func who(t *testing.T, g *gateway.Gateway, key string) string {
	t.Helper()
	resp, body := g.Get("/", "apikey: "+key)
	switch resp.StatusCode {
	case 200:
		h := gateway.Saw(t, body).Header
		if id := h.Get("X-Credential-Identifier"); id != "" {
			return h.Get("X-Consumer-Username") + "/" + id
		}
		return h.Get("X-Consumer-Username")
	case 401:
		return "-"
	}
	t.Fatalf("key %s: %d %s", key, resp.StatusCode, body)
	return ""
}

func start(t *testing.T, change func(*build.Options)) (g *gateway.Gateway, expect func(key, want string)) {
	t.Helper()
	g = gateway.Start(t, gateway.Options{Build: change})
	g.Route(gateway.Upstream(t), `{"key-auth":{}}`)
	return g, func(key, want string) {
		t.Helper()
		if got := who(t, g, key); got != want {
			t.Errorf("key %s belongs to %s, want %s", key, got, want)
		}
	}
}

func withKey(name, key string) string {
	return `{"username":"` + name + `","plugins":{"key-auth":{"key":"` + key + `"}}}`
}

func keyOnly(key string) string { return `{"plugins":{"key-auth":{"key":"` + key + `"}}}` }

func TestKeysFollowTheConfiguration(t *testing.T) {
	g, expect := start(t, nil)
	expect("a", "-")
	g.Put(conf.KindConsumer, "jack", withKey("jack", "a"))
	expect("a", "jack")
	g.Put(conf.KindConsumer, "jack", withKey("jack", "b"))
	expect("a", "-")
	expect("b", "jack")
	g.Put(conf.KindCredential, "jack/credentials/1", keyOnly("c"))
	expect("c", "jack/1")
	g.Put(conf.KindCredential, "jack/credentials/1", keyOnly("d"))
	expect("c", "-")
	expect("d", "jack/1")
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","labels":{"custom_id":"7"}}`)
	expect("b", "-")
	expect("d", "jack/1")
	if _, body := g.Get("/", "apikey: d"); gateway.Saw(t, body).Header.Get("X-Consumer-Custom-Id") != "7" {
		t.Error("a credential does not show its consumer's new label")
	}
	g.Delete(conf.KindConsumer, "jack")
	expect("d", "-")
	g.Put(conf.KindConsumer, "jack", withKey("jack", "a"))
	expect("d", "jack/1")
	g.Delete(conf.KindCredential, "jack/credentials/1")
	expect("d", "-")
	expect("a", "jack")
	g.Put(conf.KindConsumer, "jack", `{"username":"jack","plugins":{"key-auth":{"key":"a","_meta":{"disable":true}}}}`)
	expect("a", "-")
}

func TestCredentialBeforeItsConsumer(t *testing.T) {
	g, expect := start(t, nil)
	g.Put(conf.KindCredential, "jack/credentials/1", keyOnly("a"))
	expect("a", "-")
	g.Put(conf.KindConsumer, "jack", `{"username":"jack"}`)
	expect("a", "jack/1")
}

func TestKeyThatSeveralHold(t *testing.T) {
	orders := [][]string{{"ann", "bob", "cid"}, {"cid", "bob", "ann"}, {"bob", "cid", "ann"}}
	for _, order := range orders {
		g, expect := start(t, nil)
		for _, name := range order {
			g.Put(conf.KindConsumer, name, withKey(name, "same"))
		}
		g.Put(conf.KindCredential, "ann/credentials/1", keyOnly("same"))
		expect("same", "ann")
		if !strings.Contains(g.Log(), "several consumers hold the same credential") {
			t.Error("the log does not tell")
		}
		g.Put(conf.KindConsumer, "ann", withKey("ann", "own"))
		expect("same", "ann/1")
		g.Delete(conf.KindConsumer, "ann")
		expect("same", "bob")
		g.Delete(conf.KindConsumer, "cid")
		expect("same", "bob")
		g.Delete(conf.KindConsumer, "bob")
		expect("same", "-")
	}
}

// A key that moves from one consumer to another in one batch is no contest.
func TestKeyThatMoves(t *testing.T) {
	g, expect := start(t, nil)
	g.Put(conf.KindConsumer, "ann", withKey("ann", "a"))
	g.Builder.Apply(&conf.Batch{Rev: 100, Objects: []conf.Object{
		{Kind: conf.KindConsumer, ID: "bob", Rev: 100, Value: []byte(withKey("bob", "a"))},
		{Kind: conf.KindConsumer, ID: "ann", Rev: 100},
	}})
	expect("a", "bob")
	if strings.Contains(g.Log(), "several consumers") {
		t.Error("the log complains about a key that only moved")
	}
}

func TestRefusedConsumerKeepsItsLastVersion(t *testing.T) {
	g, expect := start(t, nil)
	g.Put(conf.KindConsumer, "ann", withKey("ann", "a"))
	refused := g.Builder.Apply(&conf.Batch{Rev: 100, Objects: []conf.Object{
		{Kind: conf.KindConsumer, ID: "ann", Rev: 100, Value: []byte(`{"username":"ann","plugins":{"key-auth":{"key":5}}}`)},
	}})
	if len(refused) != 1 {
		t.Errorf("refused: %v", refused)
	}
	expect("a", "ann")
}

// A full batch leaves out what is gone.
func TestFullBatch(t *testing.T) {
	g, _ := start(t, nil)
	g.Put(conf.KindConsumer, "ann", withKey("ann", "a"))
	g.Put(conf.KindConsumer, "bob", withKey("bob", "b"))
	g.Builder.Apply(&conf.Batch{Full: true, Rev: 100, Objects: []conf.Object{
		{Kind: conf.KindConsumer, ID: "bob", Rev: 100, Value: []byte(withKey("bob", "c"))},
		{Kind: conf.KindGlobalRule, ID: "1", Rev: 100, Value: []byte(`{"plugins":{"key-auth":{}}}`)},
	}})
	for key, want := range map[string]int{"a": 401, "b": 401, "c": 404} {
		if resp, _ := g.Get("/", "apikey: "+key); resp.StatusCode != want {
			t.Errorf("key %s: %d, want %d", key, resp.StatusCode, want)
		}
	}
}

func TestReferences(t *testing.T) {
	secrets := map[string]string{"$env://KEY": "from-env"}
	g, expect := start(t, func(o *build.Options) {
		o.Secrets = func(ref string) (string, error) {
			if s, ok := secrets[ref]; ok {
				return s, nil
			}
			return "", errors.New("not there")
		}
	})
	g.Put(conf.KindConsumer, "ann", withKey("ann", "$env://KEY"))
	g.Put(conf.KindConsumer, "bob", withKey("bob", "$secret://vault/1/bob/key"))
	g.Put(conf.KindCredential, "bob/credentials/1", keyOnly("$ENV://KEY2"))
	g.Put(conf.KindConsumer, "cid", withKey("cid", "$5"))
	expect("from-env", "ann")
	expect("$env://KEY", "-")
	expect("$secret://vault/1/bob/key", "-")
	expect("$5", "cid")
	expect("", "-")
	if !strings.Contains(g.Log(), "$secret://vault/1/bob/key") {
		t.Error("the log does not name the reference")
	}
	secrets["$env://KEY"] = "changed"
	secrets["$ENV://KEY2"] = "two"
	g.Builder.RefreshSecrets()
	expect("from-env", "-")
	expect("changed", "ann")
	expect("two", "bob/1")
	secrets["$secret://vault/1/bob/key"] = "bobs"
	g.Put(conf.KindSecret, "vault/1", `{"uri":"http://127.0.0.1:8200","prefix":"kv","token":"t"}`)
	expect("bobs", "bob")
	delete(secrets, "$env://KEY")
	g.Builder.RefreshSecrets()
	expect("changed", "-")
	g.Put(conf.KindConsumer, "ann", withKey("ann", "plain"))
	g.Builder.RefreshSecrets()
	expect("plain", "ann")
}

func TestReferencesWithoutResolver(t *testing.T) {
	g, expect := start(t, nil)
	g.Put(conf.KindConsumer, "ann", withKey("ann", "$env://KEY"))
	expect("$env://KEY", "-")
	if !strings.Contains(g.Log(), "credential cannot be used") {
		t.Error("the log does not tell")
	}
}
