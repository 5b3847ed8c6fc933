package admin

import (
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/atrest"
	"github.com/sluicegw/sluice/core/conf"
)

// Trap 18 of the contract: encrypted fields with the shipped default keys.
func TestSecretFieldsAtRest(t *testing.T) {
	ring, err := atrest.New(atrest.DefaultKeys)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *Options) { o.Keyring = ring })
	stored := func(kind conf.Kind, id string) string {
		o, err := b.store.Get(t.Context(), kind, id)
		if err != nil {
			t.Fatal(err)
		}
		return string(o.Value)
	}
	b.run([]step{
		{"PUT", "/consumers/jack", `{"username":"jack","plugins":{"key-auth":{"key":"secret-one"}}}`, 201, `~"key":"secret-one"`},
		{"GET", "/consumers/jack", ``, 200, `~"key":"secret-one"`},
		{"GET", "/consumers", ``, 200, `~"key":"secret-one"`},
		{"PUT", "/consumers/jill", `{"username":"jill","plugins":{"key-auth":{"key":"secret-one"}}}`, 400, `~duplicate key`},
		{"PUT", "/global_rules/1", `{"plugins":{"limit-count":{"redis_password":"pw","count":1}}}`, 201, `~"redis_password":"pw"`},
		// PATCH must not encrypt twice.
		{"PATCH", "/global_rules/1", `{"plugins":{"limit-count":{"count":2}}}`, 200, `~"redis_password":"pw"`},
		{"PATCH", "/global_rules/1/plugins/limit-count/count", `3`, 200, `~"redis_password":"pw"`},
		{"PUT", "/ssls/1", `{"cert":"C","key":"---K","keys":["---K2"]}`, 201, ``},
		{"PATCH", "/ssls/1", `{"desc":"d"}`, 200, ``},
		{"PUT", "/upstreams/1", `{"tls":{"client_cert":"C","client_key":"---UK"}}`, 201, ``},
	})
	for text, secret := range map[string]string{
		stored(conf.KindConsumer, "jack"): "secret-one",
		stored(conf.KindGlobalRule, "1"):  `"pw"`,
		stored(conf.KindSSL, "1"):         "---K",
		stored(conf.KindUpstream, "1"):    "---UK",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s lies open in %s", secret, text)
		}
	}
	if want := `"redis_password":"` + ring.Encrypt("pw") + `"`; !strings.Contains(stored(conf.KindGlobalRule, "1"), want) {
		t.Errorf("%s lacks %s", stored(conf.KindGlobalRule, "1"), want)
	}
	if want := ring.Encrypt("---K2"); !strings.Contains(stored(conf.KindSSL, "1"), want) {
		t.Errorf("the key was not encrypted once: %s", stored(conf.KindSSL, "1"))
	}
	// The checks see plain values.
	if got := b.checker.last[conf.KindSSL]; !strings.Contains(got, "---K2") {
		t.Errorf("checked %s", got)
	}
	for _, c := range b.journal {
		if strings.Contains(string(c.After)+string(c.Before), "secret-one") {
			t.Error("the journal shows a secret")
		}
	}
	// Data of an older key and data from before encryption stay readable.
	old, err := atrest.New(atrest.DefaultKeys[1:])
	if err != nil {
		t.Fatal(err)
	}
	b.store.put(conf.KindConsumer, "old", `{"username":"old","plugins":{"key-auth":{"key":"`+old.Encrypt("older")+`"}}}`)
	b.store.put(conf.KindConsumer, "plain", `{"username":"plain","plugins":{"key-auth":{"key":"plainkey"}}}`)
	b.run([]step{
		{"GET", "/consumers/old", ``, 200, `~"key":"older"`},
		{"GET", "/consumers/plain", ``, 200, `~"key":"plainkey"`},
	})
}
