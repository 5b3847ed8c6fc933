package conf

import (
	"encoding/json"
	"time"
)

// Settings is config.yaml. The keys are those of APISIX; section sluice is
// ours. docs/configuration.md is made from the comments and tags below:
//
//	yaml     the key; "rest" takes all keys that have no field of their own
//	default  the value without a key, in the form that the file has
//	kind     duration (number of seconds or "60s", "1m30s", "500ms"),
//	         size (bytes or "20m"), onoff ("on"/"off" or a boolean)
//	min max  limits of numbers and durations; oneof: the allowed words
//	reload   what SIGHUP does with a change: live, handover, start (see
//	         ReloadMeanings); inherited by the fields below
type Settings struct {
	APISIX     APISIXSettings     `yaml:"apisix" reload:"handover"`
	Nginx      NginxSettings      `yaml:"nginx_config" reload:"handover"`
	Deployment DeploymentSettings `yaml:"deployment" reload:"start"`

	// Plugins lists the plugins that may be used, by name. When it is given it
	// replaces the built-in list entirely.
	Plugins []string `yaml:"plugins" reload:"handover"`
	// StreamPlugins lists the plugins for TCP and UDP in the same way.
	StreamPlugins []string `yaml:"stream_plugins" reload:"handover"`
	// PluginAttr holds what plugins are told once for all instances.
	PluginAttr PluginAttr `yaml:"plugin_attr" reload:"handover"`
	// Discovery configures service discovery modules, by module name.
	Discovery map[string]json.RawMessage `yaml:"discovery" reload:"handover"`
	GraphQL   GraphQLSettings            `yaml:"graphql" reload:"handover"`

	Sluice SluiceSettings `yaml:"sluice" reload:"handover"`
}

// ReloadMeanings explains the words of the tag reload.
var ReloadMeanings = []struct{ Word, Meaning string }{
	{"live", "SIGHUP applies the change at once"},
	{"handover", "SIGHUP starts a new data process with the change; the old one finishes its requests"},
	{"start", "the change counts from the next start on"},
}

// APISIXSettings is section apisix.
type APISIXSettings struct {
	// NodeListen are the HTTP addresses: a port, a list of ports, or a list of
	// {ip, port, enable_http2}. Without ip all addresses are taken, IPv6 too
	// when enable_ipv6 says so.
	NodeListen ListenList `yaml:"node_listen" default:"9080"`
	// EnableAdmin serves the Admin API (not on a data_plane).
	EnableAdmin bool `yaml:"enable_admin" default:"true" reload:"start"`
	// EnableDevMode runs a single loop, whatever worker_processes says.
	EnableDevMode bool `yaml:"enable_dev_mode" default:"false"`
	// EnableIPv6 listens on IPv6 too where a listen address names no ip.
	EnableIPv6 bool `yaml:"enable_ipv6" default:"true"`
	// EnableHTTP2 offers HTTP/2 on the HTTPS addresses.
	EnableHTTP2 bool `yaml:"enable_http2" default:"true"`
	// EnableServerTokens puts the version into the Server header.
	EnableServerTokens bool `yaml:"enable_server_tokens" default:"true"`
	// ShowUpstreamStatus sets X-APISIX-Upstream-Status on every response; off,
	// only where the upstream answered 5xx.
	ShowUpstreamStatus bool `yaml:"show_upstream_status_in_response_header" default:"false"`
	// DeleteURITailSlash matches routes without one slash at the path's end.
	DeleteURITailSlash bool `yaml:"delete_uri_tail_slash" default:"false"`
	// NormalizeURILikeServlet matches routes without ;parameters in the path.
	NormalizeURILikeServlet bool `yaml:"normalize_uri_like_servlet" default:"false"`
	// MatchURIEncodedSlash keeps %2F apart from / when routes are matched.
	MatchURIEncodedSlash bool `yaml:"match_uri_encoded_slash" default:"false"`
	// MaxPostArgsReadableSize bounds the request body that is read for
	// post_arg variables.
	MaxPostArgsReadableSize int64          `yaml:"max_post_args_readable_size" kind:"size" default:"64m" min:"0"`
	ProxyProtocol           ProxyProtocol  `yaml:"proxy_protocol"`
	ProxyCache              ProxyCache     `yaml:"proxy_cache"`
	Router                  RouterSettings `yaml:"router"`
	// ProxyMode says whether HTTP, TCP and UDP (stream), or both are proxied.
	ProxyMode   string      `yaml:"proxy_mode" default:"http" oneof:"http|stream|http&stream"`
	StreamProxy StreamProxy `yaml:"stream_proxy"`
	// DNSResolver are the name servers, "ip" or "ip:port"; without any
	// /etc/resolv.conf is read.
	DNSResolver []string `yaml:"dns_resolver"`
	// DNSResolverValid replaces the TTL of DNS answers; 0 keeps the answer's.
	DNSResolverValid time.Duration `yaml:"dns_resolver_valid" kind:"duration" default:"0" min:"0"`
	// ResolverTimeout bounds one DNS query.
	ResolverTimeout time.Duration `yaml:"resolver_timeout" kind:"duration" default:"5" min:"1ms"`
	// EnableResolvSearch applies the search list of /etc/resolv.conf.
	EnableResolvSearch bool        `yaml:"enable_resolv_search_opt" default:"true"`
	SSL                SSLSettings `yaml:"ssl"`
	// EnableControl serves the control API.
	EnableControl bool `yaml:"enable_control" default:"true" reload:"start"`
	// Control is the address of the control API.
	Control Address `yaml:"control" default:"127.0.0.1:9090" reload:"start"`
	// Status is the address of /status and /status/ready; not served unless
	// it is given.
	Status         Address        `yaml:"status" reload:"start"`
	DataEncryption DataEncryption `yaml:"data_encryption" reload:"start"`
	// TrustedAddresses are peers (addresses or networks) whose X-Forwarded-*
	// headers are believed. Without a list X-Forwarded-For is continued and
	// the others are set anew.
	TrustedAddresses []string `yaml:"trusted_addresses"`
	// DisableHealthcheck turns health checks of all upstreams off.
	DisableHealthcheck bool        `yaml:"disable_upstream_healthcheck" default:"false"`
	LRU                LRUSettings `yaml:"lru"`
	// Tracing records spans of the gateway's own phases.
	Tracing bool `yaml:"tracing" default:"false"`
}

