package conf

import "time"

// NginxSettings is section nginx_config: the keys whose meaning exists here.
type NginxSettings struct {
	// WorkerProcesses is the number of loops; auto: one per CPU that affinity
	// and cgroup quota leave us. The environment's APISIX_WORKER_PROCESSES
	// wins.
	WorkerProcesses Workers `yaml:"worker_processes" default:"auto"`
	// EnableCPUAffinity pins every loop to a CPU (APISIX: off).
	EnableCPUAffinity bool `yaml:"enable_cpu_affinity" default:"true"`
	// WorkerRlimitNofile is the limit on open files; 0: as many as the hard
	// limit allows (APISIX: 20480).
	WorkerRlimitNofile uint64 `yaml:"worker_rlimit_nofile" default:"0"`
	// WorkerShutdownTimeout bounds a drain; connections that are left then are
	// cut.
	WorkerShutdownTimeout time.Duration `yaml:"worker_shutdown_timeout" kind:"duration" default:"240s" min:"0" reload:"live"`
	// ErrorLog is the file of the gateway's own log; empty: standard error.
	ErrorLog string `yaml:"error_log" reload:"start"`
	// ErrorLogLevel is the lowest level that is written (APISIX: warn).
	ErrorLogLevel string        `yaml:"error_log_level" default:"info" oneof:"debug|info|notice|warn|error|crit|alert|emerg" reload:"live"`
	Event         EventSettings `yaml:"event"`
	HTTP          HTTPSettings  `yaml:"http"`
	Stream        StreamLog     `yaml:"stream"`
}

// EventSettings is nginx_config.event.
type EventSettings struct {
	// WorkerConnections bounds the client connections of one loop.
	WorkerConnections int `yaml:"worker_connections" default:"10620" min:"16" max:"10000000"`
}

// HTTPSettings is nginx_config.http.
type HTTPSettings struct {
	// EnableAccessLog writes a line per request (APISIX: on).
	EnableAccessLog bool `yaml:"enable_access_log" default:"false"`
	// AccessLog is the file of that log.
	AccessLog string `yaml:"access_log" default:"logs/access.log"`
	// AccessLogFormat is a line with $variables.
	AccessLogFormat string `yaml:"access_log_format" default:"$remote_addr - $remote_user [$time_local] $http_host \"$request\" $status $body_bytes_sent $request_time \"$http_referer\" \"$http_user_agent\" $upstream_addr $upstream_status $upstream_response_time \"$upstream_scheme://$upstream_host$upstream_uri\""`
	// AccessLogFormatEscape is how values are escaped.
	AccessLogFormatEscape string `yaml:"access_log_format_escape" default:"default" oneof:"default|json|none"`
	// KeepaliveTimeout closes client connections that are idle that long; 0
	// turns keep-alive off.
	KeepaliveTimeout time.Duration `yaml:"keepalive_timeout" kind:"duration" default:"60s" min:"0"`
	// KeepaliveRequests closes a client connection after that many requests.
	KeepaliveRequests int `yaml:"keepalive_requests" default:"1000" min:"1" max:"2000000000"`
	// ClientHeaderTimeout bounds reading a request head as a whole.
	ClientHeaderTimeout time.Duration `yaml:"client_header_timeout" kind:"duration" default:"60s" min:"1ms"`
	// ClientBodyTimeout bounds the pause between two reads of a body.
	ClientBodyTimeout time.Duration `yaml:"client_body_timeout" kind:"duration" default:"60s" min:"1ms"`
	// ClientMaxBodySize refuses larger request bodies with 413; 0: no limit.
	ClientMaxBodySize int64 `yaml:"client_max_body_size" kind:"size" default:"0" min:"0"`
	// SendTimeout bounds the pause between two writes to a client.
	SendTimeout time.Duration `yaml:"send_timeout" kind:"duration" default:"10s" min:"1ms"`
	// UnderscoresInHeaders keeps request headers with _ in their names.
	UnderscoresInHeaders bool `yaml:"underscores_in_headers" kind:"onoff" default:"on"`
	// RealIPHeader names the client where the peer is one of real_ip_from.
	RealIPHeader string `yaml:"real_ip_header" default:"X-Real-IP"`
	// RealIPRecursive takes the last address that is not in real_ip_from.
	RealIPRecursive bool `yaml:"real_ip_recursive" kind:"onoff" default:"off"`
	// RealIPFrom are the peers that may name the client.
	RealIPFrom StringList      `yaml:"real_ip_from" default:"127.0.0.1,unix:"`
	Upstream   KeepaliveLimits `yaml:"upstream"`
}

// KeepaliveLimits is nginx_config.http.upstream: the pools of upstreams that
// do not say it themselves in keepalive_pool.
type KeepaliveLimits struct {
	// Keepalive is the number of idle connections per loop and node; 0: none.
	Keepalive int `yaml:"keepalive" default:"320" min:"0" max:"1000000"`
	// KeepaliveRequests closes a connection after that many requests.
	KeepaliveRequests int `yaml:"keepalive_requests" default:"1000" min:"1" max:"2000000000"`
	// KeepaliveTimeout closes connections that are idle that long.
	KeepaliveTimeout time.Duration `yaml:"keepalive_timeout" kind:"duration" default:"60s" min:"0"`
}

// StreamLog is nginx_config.stream.
type StreamLog struct {
	// EnableAccessLog writes a line per TCP or UDP session.
	EnableAccessLog bool `yaml:"enable_access_log" default:"false"`
	// AccessLog is the file of that log.
	AccessLog string `yaml:"access_log" default:"logs/access_stream.log"`
	// AccessLogFormat is a line with $variables.
	AccessLogFormat string `yaml:"access_log_format" default:"$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time"`
	// AccessLogFormatEscape is how values are escaped.
	AccessLogFormatEscape string `yaml:"access_log_format_escape" default:"default" oneof:"default|json|none"`
}
