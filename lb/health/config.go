// Package health decides from probes and from requests which nodes of an
// upstream are fit for traffic.
package health

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicegw/sluice/lb/node"
)

// Type is how a node is probed.
type Type uint8

// The kinds of probes.
const (
	HTTP  Type = iota // a request whose status decides
	HTTPS             // the same over TLS
	TCP               // a connection that opens
)

// String returns the type's name in configuration.
func (t Type) String() string { return [...]string{"http", "https", "tcp"}[t] }

// Config is the checks of one upstream.
type Config struct {
	// Active is the probes; nil switches all checks off.
	Active *Active
	// Passive is what requests tell; nil lets them tell nothing.
	Passive *Passive
	// RewriteHost is the upstream's upstream_host when it rewrites the host,
	// used for the probes' Host unless Active.Host is set.
	RewriteHost string
}

// Active is how nodes are probed. Thresholds are 1..254 reports in a row.
type Active struct {
	Type Type
	// Timeout is for a whole probe: connecting, the handshake and the head of
	// the response.
	Timeout time.Duration
	// Concurrency bounds the probes of the upstream that run at once.
	Concurrency int
	// Host is sent as Host and, with TLS, as the server name. Empty means the
	// upstream's rewritten host, else what the user wrote as the node's host.
	Host string
	// Port is probed instead of the node's own unless it is 0.
	Port uint16
	// Path is the request target, with its query.
	Path   string
	Method string
	Body   string
	// Headers are lines "Name: value".
	Headers []string
	// VerifyTLS has the certificate of an HTTPS node checked.
	VerifyTLS bool

	// HealthyInterval is the time between the probes of a node that is up.
	HealthyInterval time.Duration
	HealthyStatuses []int
	Successes       int

	// UnhealthyInterval is the time between the probes of a node that is down.
	UnhealthyInterval time.Duration
	UnhealthyStatuses []int
	HTTPFailures      int
	TCPFailures       int
	Timeouts          int
}

// DefaultActive returns the settings of a check that says no more than active.
func DefaultActive() Active {
	return Active{
		Timeout:           time.Second,
		Concurrency:       10,
		Path:              "/",
		Method:            "GET",
		VerifyTLS:         true,
		HealthyInterval:   time.Second,
		HealthyStatuses:   []int{200, 302},
		Successes:         2,
		UnhealthyInterval: time.Second,
		UnhealthyStatuses: []int{429, 404, 500, 501, 502, 503, 504, 505},
		HTTPFailures:      5,
		TCPFailures:       2,
		Timeouts:          3,
	}
}

// Passive is how the outcomes of requests count. A threshold of 0 lets the kind
// of outcome count for nothing.
type Passive struct {
	// Type TCP ignores statuses.
	Type              Type
	HealthyStatuses   []int
	Successes         int
	UnhealthyStatuses []int
	HTTPFailures      int
	TCPFailures       int
	Timeouts          int
}

// DefaultPassive returns the settings of a check that says no more than
// passive.
func DefaultPassive() Passive {
	return Passive{
		HealthyStatuses: []int{
			200, 201, 202, 203, 204, 205, 206, 207, 208, 226,
			300, 301, 302, 303, 304, 305, 306, 307, 308,
		},
		Successes:         5,
		UnhealthyStatuses: []int{429, 500, 503},
		HTTPFailures:      5,
		TCPFailures:       2,
		Timeouts:          7,
	}
}

// minInterval keeps a mistaken setting from turning probes into a flood.
const minInterval = time.Millisecond

func (c *Config) check() error {
	if c.Active == nil {
		if c.Passive != nil {
			return errors.New("checks.passive needs checks.active, which alone brings nodes back")
		}
		return nil
	}
	a := c.Active
	switch {
	case a.Timeout <= 0:
		return errors.New("checks.active.timeout must be greater than 0")
	case a.Concurrency < 1:
		return errors.New("checks.active.concurrency must be at least 1")
	case a.HealthyInterval < minInterval || a.UnhealthyInterval < minInterval:
		return errors.New("checks.active: interval must be greater than 0")
	case !strings.HasPrefix(a.Path, "/") || hasBlankOrControl(a.Path):
		return fmt.Errorf("checks.active.http_path %q must begin with a slash and hold no blanks or control characters", a.Path)
	case a.Method == "" || hasBlankOrControl(a.Method):
		return fmt.Errorf("checks.active.http_method %q is not a method", a.Method)
	case hasBlankOrControl(a.Host):
		return fmt.Errorf("checks.active.host %q holds blanks or control characters", a.Host)
	case hasBlankOrControl(c.RewriteHost):
		return fmt.Errorf("upstream_host %q holds blanks or control characters", c.RewriteHost)
	}
	for _, h := range a.Headers {
		name, _, found := strings.Cut(h, ":")
		if !found || name == "" || hasBlankOrControl(name) || strings.ContainsAny(h, "\r\n\x00") {
			return fmt.Errorf("checks.active.req_headers: %q is not a line \"Name: value\"", h)
		}
	}
	for _, t := range []int{a.Successes, a.HTTPFailures, a.TCPFailures, a.Timeouts} {
		if t < 1 || t > node.MaxThreshold {
			return fmt.Errorf("checks.active: the threshold %d is not between 1 and %d", t, node.MaxThreshold)
		}
	}
	if p := c.Passive; p != nil {
		for _, t := range []int{p.Successes, p.HTTPFailures, p.TCPFailures, p.Timeouts} {
			if t < 0 || t > node.MaxThreshold {
				return fmt.Errorf("checks.passive: the threshold %d is not between 0 and %d", t, node.MaxThreshold)
			}
		}
	}
	return nil
}

func hasBlankOrControl(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// verdict is what a response's status says about a node.
type verdict uint8

const (
	neutral verdict = iota
	good
	bad
)

// verdicts maps statuses 0..599 to what they say.
type verdicts [600]verdict

func makeVerdicts(healthy, unhealthy []int) *verdicts {
	var v verdicts
	for _, s := range unhealthy {
		v.set(s, bad)
	}
	for _, s := range healthy {
		v.set(s, good)
	}
	return &v
}

func (v *verdicts) set(status int, to verdict) {
	if status >= 0 && status < len(v) {
		v[status] = to
	}
}

func (v *verdicts) of(status int) verdict {
	if status < 0 || status >= len(v) {
		return neutral
	}
	return v[status]
}