// ProxyProtocol is apisix.proxy_protocol.
type ProxyProtocol struct {
	// HTTPPort takes HTTP behind a PROXY protocol header; 0: none.
	HTTPPort int `yaml:"listen_http_port" default:"0" min:"0" max:"65535"`
	// HTTPSPort takes HTTPS behind a PROXY protocol header; 0: none.
	HTTPSPort int `yaml:"listen_https_port" default:"0" min:"0" max:"65535"`
	// TCP expects the header on the addresses of stream_proxy.tcp.
	TCP bool `yaml:"enable_tcp_pp" default:"false"`
	// TCPToUpstream sends the header to the upstreams of stream routes.
	TCPToUpstream bool `yaml:"enable_tcp_pp_to_upstream" default:"false"`
}

// ProxyCache is apisix.proxy_cache.
type ProxyCache struct {
	// TTL is how long a response is kept that does not say it itself.
	TTL   time.Duration `yaml:"cache_ttl" kind:"duration" default:"10s" min:"0"`
	Zones []CacheZone   `yaml:"zones"`
}

// CacheZone is one cache: in memory, or on disk when disk_path is given.
// Without any the zones disk_cache_one and memory_cache exist.
type CacheZone struct {
	// Name is what the plugin proxy-cache calls the zone by.
	Name string `yaml:"name"`
	// MemorySize bounds a memory zone, or a disk zone's index.
	MemorySize int64 `yaml:"memory_size" kind:"size" default:"50m" min:"1"`
	// DiskSize bounds a disk zone.
	DiskSize int64 `yaml:"disk_size" kind:"size" default:"0" min:"0"`
	// DiskPath is the zone's directory; empty: a memory zone.
	DiskPath string `yaml:"disk_path"`
	// CacheLevels are the levels of directories, as in "1:2".
	CacheLevels string `yaml:"cache_levels"`
}

// RouterSettings is apisix.router.
type RouterSettings struct {
	// HTTP is how routes are matched: by host and path, by path, or by path
	// with parameters.
	HTTP string `yaml:"http" default:"radixtree_host_uri" oneof:"radixtree_host_uri|radixtree_uri|radixtree_uri_with_parameter"`
	// SSL is how certificates are chosen.
	SSL string `yaml:"ssl" default:"radixtree_sni" oneof:"radixtree_sni"`
}

