package conf

import "strings"

// withoutMeaning are keys that APISIX knows and that do nothing here, with the
// reason. A key stands for everything below it.
var withoutMeaning = map[string]string{
	"apisix.enable_reuseport":                            "every loop has its own listening socket, always",
	"apisix.extra_lua_path":                              "there is no Lua here: plugins are written in Go",
	"apisix.extra_lua_cpath":                             "there is no Lua here: plugins are written in Go",
	"apisix.lua_module_hook":                             "there is no Lua here: plugins are written in Go",
	"apisix.lua_max_pending_timers":                      "there is no Lua here",
	"apisix.disable_sync_configuration_during_start":     "the start never waits for a synchronisation from workers",
	"apisix.worker_startup_time_threshold":               "a data process that dies is always restarted with its configuration",
	"apisix.events":                                      "loops share one process: there are no events between workers",
	"apisix.ssl.key_encrypt_salt":                        "moved to apisix.data_encryption.keyring",
	"apisix.ssl.enable_http2":                            "moved to apisix.enable_http2",
	"apisix.ssl.listen_port":                             "moved to apisix.ssl.listen",
	"apisix.ssl.ssl_cert":                                "certificates are resources: see /apisix/admin/ssls",
	"apisix.ssl.ssl_cert_key":                            "certificates are resources: see /apisix/admin/ssls",
	"apisix.admin_key":                                   "moved to deployment.admin.admin_key",
	"apisix.allow_admin":                                 "moved to deployment.admin.allow_admin",
	"apisix.port_admin":                                  "moved to deployment.admin.admin_listen",
	"apisix.admin_listen":                                "moved to deployment.admin.admin_listen",
	"apisix.enable_admin_cors":                           "moved to deployment.admin.enable_admin_cors",
	"apisix.https_admin":                                 "moved to deployment.admin.https_admin",
	"apisix.config_center":                               "moved to deployment.role_traditional.config_provider",
	"apisix.enable_debug":                                "removed by APISIX; use debug.yaml",
	"apisix.real_ip_header":                              "moved to nginx_config.http.real_ip_header",
	"nginx_config.user":                                  "start the gateway as the user that it shall run as",
	"nginx_config.max_pending_timers":                    "there are no Lua timers here",
	"nginx_config.max_running_timers":                    "there are no Lua timers here",
	"nginx_config.envs":                                  "the whole environment is visible to $env:// references",
	"nginx_config.meta":                                  "shared memory zones of nginx; tables here are sized by section sluice",
	"nginx_config.stream.lua_shared_dict":                "shared memory zones of nginx",
	"nginx_config.http.lua_shared_dict":                  "shared memory zones of nginx",
	"nginx_config.http.custom_lua_shared_dict":           "shared memory zones of nginx",
	"nginx_config.http.lua_shared_dicts":                 "shared memory zones of nginx",
	"nginx_config.http.access_log_buffer":                "lines are buffered in rings between the processes",
	"nginx_config.http.charset":                          "the Content-Type of an upstream is never changed",
	"nginx_config.http.variables_hash_max_size":          "variables are resolved when the configuration arrives",
	"nginx_config.http.proxy_ssl_server_name":            "the server name is always sent to https upstreams",
	"deployment.certs":                                   "certificates of APISIX's conf server, which does not exist here",
	"deployment.role_control_plane.conf_server":          "APISIX's conf server does not exist here: data planes read etcd",
	"deployment.role_control_plane.cert":                 "APISIX's conf server does not exist here",
	"deployment.role_data_plane.control_plane":           "APISIX's conf server does not exist here: data planes read etcd",
	"deployment.etcd.use_grpc":                           "etcd is always spoken to by gRPC",
	"deployment.admin.admin_api_mtls.admin_ssl_protocol": "TLS 1.2 and 1.3 are offered",
	"deployment.etcd.embedded.listen_peer":               "the embedded etcd is a single member and has no peers",
	"sluice.embedded_etcd.listen_peer":                   "the embedded etcd is a single member and has no peers",
	"etcd":                                               "moved to deployment.etcd",
	"wasm":                                               "WebAssembly plugins are not supported",
	"xrpc":                                               "xRPC protocols are not supported",
	"ext-plugin":                                         "external plugin runners are not supported: write the plugin in Go",
	"plugin_attr.inspect":                                "the plugin inspect is a debugger for Lua",
	"plugin_attr.log-rotate":                             "logs are rotated by the host (logrotate, journald)",
	"plugin_attr.dubbo-proxy":                            "Dubbo is not supported",
}

func meaningless(path string) string { return withoutMeaning[path] }

// notices names settings that are understood and can still not be met.
func (s *Settings) notices() []Notice {
	var out []Notice
	add := func(path, why string) { out = append(out, Notice{Path: path, Why: why}) }
	if !s.Deployment.Admin.KeyRequired && s.ServesAdmin() {
		add("deployment.admin.admin_key_required", "the Admin API asks for no key: whoever reaches it may do everything")
	}
	for version := range strings.FieldsSeq(s.APISIX.SSL.Protocols) {
		if version == "TLSv1" || version == "TLSv1.1" {
			add("apisix.ssl.ssl_protocols", version+" is broken; it is offered since the file asks for it")
		}
	}
	for _, l := range s.APISIX.SSL.Listen {
		if l.HTTP3 {
			add("apisix.ssl.listen", "enable_http3: HTTP/3 is not supported yet; HTTPS on the port is")
			break
		}
	}
	if s.Deployment.Admin.APIVersion == "v2" {
		add("deployment.admin.admin_api_version", "answers have the form of v3")
	}
	if s.APISIX.Tracing {
		add("apisix.tracing", "spans of APISIX's phases are not recorded; use the tracing plugins")
	}
	shipped := 0
	for _, key := range s.APISIX.DataEncryption.Keyring {
		if key == "qeddd145sfvddff3" || key == "edd1c9f0985e76a2" {
			shipped++
		}
	}
	if s.APISIX.DataEncryption.Enable && shipped > 0 && shipped == len(s.APISIX.DataEncryption.Keyring) && s.Provider() == ProviderEtcd {
		add("apisix.data_encryption.keyring", "only the keys that APISIX ships: put a secret one first")
	}
	return out
}
