package conf

import "encoding/json"

// Route is a rule that picks requests and says where they go.
type Route struct {
	Meta

	URI         string   `json:"uri,omitempty"`
	URIs        []string `json:"uris,omitempty"`
	Host        string   `json:"host,omitempty"`
	Hosts       []string `json:"hosts,omitempty"`
	RemoteAddr  string   `json:"remote_addr,omitempty"`
	RemoteAddrs []string `json:"remote_addrs,omitempty"`
	// Methods is empty when every method fits.
	Methods  []string `json:"methods,omitempty"`
	Priority int      `json:"priority,omitempty"`
	// Vars is the JSON text of the expression, nil when there is none.
	Vars json.RawMessage `json:"vars,omitempty"`

	Plugins        Plugins   `json:"plugins,omitempty"`
	PluginConfigID ID        `json:"plugin_config_id,omitempty"`
	Upstream       *Upstream `json:"upstream,omitempty"`
	UpstreamID     ID        `json:"upstream_id,omitempty"`
	ServiceID      ID        `json:"service_id,omitempty"`
	Timeout        *Timeout  `json:"timeout,omitempty"`
	// EnableWebsocket is nil when the service decides.
	EnableWebsocket *bool `json:"enable_websocket,omitempty"`
	// Status is 1 (or nil) for an active route and 0 for one that is absent
	// from routing.
	Status *int `json:"status,omitempty"`
}

// Enabled tells whether the route takes part in routing.
func (r *Route) Enabled() bool { return r.Status == nil || *r.Status != 0 }

// Paths returns the written uri patterns: uri or uris.
func (r *Route) Paths() []string { return oneOrMany(r.URI, r.URIs) }

// HostPatterns returns host or hosts; empty means that the service's hosts
// hold, and without those any host.
func (r *Route) HostPatterns() []string { return oneOrMany(r.Host, r.Hosts) }

// RemoteAddresses returns the addresses and networks that may use the route;
// empty means any.
func (r *Route) RemoteAddresses() []string { return oneOrMany(r.RemoteAddr, r.RemoteAddrs) }

func oneOrMany(one string, many []string) []string {
	if len(many) > 0 {
		return many
	}
	if one != "" {
		return []string{one}
	}
	return nil
}

// Service is what several routes share.
type Service struct {
	Meta

	Plugins         Plugins   `json:"plugins,omitempty"`
	Upstream        *Upstream `json:"upstream,omitempty"`
	UpstreamID      ID        `json:"upstream_id,omitempty"`
	Hosts           []string  `json:"hosts,omitempty"`
	EnableWebsocket *bool     `json:"enable_websocket,omitempty"`
}

// StreamRoute is a rule for TCP and UDP connections.
type StreamRoute struct {
	Meta

	RemoteAddr string    `json:"remote_addr,omitempty"`
	ServerAddr string    `json:"server_addr,omitempty"`
	ServerPort int       `json:"server_port,omitempty"`
	SNI        string    `json:"sni,omitempty"`
	Upstream   *Upstream `json:"upstream,omitempty"`
	UpstreamID ID        `json:"upstream_id,omitempty"`
	ServiceID  ID        `json:"service_id,omitempty"`
	Plugins    Plugins   `json:"plugins,omitempty"`
	Protocol   *Protocol `json:"protocol,omitempty"`
}

// Protocol names the application protocol of a stream route.
type Protocol struct {
	Name       string          `json:"name"`
	SuperiorID ID              `json:"superior_id,omitempty"`
	Conf       json.RawMessage `json:"conf,omitempty"`
	Logger     json.RawMessage `json:"logger,omitempty"`
}
