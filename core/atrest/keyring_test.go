package atrest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func ring(t testing.TB, keys ...string) *Keyring {
	t.Helper()
	k, err := New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Known texts, computed with openssl enc -aes-128-cbc and -aes-256-cbc with
// the key as initialisation vector.
func TestKnownTexts(t *testing.T) {
	f := func(key, plain, text string) {
		t.Helper()
		k := ring(t, key)
		if got := k.Encrypt(plain); got != text {
			t.Errorf("%s under %s: %s, want %s", plain, key, got, text)
		}
		if got, ok := k.Decrypt(text); !ok || got != plain {
			t.Errorf("%s opens as %q, %v", text, got, ok)
		}
	}
	f("qeddd145sfvddff3", "auth-one", "4y+JvURBE6ZwRbbgaryrhg==")
	f("edd1c9f0985e76a2", "secret", "3KxZfy/YIZ/ejJTEIbS09g==")
	f("qeddd145sfvddff3", "", "CEGh183MAO3X8/ZV2jzHeA==")
	f("qeddd145sfvddff3", "0123456789abcdef", "qpxu8KrwHqjW92zgZHFDOLQA3RNdV40A6RLotmKQPVw=")
	f("0123456789abcdef0123456789abcdef", "auth-one", "jMinfe2nNUgjwW02ZBFULg==")
}

func TestKeyLengths(t *testing.T) {
	for _, keys := range [][]string{nil, {""}, {"short"}, {strings.Repeat("k", 24)}, {strings.Repeat("k", 16), "x"}} {
		if _, err := New(keys); err == nil {
			t.Errorf("%q accepted", keys)
		}
	}
}

func TestFirstKeyEncryptsAllDecrypt(t *testing.T) {
	both := ring(t, DefaultKeys...)
	second := ring(t, DefaultKeys[1])
	if got, ok := both.Decrypt(second.Encrypt("older")); !ok || got != "older" {
		t.Errorf("%q %v", got, ok)
	}
	if both.Encrypt("x") != ring(t, DefaultKeys[0]).Encrypt("x") {
		t.Error("not the first key")
	}
	for _, text := range []string{"", "plain", "bm90IGVuY3J5cHRlZA==", "$secret://vault/1/a/b"} {
		if got, ok := both.Decrypt(text); ok || got != text {
			t.Errorf("%q became %q, %v", text, got, ok)
		}
	}
}

func TestPrivateKeys(t *testing.T) {
	k := ring(t, DefaultKeys...)
	const pem = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"
	sealed := k.EncryptPEM(pem)
	if sealed == pem || k.EncryptPEM(sealed) != sealed || k.DecryptPEM(sealed) != pem || k.DecryptPEM(pem) != pem {
		t.Errorf("%q", sealed)
	}
	if got := k.EncryptPEM("$secret://vault/1/tls/key"); got != "$secret://vault/1/tls/key" {
		t.Error(got)
	}
}

func TestNilKeyringChangesNothing(t *testing.T) {
	var k *Keyring
	v := map[string]any{"key": "---x"}
	k.EncryptObject(conf.KindSSL, "1", v)
	k.DecryptObject(conf.KindSSL, "1", v)
	if v["key"] != "---x" || k.Encrypt("x") != "x" {
		t.Error(v)
	}
}

func TestObjectFields(t *testing.T) {
	k := ring(t, DefaultKeys...)
	f := func(kind conf.Kind, id, plain, want string) {
		t.Helper()
		for _, secret := range []string{"s1", "s2", "---pem"} {
			want = strings.ReplaceAll(want, "<"+secret+">", k.Encrypt(secret))
		}
		v, w, p := parsed(t, plain), parsed(t, want), parsed(t, plain)
		k.EncryptObject(kind, id, v)
		if !reflect.DeepEqual(v, w) {
			t.Errorf("%s: %v, want %v", kind, v, w)
		}
		k.DecryptObject(kind, id, v)
		if !reflect.DeepEqual(v, p) {
			t.Errorf("%s: opened %v, want %v", kind, v, p)
		}
	}
	f(conf.KindConsumer, "c", `{"plugins":{"key-auth":{"key":"s1"}}}`, `{"plugins":{"key-auth":{"key":"<s1>"}}}`)
	f(conf.KindCredential, "c/credentials/1", `{"plugins":{"basic-auth":{"username":"u","password":"s1"}}}`, `{"plugins":{"basic-auth":{"username":"u","password":"<s1>"}}}`)
	f(conf.KindRoute, "1", `{"plugins":{"key-auth":{"key":"s1"}}}`, `{"plugins":{"key-auth":{"key":"s1"}}}`)
	f(conf.KindConsumer, "c", `{"plugins":{"limit-count":{"redis_password":"s1"}}}`, `{"plugins":{"limit-count":{"redis_password":"<s1>"}}}`)
	f(conf.KindRoute, "1", `{"plugins":{"kafka-logger":{"brokers":[{"host":"h","sasl_config":{"password":"s1"}},{"host":"i"}]}}}`,
		`{"plugins":{"kafka-logger":{"brokers":[{"host":"h","sasl_config":{"password":"<s1>"}},{"host":"i"}]}}}`)
	f(conf.KindService, "1", `{"plugins":{"ai-proxy":{"auth":{"header":{"A":"s1","B":"s2"}}}}}`, `{"plugins":{"ai-proxy":{"auth":{"header":{"A":"<s1>","B":"<s2>"}}}}}`)
	f(conf.KindGlobalRule, "1", `{"plugins":{"feishu-auth":{"secret_fallbacks":["s1","s2",3]}}}`, `{"plugins":{"feishu-auth":{"secret_fallbacks":["<s1>","<s2>",3]}}}`)
	f(conf.KindPluginMetadata, "azure-functions", `{"master_apikey":"s1","master_clientid":"x"}`, `{"master_apikey":"<s1>","master_clientid":"x"}`)
	f(conf.KindSSL, "1", `{"cert":"c","key":"---pem","keys":["---pem"]}`, `{"cert":"c","key":"<---pem>","keys":["<---pem>"]}`)
	f(conf.KindUpstream, "1", `{"tls":{"client_key":"---pem"}}`, `{"tls":{"client_key":"<---pem>"}}`)
	f(conf.KindRoute, "1", `{"upstream":{"tls":{"client_key":"---pem"}}}`, `{"upstream":{"tls":{"client_key":"<---pem>"}}}`)
	f(conf.KindRoute, "1", `{"plugins":{"csrf":7,"limit-req":{"redis_password":null}}}`, `{"plugins":{"csrf":7,"limit-req":{"redis_password":null}}}`)
}

func parsed(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFormerFieldsAreOpened(t *testing.T) {
	k := ring(t, DefaultKeys...)
	v := map[string]any{"plugins": map[string]any{"jwt-auth": map[string]any{"private_key": k.Encrypt("old")}}}
	k.DecryptObject(conf.KindConsumer, "c", v)
	if got := v["plugins"].(map[string]any)["jwt-auth"].(map[string]any)["private_key"]; got != "old" {
		t.Error(got)
	}
}

func TestKeysOnly(t *testing.T) {
	k := ring(t, DefaultKeys...)
	v := parsed(t, `{"plugins":{"limit-count":{"redis_password":"s1"}},"upstream":{"tls":{"client_key":"---pem"}}}`)
	k.KeysOnly().EncryptObject(conf.KindRoute, "1", v)
	want := parsed(t, `{"plugins":{"limit-count":{"redis_password":"s1"}},"upstream":{"tls":{"client_key":"`+k.Encrypt("---pem")+`"}}}`)
	if !reflect.DeepEqual(v, want) {
		t.Errorf("%v", v)
	}
	if got, ok := k.KeysOnly().Decrypt(k.Encrypt("x")); !ok || got != "x" {
		t.Error("what was encrypted is not opened")
	}
}

func TestOpen(t *testing.T) {
	k := ring(t, DefaultKeys...)
	f := func(kind conf.Kind, id, value, want string) {
		t.Helper()
		if got := k.Open(conf.Object{Kind: kind, ID: id, Value: []byte(value)}); string(got.Value) != want {
			t.Errorf("%s %s: %s, want %s", kind, value, got.Value, want)
		}
	}
	sealed := k.Encrypt("s1")
	f(conf.KindConsumer, "c", `{"plugins":{"key-auth":{"key":"`+sealed+`"}}}`, `{"plugins":{"key-auth":{"key":"s1"}}}`)
	f(conf.KindRoute, "1", `{ "uri": "/<a>&" }`, `{ "uri": "/<a>&" }`)
	f(conf.KindRoute, "1", `{"a":"<&>","n":1.50,"plugins":{"csrf":{"key":"`+sealed+`"}}}`, `{"a":"<&>","n":1.50,"plugins":{"csrf":{"key":"s1"}}}`)
	f(conf.KindSSL, "1", `{"key":"`+k.Encrypt("---k")+`"}`, `{"key":"---k"}`)
	f(conf.KindUpstream, "1", `{"tls":{"client_key":"`+k.Encrypt("---k")+`"}}`, `{"tls":{"client_key":"---k"}}`)
	f(conf.KindPluginMetadata, "azure-functions", `{"master_apikey":"`+sealed+`"}`, `{"master_apikey":"s1"}`)
	f(conf.KindPluginMetadata, "http-logger", `{"x":"`+sealed+`"}`, `{"x":"`+sealed+`"}`)
	f(conf.KindRoute, "1", `{"desc":"say \"hi\"","plugins":{"csrf":{"key":"`+sealed+`"}}}`, `{"desc":"say \"hi\"","plugins":{"csrf":{"key":"s1"}}}`)
	f(conf.KindSSL, "1", `{"key":`, `{"key":`)
	f(conf.KindSSL, "1", `7`, `7`)
	f(conf.KindSSL, "1", `null`, `null`)
	if o := k.Open(conf.Object{Kind: conf.KindSSL, ID: "1"}); !o.Deleted() {
		t.Error("a removal became an object")
	}
}

func FuzzDecrypt(f *testing.F) {
	k := ring(f, DefaultKeys...)
	f.Add("plain", "qeddd145sfvddff3")
	f.Add(k.Encrypt("x"), "x")
	f.Fuzz(func(t *testing.T, text, plain string) {
		if got, ok := k.Decrypt(text); !ok && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		if got, ok := k.Decrypt(k.Encrypt(plain)); !ok || got != plain {
			t.Fatalf("%q came back as %q", plain, got)
		}
	})
}
