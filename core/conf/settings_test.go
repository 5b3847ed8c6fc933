package conf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func environ(pairs ...string) func(string) (string, bool) {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestNoFileAtAll(t *testing.T) {
	s, notices, err := ParseSettings("", nil, environ())
	if err != nil {
		t.Fatal(err)
	}
	eq := func(name string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	eq("node_listen", s.APISIX.NodeListen, ListenList{{Port: 9080}})
	eq("ssl.listen", s.APISIX.SSL.Listen, ListenList{{Port: 9443}})
	eq("admin_listen", s.Deployment.Admin.Listen.String(), "127.0.0.1:9180")
	eq("control", s.APISIX.Control.String(), "127.0.0.1:9090")
	eq("status", s.APISIX.Status.IsZero(), true)
	eq("metrics", s.PluginAttr.Prometheus.ExportAddr.String(), "127.0.0.1:9091")
	eq("embedded etcd", s.EmbeddedEtcd(), true)
	eq("embedded etcd's directory", s.Sluice.EmbeddedEtcd.DataDir, filepath.Join("data", "etcd"))
	eq("loops", s.Nginx.WorkerProcesses, Workers(0))
	eq("shutdown", s.Nginx.WorkerShutdownTimeout, 240*time.Second)
	eq("keyring", s.APISIX.DataEncryption.Keyring, StringList{"qeddd145sfvddff3", "edd1c9f0985e76a2"})
	eq("needs an admin key", s.NeedsAdminKey(), true)
	eq("admin keys", s.AdminKeys("made"), []AdminKey{{Name: "admin", Key: "made", Role: "admin"}})
	eq("admin keys without one", len(s.AdminKeys("")), 0)
	eq("plugins", s.Plugins, []string(nil))
	eq("body limit", s.Nginx.HTTP.ClientMaxBodySize, int64(0))
	eq("router", s.APISIX.Router.HTTP, "radixtree_host_uri")
	for _, n := range notices {
		if !strings.Contains(n.Path, "keyring") {
			t.Errorf("a gateway without a file complains: %s", n)
		}
	}
	if !reflect.DeepEqual(s, DefaultSettings()) {
		t.Error("DefaultSettings differs from an empty file")
	}
}

func TestAPISIXFileIsAccepted(t *testing.T) {
	text, err := os.ReadFile("testdata/apisix-full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, notices, err := ParseSettings("config.yaml", text,
		environ("ADMIN_KEY", "0123", "ETCD_PASSWORD", "1234", "METRICS_PORT", "9191"))
	if err != nil {
		t.Fatal(err)
	}
	eq := func(name string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, want %#v", name, got, want)
		}
	}
	yes := true
	eq("node_listen", s.APISIX.NodeListen,
		ListenList{{Port: 9080}, {Port: 9081}, {IP: "127.0.0.2", Port: 9082, HTTP2: &yes}})
	eq("tcp", s.APISIX.StreamProxy.TCP, StreamListenList{{"9100", true}, {"127.0.0.1:9101", false}, {"9102", false}})
	eq("udp", s.APISIX.StreamProxy.UDP, StreamListenList{{"9200", false}, {"127.0.0.1:9201", false}})
	eq("zones", s.APISIX.ProxyCache.Zones[1], CacheZone{Name: "memory_cache", MemorySize: 64 << 20})
	eq("http2 over ssl", s.APISIX.SSL.Listen[1].HTTP3, true)
	eq("control", s.APISIX.Control, Address{IP: "127.0.0.1", Port: 9090})
	eq("status", s.APISIX.Status, Address{IP: "127.0.0.1", Port: 7085})
	eq("dns valid", s.APISIX.DNSResolverValid, 30*time.Second)
	eq("affinity", s.Nginx.EnableCPUAffinity, false)
	eq("keepalive", s.Nginx.HTTP.KeepaliveTimeout, 75*time.Second)
	eq("header timeout", s.Nginx.HTTP.ClientHeaderTimeout, 90*time.Second)
	eq("underscores", s.Nginx.HTTP.UnderscoresInHeaders, false)
	eq("recursive", s.Nginx.HTTP.RealIPRecursive, true)
	eq("body limit from the snippet", s.Nginx.HTTP.ClientMaxBodySize, int64(20<<20))
	eq("access log", s.Nginx.HTTP.EnableAccessLog, true)
	eq("access log's format", s.Nginx.HTTP.AccessLogFormat, `$remote_addr "$request" $status`)
	eq("admin key", s.Deployment.Admin.Keys[0], AdminKey{Name: "admin", Key: "0123", Role: "admin"})
	eq("admin key is given", s.NeedsAdminKey(), false)
	eq("etcd", s.Deployment.Etcd.Host, []string{"http://127.0.0.1:2379", "http://10.0.0.2:2379"})
	eq("password", s.Deployment.Etcd.Password, "1234")
	eq("embedded", s.EmbeddedEtcd(), false)
	eq("metrics port", s.PluginAttr.Prometheus.ExportAddr.Port, 9191)
	eq("buckets", s.PluginAttr.Prometheus.DefaultBuckets, []float64{10, 50, 100})
	eq("otel", string(s.PluginAttr.Rest["opentelemetry"]),
		`{"collector":{"address":"127.0.0.1:4318"},"resource":{"service.name":"APISIX"}}`)
	eq("discovery", string(s.Discovery["dns"]), `{"servers":["127.0.0.1:8600"]}`)

	named := map[string]int{}
	for _, n := range notices {
		named[n.Path]++
		if strings.Contains(n.Why, "unknown key") {
			t.Errorf("a key of APISIX is unknown: %s", n)
		}
	}
	for _, path := range []string{
		"apisix.enable_reuseport", "apisix.extra_lua_path", "apisix.lua_module_hook", "apisix.events",
		"apisix.worker_startup_time_threshold", "nginx_config.user", "nginx_config.max_pending_timers",
		"nginx_config.envs", "nginx_config.meta", "nginx_config.http.lua_shared_dict",
		"nginx_config.http.custom_lua_shared_dict", "nginx_config.http.charset", "ext-plugin", "wasm", "xrpc",
		"plugin_attr.log-rotate", "apisix.ssl.listen", "nginx_config.http_server_location_configuration_snippet",
	} {
		if named[path] != 1 {
			t.Errorf("%s is named %d times, want once", path, named[path])
		}
	}
	// client_max_body_size, map, and the two lines inside the block.
	if n := named["nginx_config.http_configuration_snippet"]; n != 4 {
		t.Errorf("the snippet's directives are named %d times, want 4", n)
	}
	if named["nginx_config.main_configuration_snippet"] != 0 {
		t.Error("a snippet of comments only is named")
	}
}

func TestSettingsErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, _, err := ParseSettings("conf/config.yaml", []byte(text), environ())
		if err == nil {
			t.Errorf("%s\nis accepted, want: %s", text, want)
			return
		}
		if err.Error() != want {
			t.Errorf("%s\n got %s\nwant %s", text, err, want)
		}
	}
	f("apisix:\n  node_listen: x", `config.yaml:2: apisix.node_listen: expected a port (1..65535) or {ip, port}, not the string "x"`)
	f("apisix:\n  node_listen: [9080, 70000]", "config.yaml:2: apisix.node_listen[1]: expected a port (1..65535) or {ip, port}, not 70000")
	f("apisix:\n  node_listen:\n  - port: '80'", `config.yaml:3: apisix.node_listen[0].port: expected an integer, not the string "80"`)
	f("apisix:\n  enable_ipv6: 1", "config.yaml:2: apisix.enable_ipv6: expected true or false, not 1")
	f("apisix: []", "config.yaml:1: apisix: expected a mapping, not a list")
	f("apisix:\n  control: {port: 0}", "config.yaml:2: apisix.control.port: must be at least 1")
	f("apisix:\n  router: {http: radix}", `config.yaml:2: apisix.router.http: "radix" is none of radixtree_host_uri, radixtree_uri, radixtree_uri_with_parameter`)
	f("nginx_config:\n  worker_processes: many", `config.yaml:2: nginx_config.worker_processes: expected auto or a number 1..4096, not the string "many"`)
	f("nginx_config:\n  worker_shutdown_timeout: 3x", `config.yaml:2: nginx_config.worker_shutdown_timeout: "3x" is not a duration: expected a number of seconds or one such as 500ms, 60s, 1m30s`)
	f("nginx_config:\n  http: {client_max_body_size: -1}", `config.yaml:2: nginx_config.http.client_max_body_size: "-1" is not a size: expected a number of bytes or one such as 16k, 20m, 1g`)
	f("nginx_config:\n  http: {client_header_timeout: 0}", "config.yaml:2: nginx_config.http.client_header_timeout: must be at least 1ms")
	f("nginx_config:\n  http: {underscores_in_headers: maybe}", `config.yaml:2: nginx_config.http.underscores_in_headers: expected on or off, not "maybe"`)
	f("nginx_config:\n  http_configuration_snippet: 'client_max_body_size lots;'", `config.yaml:2: nginx_config.http_configuration_snippet: client_max_body_size: "lots" is not a size: expected a number of bytes or one such as 16k, 20m, 1g`)
	f("deployment:\n  role: boss", `config.yaml:2: deployment.role: "boss" is none of traditional, control_plane, data_plane`)
	f("deployment:\n  role_traditional:\n    config_provider: xds", `config.yaml:3: deployment.role_traditional.config_provider: "xds" is none of etcd, yaml, json`)
	f("deployment:\n  role: data_plane", "config.yaml: deployment.etcd.host: a data_plane has no embedded etcd: name the etcd of its control plane, or set role_data_plane.config_provider to yaml")
	f("deployment:\n  etcd: {host: ['127.0.0.1:2379']}", `config.yaml: deployment.etcd.host[0]: "127.0.0.1:2379" is no URL such as http://127.0.0.1:2379`)
	f("deployment:\n  etcd: {user: root}", "config.yaml: deployment.etcd: user and password belong together: set both or none")
	f("deployment:\n  admin: {https_admin: true}", "config.yaml: deployment.admin.https_admin: admin_api_mtls.admin_ssl_cert and admin_ssl_cert_key are needed")
	f("deployment:\n  admin: {allow_admin: [everyone]}", `config.yaml: deployment.admin.allow_admin[0]: "everyone" is neither an address nor a network`)
	f("apisix:\n  node_listen: 9180\ndeployment:\n  admin: {admin_listen: {ip: 0.0.0.0, port: 9180}}", "config.yaml: deployment.admin.admin_listen: 0.0.0.0:9180 is already the address of apisix.node_listen[0]")
	f("apisix:\n  data_encryption: {keyring: [short]}", "config.yaml: apisix.data_encryption.keyring[0]: a key has 16 or 32 bytes, not 5")
	f("apisix:\n  control: {port: 1}\n  control: {port: 2}", "config.yaml:3: apisix.control: the key is given twice, first on line 2")
	f("deployment:\n  admin:\n    admin_key:\n    - name: a\n      key: 1", "config.yaml:5: deployment.admin.admin_key[0].key: expected a string, not 1")
	f("plugins: cors", `config.yaml:1: plugins: expected a list, not the string "cors"`)
	f("sluice: {engine: kqueue}", `config.yaml:1: sluice.engine: "kqueue" is none of auto, epoll, uring`)
	f("x: ${{NO_SUCH}}", "config.yaml:1: the file: the environment has no variable NO_SUCH: set it, or give a default as in ${{NO_SUCH:=value}}")
	f("x: '${{OPEN'", "config.yaml:1: the file: ${{OPEN is not closed by }}")
	f("a: [", "config.yaml: line 1: did not find expected node content")
	f("- a", "config.yaml:1: : expected a mapping, not a list")
	f("a: &a\n  b: *a\napisix: 1", "config.yaml:3: apisix: expected a mapping, not 1")
	// Every wrong value is named, not only the first.
	f("apisix:\n  enable_admin: 1\n  enable_http2: 2", "config.yaml:2: apisix.enable_admin: expected true or false, not 1\nconfig.yaml:3: apisix.enable_http2: expected true or false, not 2")
}

