package proc

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Boot is what a data process is told once, before it starts: everything that
// cannot change in its life. Two equal specs need no new data process.
type Boot struct {
	// Spec decides whether a running data process can be kept.
	Spec Spec `json:"spec"`
	// Live is what may change later.
	Live Live `json:"live"`
	// Epoch numbers the data processes of an installation, from 1; it is in
	// their log lines.
	Epoch uint64 `json:"epoch"`
	// Dir is the run directory.
	Dir string `json:"dir"`
	// Hold is how long connections wait in the accept queues for the first
	// configuration; then they are accepted without one.
	Hold time.Duration `json:"hold"`
	// Memory is the descriptor of the memory that data processes hand on, 0
	// for none. It stays the caller's: the data plane maps it.
	Memory int `json:"-"`
}

// Spec is the shape of a data process.
type Spec struct {
	// Settings is the JSON of conf.Settings, as far as the data process is
	// concerned.
	Settings json.RawMessage `json:"settings"`
	// Loops has one entry per loop.
	Loops []LoopPlan `json:"loops"`
	// Listen holds the data listen addresses; Socket.Listen indexes it.
	Listen []Listen `json:"listen"`
	// OpenFiles is the wanted limit on descriptors, 0 = as many as allowed.
	OpenFiles uint64 `json:"open_files"`
}

// Live is what a running data process can be told anew.
type Live struct {
	// ShutdownTimeout bounds a drain.
	ShutdownTimeout time.Duration `json:"shutdown_timeout"`
	// LogLevel is the lowest level that is logged, as in config.yaml.
	LogLevel string `json:"log_level"`
}

// LoopPlan is one loop's place.
type LoopPlan struct {
	// CPU is the processor to pin to, -1 for none.
	CPU int `json:"cpu"`
}

// Listen is one address that takes traffic.
type Listen struct {
	// Addr is "ip:port" or "[ip6]:port"; an IPv6 address takes IPv6 only.
	Addr string `json:"addr"`
	// TLS, ProxyProtocol and HTTP2 tell what is spoken there; proc itself
	// does not look at them.
	TLS           bool `json:"tls,omitempty"`
	ProxyProtocol bool `json:"proxy_protocol,omitempty"`
	HTTP2         bool `json:"http2,omitempty"`
	// Optional lets a host without IPv6 skip the address with a notice.
	Optional bool `json:"optional,omitempty"`
	// Backlog is the accept queue's length per socket; 0 = 65535. The kernel
	// clips it to net.core.somaxconn.
	Backlog int `json:"backlog,omitempty"`
	// DeferAccept wakes a loop only when a connection brings data, and gives
	// up on one that stays silent for that long; whole seconds, 0 = off.
	DeferAccept time.Duration `json:"defer_accept,omitempty"`
	// FastOpen is the queue of TCP Fast Open connections, 0 = off.
	FastOpen int `json:"fast_open,omitempty"`
	// SteerByCPU attaches a program that gives a connection to the loop on
	// the processor that received it.
	SteerByCPU bool `json:"steer_by_cpu,omitempty"`
}

// Socket is a listening socket handed to the data process.
type Socket struct {
	// Listen is the index into Spec.Listen.
	Listen int
	// Loop is the index of the loop that accepts from it. A loop may have
	// several sockets of one address, after a change to fewer loops.
	Loop int
	// FD is a non-blocking listening descriptor.
	FD int
}

// Digest identifies a spec: equal specs have equal digests.
func (s *Spec) Digest() string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("BUG: spec does not marshal: %v", err))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}
