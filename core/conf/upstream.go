package conf

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Upstream is a group of nodes and the way they are used.
type Upstream struct {
	Meta

	Nodes         Nodes          `json:"nodes,omitempty"`
	ServiceName   string         `json:"service_name,omitempty"`
	DiscoveryType string         `json:"discovery_type,omitempty"`
	DiscoveryArgs *DiscoveryArgs `json:"discovery_args,omitempty"`

	// Type is the balancing policy: roundrobin, chash, least_conn, ewma, and
	// ours: weighted_least_conn, emmie.
	Type string `json:"type,omitempty"`
	// HashOn and Key say what a consistent hash looks at.
	HashOn string `json:"hash_on,omitempty"`
	Key    string `json:"key,omitempty"`
	// HashRing is the ring's construction: xxhash (default) or crc32-apisix.
	HashRing string `json:"hash_ring,omitempty"`
	// BoundedLoad is emmie's c: no node above c x the average load, > 1.
	BoundedLoad float64 `json:"bounded_load,omitempty"`

	// Scheme is http, https, grpc, grpcs, or tcp, tls, udp, kafka.
	Scheme       string   `json:"scheme,omitempty"`
	PassHost     string   `json:"pass_host,omitempty"` // pass, node or rewrite
	UpstreamHost string   `json:"upstream_host,omitempty"`
	Timeout      *Timeout `json:"timeout,omitempty"`

	// Retries is nil for "one less than there are nodes".
	Retries      *int         `json:"retries,omitempty"`
	RetryTimeout Seconds      `json:"retry_timeout,omitempty"` // 0: no limit
	RetryOn      *RetryOn     `json:"retry_on,omitempty"`
	RetryBudget  *RetryBudget `json:"retry_budget,omitempty"`

	KeepalivePool *KeepalivePool `json:"keepalive_pool,omitempty"`
	TLS           *UpstreamTLS   `json:"tls,omitempty"`
	Checks        *Checks        `json:"checks,omitempty"`
	WarmUp        *WarmUp        `json:"warm_up_conf,omitempty"`
}

// DiscoveryArgs narrows the search of a discovery module.
type DiscoveryArgs struct {
	NamespaceID string `json:"namespace_id,omitempty"`
	GroupName   string `json:"group_name,omitempty"`
}

// RetryOn widens what counts as a failure worth a retry.
type RetryOn struct {
	// Statuses are upstream statuses, 400..599, that lead to another try.
	Statuses []int `json:"statuses,omitempty"`
	// Methods are the methods that may be sent again after bytes of the
	// request were sent; nil keeps the rule of idempotent methods.
	Methods []string `json:"methods,omitempty"`
}

// RetryBudget limits retries to Percent of the requests plus MinPerSecond.
type RetryBudget struct {
	Percent      float64 `json:"percent"`        // 0..100, default 20
	MinPerSecond float64 `json:"min_per_second"` // >= 0, default 10
}

// KeepalivePool bounds the idle connections to a node.
type KeepalivePool struct {
	Size        int     `json:"size"`         // default 320
	IdleTimeout Seconds `json:"idle_timeout"` // default 60; 0: none are kept
	Requests    int     `json:"requests"`     // default 1000
}

// UpstreamTLS configures TLS towards the nodes.
type UpstreamTLS struct {
	ClientCert   string `json:"client_cert,omitempty"`
	ClientKey    string `json:"client_key,omitempty"`
	ClientCertID ID     `json:"client_cert_id,omitempty"`
	Verify       bool   `json:"verify,omitempty"`
}

// Checks configures health checking. In a checked object Active and both its
// rules are there; a rule that Passive lacks is off.
type Checks struct {
	Active  *ActiveCheck  `json:"active,omitempty"`
	Passive *PassiveCheck `json:"passive,omitempty"`
}

// ActiveCheck configures the probes.
type ActiveCheck struct {
	Type           string      `json:"type"`    // http, https or tcp
	Timeout        Seconds     `json:"timeout"` // default 1
	Concurrency    int         `json:"concurrency"`
	Host           string      `json:"host,omitempty"`
	Port           int         `json:"port,omitempty"` // 0: the node's own
	HTTPPath       string      `json:"http_path"`
	HTTPMethod     string      `json:"http_method"`
	HTTPReqBody    string      `json:"http_req_body"`
	HTTPSVerify    bool        `json:"https_verify_certificate"`
	RequestHeaders []string    `json:"req_headers,omitempty"` // "Name: value"
	Healthy        *HealthRule `json:"healthy,omitempty"`
	Unhealthy      *HealthRule `json:"unhealthy,omitempty"`
}

