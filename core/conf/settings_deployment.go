package conf

import "time"

// The values of deployment.role.
const (
	RoleTraditional  = "traditional"
	RoleControlPlane = "control_plane"
	RoleDataPlane    = "data_plane"
)

// The values of config_provider.
const (
	ProviderEtcd = "etcd"
	ProviderYAML = "yaml"
	ProviderJSON = "json"
)

// DeploymentSettings is section deployment.
type DeploymentSettings struct {
	// Role is traditional (Admin API and traffic), control_plane (Admin API
	// only) or data_plane (traffic only, never writes to etcd).
	Role string `yaml:"role" default:"traditional" oneof:"traditional|control_plane|data_plane"`
	// Traditional counts with role traditional, and so on.
	Traditional  RoleSettings  `yaml:"role_traditional"`
	ControlPlane RoleSettings  `yaml:"role_control_plane"`
	DataPlane    RoleSettings  `yaml:"role_data_plane"`
	Admin        AdminSettings `yaml:"admin"`
	Etcd         EtcdSettings  `yaml:"etcd"`
}

// RoleSettings is deployment.role_*.
type RoleSettings struct {
	// Provider is where resources come from: etcd, or the files apisix.yaml or
	// apisix.json beside config.yaml.
	Provider string `yaml:"config_provider" default:"etcd" oneof:"etcd|yaml|json"`
}

// AdminSettings is deployment.admin.
type AdminSettings struct {
	// KeyRequired demands an API key. Without it everyone whom allow_admin
	// lets in may do everything.
	KeyRequired bool `yaml:"admin_key_required" default:"true" reload:"live"`
	// Keys are the administrators. Without any, or with an empty key, a key is
	// made at the first start and kept in sluice.admin_key_file.
	Keys []AdminKey `yaml:"admin_key" reload:"live"`
	// CORS lets browsers of any origin use the Admin API.
	CORS bool `yaml:"enable_admin_cors" default:"true" reload:"live"`
	// UI serves the console under /ui/.
	UI bool `yaml:"enable_admin_ui" default:"true"`
	// Allow lists the client addresses and networks that may connect; an
	// empty list admits everyone.
	Allow StringList `yaml:"allow_admin" default:"127.0.0.0/24" reload:"live"`
	// Listen is the address of the Admin API (APISIX: 0.0.0.0).
	Listen Address `yaml:"admin_listen" default:"127.0.0.1:9180"`
	// HTTPS serves the Admin API by TLS, with the files of admin_api_mtls.
	HTTPS bool     `yaml:"https_admin" default:"false"`
	MTLS  AdminTLS `yaml:"admin_api_mtls"`
	// APIVersion is the envelope of answers.
	APIVersion string `yaml:"admin_api_version" default:"v3" oneof:"v2|v3"`
}

// AdminKey is one administrator.
type AdminKey struct {
	// Name stands in the journal.
	Name string `yaml:"name"`
	// Key is what the client sends as X-API-KEY.
	Key string `yaml:"key"`
	// Role is admin (everything) or viewer (reads only).
	Role string `yaml:"role" default:"admin" oneof:"admin|viewer"`
}

// AdminTLS is deployment.admin.admin_api_mtls.
type AdminTLS struct {
	// Cert is the PEM file of the server's certificate.
	Cert string `yaml:"admin_ssl_cert"`
	// Key is the PEM file of its private key.
	Key string `yaml:"admin_ssl_cert_key"`
	// CA is a PEM file; when given, clients must show a certificate of it.
	CA string `yaml:"admin_ssl_ca_cert"`
}

// EtcdSettings is deployment.etcd.
type EtcdSettings struct {
	// Host are the endpoints of the cluster, http:// or https:// URLs. Without
	// any the embedded etcd is used (sluice.embedded_etcd). The environment's
	// APISIX_DEPLOYMENT_ETCD_HOST (a JSON array, or URLs separated by commas)
	// wins.
	Host []string `yaml:"host"`
	// Prefix begins every key.
	Prefix string `yaml:"prefix" default:"/apisix"`
	// Timeout bounds one request.
	Timeout time.Duration `yaml:"timeout" kind:"duration" default:"30" min:"1ms"`
	// WatchTimeout is how long a watch may stay silent before it is opened
	// again elsewhere.
	WatchTimeout time.Duration `yaml:"watch_timeout" kind:"duration" default:"50" min:"1ms"`
	// ResyncDelay is the longest pause between two tries; pauses vary by half.
	ResyncDelay time.Duration `yaml:"resync_delay" kind:"duration" default:"5" min:"1ms"`
	// HealthCheckTimeout bounds the look at one endpoint.
	HealthCheckTimeout time.Duration `yaml:"health_check_timeout" kind:"duration" default:"10" min:"-1s"`
	// StartupRetry is how many more tries are made at the start before the
	// last good configuration is served or, without one, the start fails.
	StartupRetry int `yaml:"startup_retry" default:"2" min:"0" max:"1000000"`
	// User logs in with password; both or none.
	User string `yaml:"user"`
	// Password belongs to user.
	Password string  `yaml:"password"`
	TLS      EtcdTLS `yaml:"tls"`
	// Embedded is another place for sluice.embedded_etcd.
	Embedded *EmbeddedEtcd `yaml:"embedded"`
}

// EtcdTLS is deployment.etcd.tls.
type EtcdTLS struct {
	// Cert is the PEM file of our client certificate; together with key.
	Cert string `yaml:"cert"`
	// Key is the PEM file of its private key.
	Key string `yaml:"key"`
	// CA is a PEM file that verifies the servers (ours; APISIX takes
	// apisix.ssl.ssl_trusted_certificate, which also counts here).
	CA string `yaml:"ca"`
	// Verify checks the servers' certificates.
	Verify bool `yaml:"verify" default:"true"`
	// SNI is the name that is asked for and verified; empty: the URL's host.
	SNI string `yaml:"sni"`
}

// Provider is the config_provider of the role in force.
func (s *Settings) Provider() string {
	switch s.Deployment.Role {
	case RoleControlPlane:
		return s.Deployment.ControlPlane.Provider
	case RoleDataPlane:
		return s.Deployment.DataPlane.Provider
	}
	return s.Deployment.Traditional.Provider
}

// EmbeddedEtcd tells whether etcd runs inside this process: etcd is the
// provider and no host is named.
func (s *Settings) EmbeddedEtcd() bool {
	return s.Provider() == ProviderEtcd && len(s.Deployment.Etcd.Host) == 0
}

// ServesAdmin tells whether this node has an Admin API.
func (s *Settings) ServesAdmin() bool {
	return s.APISIX.EnableAdmin && s.Deployment.Role != RoleDataPlane
}

// ServesTraffic tells whether this node has a data plane.
func (s *Settings) ServesTraffic() bool { return s.Deployment.Role != RoleControlPlane }

// ForData is what the data process has to know: no credentials of the Admin
// API or etcd.
func (s *Settings) ForData() *Settings {
	d := *s
	d.Deployment = DeploymentSettings{Role: s.Deployment.Role}
	d.APISIX.DataEncryption = DataEncryption{}
	d.Nginx.WorkerShutdownTimeout = 0 // Told on its own, since it changes live.
	d.Nginx.ErrorLogLevel = ""
	return &d
}
