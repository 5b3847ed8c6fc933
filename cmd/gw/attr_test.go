package main

import (
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func TestHTTPSPortOfRedirects(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		s, _, err := conf.ParseSettings("config.yaml", []byte(yaml), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		if got := string(pluginAttr(s)["redirect"]); got != want {
			t.Errorf("%s: %s, want %s", yaml, got, want)
		}
	}
	f("apisix: {}", `{"https_port":9443}`)
	f("apisix: {ssl: {enable: true, listen: [{port: 8443}, {port: 8444}]}}", `{"https_port":8443}`)
	f("apisix: {ssl: {enable: false}}", "")
	f("plugin_attr: {redirect: {https_port: 443}}", `{"https_port":443}`)
	f("plugin_attr: {redirect: {other: 1}}", `{"https_port":9443,"other":1}`)
}
