package conf

import "time"

// SluiceSettings is section sluice: what APISIX does not have. Relative paths
// start at the working directory.
type SluiceSettings struct {
	// DataDir holds what must survive a restart.
	DataDir string `yaml:"data_dir" default:"data" reload:"start"`
	// RunDir holds sockets and pid files; at most 80 bytes long.
	RunDir string `yaml:"run_dir" default:"data/run" reload:"start"`
	// AdminKeyFile keeps the admin key that was made because none is
	// configured, readable by its owner only; empty: admin.key in data_dir.
	AdminKeyFile string `yaml:"admin_key_file" reload:"start"`
	// Engine is the event engine of the loops; auto takes io_uring where the
	// kernel has it.
	Engine string `yaml:"engine" default:"auto" oneof:"auto|epoll|uring"`
	// CPUSteering gives a connection to the loop on the CPU that received it.
	CPUSteering bool `yaml:"reuseport_cpu_steering" default:"false"`
	// ServerHeader is the Server field of all responses, such as APISIX/3.18.0
	// for clients that look for it; empty: Sluice, with the version where
	// enable_server_tokens is on.
	ServerHeader string `yaml:"server_header"`
	// StallWarn is how long a loop may be busy without a break before the
	// watchdog counts and names it.
	StallWarn time.Duration  `yaml:"stall_warn" kind:"duration" default:"1ms" min:"100us"`
	Listen    SocketSettings `yaml:"listen"`
	Limits    RequestLimits  `yaml:"limits"`
	State     StateSettings  `yaml:"state"`
	Log       LogSettings    `yaml:"log" reload:"start"`

	EmbeddedEtcd EmbeddedEtcd `yaml:"embedded_etcd" reload:"start"`
	LastGood     LastGood     `yaml:"last_good" reload:"start"`
	Journal      Journal      `yaml:"journal" reload:"start"`
	// StoreRegress is what a running gateway does when etcd comes back wiped
	// or older: keep serving what it has until gw sync --accept, or accept.
	StoreRegress string `yaml:"store_regress" default:"keep" oneof:"keep|accept" reload:"live"`
}

// SocketSettings is sluice.listen: the data plane's listening sockets.
type SocketSettings struct {
	// Backlog is the accept queue per socket; the kernel clips it to
	// net.core.somaxconn.
	Backlog int `yaml:"backlog" default:"65535" min:"1" max:"2147483647"`
	// DeferAccept wakes a loop only when a connection brings data; whole
	// seconds, 0: off.
	DeferAccept time.Duration `yaml:"defer_accept" kind:"duration" default:"0" min:"0"`
	// FastOpen is the queue of TCP Fast Open connections, 0: off.
	FastOpen int `yaml:"fast_open" default:"0" min:"0" max:"65535"`
}

// RequestLimits is sluice.limits: what one request may be.
type RequestLimits struct {
	// MaxHead bounds a request head; beyond: 431.
	MaxHead int64 `yaml:"max_head" kind:"size" default:"32k" min:"1024" max:"1048576"`
	// MaxURI bounds the request target; beyond: 414.
	MaxURI int64 `yaml:"max_uri" kind:"size" default:"8k" min:"256" max:"1048576"`
	// MaxHeaders bounds the number of header fields; beyond: 431.
	MaxHeaders int `yaml:"max_headers" default:"100" min:"1" max:"10000"`
}

// StateSettings is sluice.state: the tables of counters that all loops share and
// that outlive the data process. An entry takes 73 bytes once it is used. A key
// that finds no room is counted (sluice_state_full_total) and follows the
// plugin's allow_degradation. Changing a size starts all tables anew.
type StateSettings struct {
	// Limits is for limit-count, limit-req and api-breaker, one entry per key.
	Limits int `yaml:"limits" default:"262144" min:"1024" max:"134217728"`
	// Conns is for limit-conn, one entry per key with requests in flight.
	Conns int `yaml:"conns" default:"65536" min:"1024" max:"134217728"`
	// Breakers is for circuit-breaker.
	Breakers int `yaml:"breakers" default:"16384" min:"1024" max:"134217728"`
}

// LogSettings is sluice.log.
type LogSettings struct {
	// Format of the gateway's own log.
	Format string `yaml:"format" default:"text" oneof:"text|json"`
}

// EmbeddedEtcd is sluice.embedded_etcd: the etcd that runs inside the control
// process when deployment.etcd.host is absent.
type EmbeddedEtcd struct {
	// DataDir is its directory; empty: etcd in sluice.data_dir.
	DataDir string `yaml:"data_dir"`
	// Listen is the TCP address for etcdctl and other nodes; off leaves only
	// the unix socket that the gateway itself uses.
	Listen string `yaml:"listen" default:"127.0.0.1:2379"`
	// ListenClient is another name of listen.
	ListenClient string `yaml:"listen_client"`
	// Socket is the unix socket; empty: etcd.sock in data_dir.
	Socket string `yaml:"socket"`
	// Quota bounds the database; beyond it writes are refused.
	Quota int64 `yaml:"quota" kind:"size" default:"2g" min:"16777216" max:"8589934592"`
	// KeepRevisions is the history that compaction leaves.
	KeepRevisions int `yaml:"keep_revisions" default:"10000" min:"100" max:"10000000"`
	// Fsync writes every change to the disk before it is answered.
	Fsync bool `yaml:"fsync" default:"true"`
}

// LastGood is sluice.last_good: the copy of the configuration that is served
// when etcd cannot be reached at the start.
type LastGood struct {
	// Enable keeps the copy.
	Enable bool `yaml:"enable" default:"true"`
	// File is where; empty: last-good.bin in data_dir.
	File string `yaml:"file"`
}

// Journal is sluice.journal: who changed what and when.
type Journal struct {
	// Enable keeps the journal.
	Enable bool `yaml:"enable" default:"true"`
	// Dir is where; empty: journal in data_dir.
	Dir string `yaml:"dir"`
	// MaxSize bounds all of it; the oldest entries go first.
	MaxSize int64 `yaml:"max_size" kind:"size" default:"256m" min:"1048576"`
}
