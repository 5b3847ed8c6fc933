package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/guard"
)

func parse(t *testing.T, text string) *conf.Settings {
	t.Helper()
	s, _, err := conf.ParseSettings("config.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestListenAddresses(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var got []string
		for _, l := range listenAddresses(parse(t, text), slog.New(slog.DiscardHandler)) {
			addr := l.Addr
			if l.Optional {
				addr += "?"
			}
			if l.HTTP2 {
				addr += " h2"
			}
			got = append(got, addr)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	f("", "0.0.0.0:9080", "[::]:9080?")
	f("apisix: {enable_ipv6: false}", "0.0.0.0:9080")
	f("apisix: {node_listen: [80, 81], enable_ipv6: false}", "0.0.0.0:80", "0.0.0.0:81")
	f(`apisix: {node_listen: [{ip: 127.0.0.1, port: 80}, {ip: "::1", port: 80}]}`, "127.0.0.1:80", "[::1]:80")
	f(`apisix: {node_listen: [{ip: "[::1]", port: 80, enable_http2: true}]}`, "[::1]:80 h2")
}

func TestListenOptions(t *testing.T) {
	s := parse(t, "sluice: {reuseport_cpu_steering: true, listen: {backlog: 100, defer_accept: 3s, fast_open: 7}}")
	for _, l := range listenAddresses(s, slog.New(slog.DiscardHandler)) {
		if l.Backlog != 100 || l.DeferAccept.Seconds() != 3 || l.FastOpen != 7 || !l.SteerByCPU {
			t.Errorf("%+v", l)
		}
	}
}

// What cannot be served is not listened on, and said.
func TestUnservedAddressesAreSaid(t *testing.T) {
	var log bytes.Buffer
	listenAddresses(parse(t, "apisix: {proxy_protocol: {listen_http_port: 9181}}"), slog.New(slog.NewTextHandler(&log, nil)))
	if !servesTLS && !strings.Contains(log.String(), "apisix.ssl.listen") || !servesProxyProtocol && !strings.Contains(log.String(), "9181") {
		t.Errorf("the log says %q", log.String())
	}
}

// The data process works on settings that went through JSON.
func TestSettingsSurviveTheWayToTheDataProcess(t *testing.T) {
	for _, text := range []string{
		"",
		"apisix: {trusted_addresses: [10.0.0.0/8], dns_resolver: [1.1.1.1], ssl: {listen: [{port: 9443, enable_http2: false}]}}",
		"plugins: [proxy-rewrite]\nplugin_attr: {other: {a: [1, 2]}, prometheus: {default_buckets: [1, 2.5]}}\ndiscovery: {dns: {servers: [x]}}",
		"nginx_config: {http: {real_ip_from: [10.0.0.1], keepalive_timeout: 0}}",
	} {
		data := parse(t, text).ForData()
		spec, err := dataSpec(parse(t, text), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var got conf.Settings
		if err := json.Unmarshal(spec.Settings, &got); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(&got)
		if err != nil || !bytes.Equal(again, spec.Settings) {
			t.Errorf("%s: %s became %s", text, spec.Settings, again)
		}
		if a, b := guardSettings(data), guardSettings(&got); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: guard %+v became %+v", text, a, b)
		}
		if _, err := guard.New(guardSettings(&got)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(data.Plugins, got.Plugins) {
			t.Errorf("%s: plugins %v became %v", text, data.Plugins, got.Plugins)
		}
	}
}

func TestSpecKnowsNoSecrets(t *testing.T) {
	s := parse(t, `
apisix: {data_encryption: {keyring: [sixteen-byte-key]}}
deployment: {etcd: {host: ["http://127.0.0.1:1"], user: u, password: pass-word}, admin: {admin_key: [{name: a, key: admin-key, role: admin}]}}`)
	spec, err := dataSpec(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"sixteen-byte-key", "pass-word", "admin-key"} {
		if bytes.Contains(spec.Settings, []byte(secret)) {
			t.Errorf("the data process is told %q", secret)
		}
	}
}

// Only what matters to the data process replaces it.
func TestChangesThatKeepTheDataProcess(t *testing.T) {
	digest := func(text string) string {
		spec, err := dataSpec(parse(t, text), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return spec.Digest()
	}
	plain := digest("")
	f := func(text string, same bool) {
		t.Helper()
		if (digest(text) == plain) != same {
			t.Errorf("%s: same data process: %v, want %v", text, !same, same)
		}
	}
	f("nginx_config: {worker_shutdown_timeout: 3s}", true)
	f("nginx_config: {error_log_level: debug}", true)
	f("deployment: {admin: {admin_key: [{name: a, key: b, role: admin}]}}", true)
	f("nginx_config: {worker_processes: 7}", false)
	f("apisix: {node_listen: 9081}", false)
	f("nginx_config: {http: {send_timeout: 3s}}", false)
}

func TestChangedSettings(t *testing.T) {
	f := func(text string, want map[string][]string) {
		t.Helper()
		got := changedSettings(parse(t, ""), parse(t, text))
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		for how, paths := range want {
			if !slices.Equal(got[how], paths) {
				t.Errorf("%s: %s: %v, want %v", text, how, got[how], paths)
			}
		}
	}
	f("", nil)
	f("nginx_config: {worker_shutdown_timeout: 3s}", map[string][]string{"live": {"nginx_config.worker_shutdown_timeout"}})
	f("apisix: {control: {port: 9099}}", map[string][]string{"start": {"apisix.control"}})
	f("plugins: []", map[string][]string{"handover": {"plugins"}})
	f("deployment: {admin: {allow_admin: [10.0.0.0/8]}}", map[string][]string{"live": {"deployment.admin.allow_admin"}})
	f("nginx_config: {worker_processes: 3, error_log_level: warn}\nsluice: {data_dir: /x}", map[string][]string{
		"live": {"nginx_config.error_log_level"}, "handover": {"nginx_config.worker_processes"},
		"start": {"sluice.data_dir", "sluice.admin_key_file", "sluice.embedded_etcd.data_dir", "sluice.last_good.file", "sluice.journal.dir"},
	})
}