// StreamProxy is apisix.stream_proxy.
type StreamProxy struct {
	// TCP are ports, "ip:port", or {addr, tls}.
	TCP StreamListenList `yaml:"tcp"`
	// UDP are ports or "ip:port".
	UDP StreamListenList `yaml:"udp"`
}

// SSLSettings is apisix.ssl.
type SSLSettings struct {
	// Enable serves HTTPS.
	Enable bool `yaml:"enable" default:"true"`
	// Listen are the HTTPS addresses, as in node_listen, with enable_http3.
	Listen ListenList `yaml:"listen" default:"9443"`
	// Protocols are the TLS versions, separated by blanks.
	Protocols string `yaml:"ssl_protocols" default:"TLSv1.2 TLSv1.3"`
	// Ciphers are OpenSSL names separated by colons, for TLS 1.2; empty: the
	// secure ones of Go.
	Ciphers string `yaml:"ssl_ciphers"`
	// SessionTickets allows resumption by ticket.
	SessionTickets bool `yaml:"ssl_session_tickets" default:"false"`
	// TrustedCertificate is a PEM file of CAs that upstreams and etcd are
	// verified with; system: those of the host.
	TrustedCertificate string `yaml:"ssl_trusted_certificate" default:"system"`
	// FallbackSNI stands in where a client sends no server name.
	FallbackSNI string `yaml:"fallback_sni"`
}

// DataEncryption is apisix.data_encryption.
type DataEncryption struct {
	// Enable encrypts secret fields of plugins in etcd.
	Enable bool `yaml:"enable_encrypt_fields" default:"true"`
	// Keyring are keys of 16 or 32 bytes: the first encrypts, all decrypt. The
	// default keys are those that APISIX ships: everybody knows them.
	Keyring StringList `yaml:"keyring" default:"qeddd145sfvddff3,edd1c9f0985e76a2"`
}

// LRUSettings is apisix.lru.
type LRUSettings struct {
	Secret SecretCache `yaml:"secret"`
}

// SecretCache is apisix.lru.secret: the cache of $secret:// references.
type SecretCache struct {
	// TTL is how long a fetched value is used.
	TTL time.Duration `yaml:"ttl" kind:"duration" default:"300" min:"0"`
	// NegTTL is how long a failure is remembered.
	NegTTL time.Duration `yaml:"neg_ttl" kind:"duration" default:"60" min:"0"`
	// Count bounds the values kept.
	Count int `yaml:"count" default:"512" min:"1" max:"10000000"`
}

// GraphQLSettings is section graphql.
type GraphQLSettings struct {
	// MaxSize bounds the request body that is read for graphql_* variables.
	MaxSize int64 `yaml:"max_size" kind:"size" default:"1m" min:"1"`
}

// PluginAttr is section plugin_attr.
type PluginAttr struct {
	Prometheus PrometheusAttr `yaml:"prometheus"`
	// Rest are the attributes of other plugins, by plugin name.
	Rest map[string]json.RawMessage `yaml:",rest"`
}

// PrometheusAttr is plugin_attr.prometheus.
type PrometheusAttr struct {
	// ExportURI is the path of the metrics.
	ExportURI string `yaml:"export_uri" default:"/apisix/prometheus/metrics"`
	// MetricPrefix begins every metric's name.
	MetricPrefix string `yaml:"metric_prefix" default:"apisix_"`
	// EnableExportServer serves the metrics on export_addr.
	EnableExportServer bool `yaml:"enable_export_server" default:"true"`
	// ExportAddr is where metrics are served.
	ExportAddr Address `yaml:"export_addr" default:"127.0.0.1:9091"`
	// RefreshInterval is how old the text that is served may be.
	RefreshInterval time.Duration `yaml:"refresh_interval" kind:"duration" default:"15" min:"0"`
	// Metrics adds labels to single metrics and lets series expire:
	// {http_status: {extra_labels: [{name: $var}], expire: 0}}.
	Metrics json.RawMessage `yaml:"metrics"`
	// DefaultBuckets are the bounds of the latency histogram in milliseconds.
	DefaultBuckets []float64 `yaml:"default_buckets"`
}