func TestEnvironment(t *testing.T) {
	s, _, err := ParseSettings("", []byte("deployment:\n  etcd:\n    host: ['http://a:1']\n    startup_retry: ${{RETRY}}\napisix:\n  enable_http2: ${{H2:=false}}\n"),
		environ("APISIX_DEPLOYMENT_ETCD_HOST", `["http://b:2","http://c:3"]`, "APISIX_WORKER_PROCESSES", "3", "RETRY", "7"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Deployment.Etcd.Host; !reflect.DeepEqual(got, []string{"http://b:2", "http://c:3"}) {
		t.Errorf("hosts are %v", got)
	}
	if s.Nginx.WorkerProcesses != 3 || s.Deployment.Etcd.StartupRetry != 7 || s.APISIX.EnableHTTP2 {
		t.Errorf("loops %d, retries %d, http2 %t", s.Nginx.WorkerProcesses, s.Deployment.Etcd.StartupRetry, s.APISIX.EnableHTTP2)
	}
	s, _, err = ParseSettings("", nil, environ("APISIX_DEPLOYMENT_ETCD_HOST", "http://b:2, http://c:3"))
	if err != nil || len(s.Deployment.Etcd.Host) != 2 {
		t.Errorf("hosts by comma: %v, %v", s, err)
	}
	if _, _, err = ParseSettings("", nil, environ("APISIX_WORKER_PROCESSES", "lots")); err == nil {
		t.Error("a senseless number of workers is accepted")
	}
}

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	for name, port := range map[string]string{"config.yaml": "1001", "config-dev.yaml": "1002"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("apisix: {node_listen: "+port+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("APISIX_PROFILE", "dev")
	s, _, err := LoadSettings(filepath.Join(dir, "config.yaml"))
	if err != nil || s.APISIX.NodeListen[0].Port != 1002 {
		t.Errorf("profile dev: %v, %v", s, err)
	}
	t.Setenv("APISIX_PROFILE", "")
	s, _, err = LoadSettings(filepath.Join(dir, "config.yaml"))
	if err != nil || s.APISIX.NodeListen[0].Port != 1001 {
		t.Errorf("no profile: %v, %v", s, err)
	}
	if _, _, err := LoadSettings(filepath.Join(dir, "none.yaml")); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestUnknownKeysAreNamedOnce(t *testing.T) {
	_, notices, err := ParseSettings("", []byte("apisix:\n  node_listne: 1\n  ssl: {tls: {deep: 1}}\nfoo: {bar: 1}"), environ())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range notices {
		if n.Line > 0 {
			got = append(got, n.String())
		}
	}
	want := []string{
		"line 2: apisix.node_listne: unknown key, ignored",
		"line 3: apisix.ssl.tls: unknown key, ignored",
		"line 4: foo: unknown key, ignored",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("notices are %q", got)
	}
}

func TestDurationsAndSizes(t *testing.T) {
	d := func(text string, want time.Duration, ok bool) {
		t.Helper()
		if got, err := ParseDuration(text); got != want && ok || (err == nil) != ok {
			t.Errorf("duration %q is %v, %v", text, got, err)
		}
	}
	d("0", 0, true)
	d("2.5", 2500*time.Millisecond, true)
	d("60s", time.Minute, true)
	d("1m30s", 90*time.Second, true)
	d("1h 30m", 90*time.Minute, true)
	d("500ms", 500*time.Millisecond, true)
	d("1d", 24*time.Hour, true)
	d("1M", 30*24*time.Hour, true)
	d("", 0, false)
	d("s", 0, false)
	d("5x", 0, false)
	d("-5s", 0, false)
	d("9999999999999d", 0, false)
	d("nan", 0, false)
	z := func(text string, want int64, ok bool) {
		t.Helper()
		if got, err := ParseSize(text); got != want && ok || (err == nil) != ok {
			t.Errorf("size %q is %v, %v", text, got, err)
		}
	}
	z("0", 0, true)
	z("16384", 16384, true)
	z("16k", 16<<10, true)
	z("20m", 20<<20, true)
	z("1G", 1<<30, true)
	z("", 0, false)
	z("k", 0, false)
	z("1.5m", 0, false)
	z("9999999999g", 0, false)
}

// The data process gets its settings as JSON; what it does not need to know is
// not in them.
func TestSettingsTravelAsJSON(t *testing.T) {
	text, _ := os.ReadFile("testdata/apisix-full.yaml")
	s, _, err := ParseSettings("config.yaml", text, environ("ADMIN_KEY", "topsecret", "ETCD_PASSWORD", "alsosecret"))
	if err != nil {
		t.Fatal(err)
	}
	data := s.ForData()
	b, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"topsecret", "alsosecret", "qeddd145sfvddff3"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("the data process is told %q", secret)
		}
	}
	back := &Settings{}
	if err := json.Unmarshal(b, back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, data) {
		t.Error("settings changed on the way")
	}
	if s.Deployment.Etcd.Password != "alsosecret" {
		t.Error("ForData changed the original")
	}
}

func TestEmbeddedEtcdHasTwoPlaces(t *testing.T) {
	s, _, err := ParseSettings("", []byte("deployment: {etcd: {embedded: {data_dir: /d, listen_client: '127.0.0.1:1', listen_peer: x}}}"), environ())
	if err != nil {
		t.Fatal(err)
	}
	e := s.Sluice.EmbeddedEtcd
	if e.DataDir != "/d" || e.Listen != "127.0.0.1:1" || e.KeepRevisions != 10000 || !s.EmbeddedEtcd() {
		t.Errorf("embedded etcd is %+v", e)
	}
}

func FuzzParseSettings(f *testing.F) {
	text, _ := os.ReadFile("testdata/apisix-full.yaml")
	f.Add(string(text))
	f.Add("apisix:\n  node_listen: [9080, {port: 1}]\n")
	f.Add("a: &a\n  b: *a\n")
	f.Add("apisix: &x {<<: *x}\n")
	f.Add("nginx_config:\n  http_configuration_snippet: 'a \"b;\\\";{'\n")
	f.Add("plugin_attr: {1: {2: 3}}\n")
	f.Add("x: ${{A:=}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, notices, err := ParseSettings("config.yaml", []byte(text), environ("A", "1"))
		if err != nil {
			if s != nil || err.Error() == "" {
				t.Error("settings and an error")
			}
			return
		}
		for _, n := range notices {
			if n.Path == "" || n.Why == "" {
				t.Errorf("an empty notice: %+v", n)
			}
		}
		if _, err := json.Marshal(s.ForData()); err != nil {
			t.Error(err)
		}
	})
}