// PassiveCheck configures what is learnt from traffic.
type PassiveCheck struct {
	Type      string      `json:"type"`
	Healthy   *HealthRule `json:"healthy,omitempty"`
	Unhealthy *HealthRule `json:"unhealthy,omitempty"`
}

// HealthRule holds the limits of one direction. A count of 0 turns its rule
// off. Interval is for probes only.
type HealthRule struct {
	Interval     Seconds `json:"interval,omitempty"`
	HTTPStatuses []int   `json:"http_statuses,omitempty"`
	Successes    int     `json:"successes,omitempty"`
	HTTPFailures int     `json:"http_failures,omitempty"`
	TCPFailures  int     `json:"tcp_failures,omitempty"`
	Timeouts     int     `json:"timeouts,omitempty"`
}

// WarmUp lets the share of a new node grow slowly.
type WarmUp struct {
	SlowStartSeconds    Seconds `json:"slow_start_time_seconds"`
	MinWeightPercent    float64 `json:"min_weight_percent"`
	Interval            Seconds `json:"interval"`
	Aggression          float64 `json:"aggression"`
	StartupGraceSeconds Seconds `json:"startup_grace_period_seconds"`
}

// Node is one back end address.
type Node struct {
	// Host is a name or an address, IPv6 without brackets.
	Host string `json:"host"`
	// Port is 0 when none is written: the scheme decides.
	Port     int             `json:"port,omitempty"`
	Weight   int             `json:"weight"`
	Priority int             `json:"priority,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// Nodes is written as an array of nodes or as an object {"host:port": weight};
// both decode into the array, the object sorted by its keys. nil means that no
// nodes were given, an empty non-nil list that the list is empty.
type Nodes []Node

// UnmarshalJSON accepts both forms.
func (n *Nodes) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*n = nil
		return nil
	case len(b) > 0 && b[0] == '[':
		list := []Node{}
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		for i := range list {
			list[i].Host = unbracketed(list[i].Host)
		}
		*n = list
		return nil
	}
	var weights map[string]int
	if err := json.Unmarshal(b, &weights); err != nil {
		return err
	}
	list := make([]Node, 0, len(weights))
	for addr, weight := range weights {
		host, port, err := splitNode(addr)
		if err != nil {
			return err
		}
		list = append(list, Node{Host: host, Port: port, Weight: weight})
	}
	slices.SortFunc(list, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	*n = list
	return nil
}

func unbracketed(host string) string {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// splitNode splits "host", "host:port" and "[v6]:port". Port 0: none given.
func splitNode(addr string) (host string, port int, err error) {
	rest := ""
	if strings.HasPrefix(addr, "[") {
		end := strings.IndexByte(addr, ']')
		if end < 0 {
			return "", 0, fmt.Errorf("invalid node address %q: the bracket is not closed", addr)
		}
		host, rest = addr[1:end], addr[end+1:]
		if rest == "" {
			return host, 0, nil
		}
		if rest[0] != ':' {
			return "", 0, fmt.Errorf("invalid node address %q: expected a port after the bracket", addr)
		}
		rest = rest[1:]
	} else {
		i := strings.LastIndexByte(addr, ':')
		if i < 0 {
			return addr, 0, nil
		}
		if strings.IndexByte(addr, ':') != i {
			return "", 0, fmt.Errorf("invalid node address %q: an IPv6 address stands in brackets", addr)
		}
		host, rest = addr[:i], addr[i+1:]
	}
	port, err = strconv.Atoi(rest)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("invalid node address %q: the port must be 1..65535", addr)
	}
	return host, port, nil
}

// DefaultPort is the port of a node without one: 443 for https and grpcs, 80
// for http and grpc, 0 (none) for other schemes.
func DefaultPort(scheme string) int {
	switch scheme {
	case "", "http", "grpc":
		return 80
	case "https", "grpcs":
		return 443
	}
	return 0
}
