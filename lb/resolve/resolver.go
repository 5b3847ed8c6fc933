// Package resolve keeps the addresses of domain names fresh in the background.
package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Kind is what a name is asked for.
type Kind uint8

// The kinds of lookups.
const (
	// Addresses are A records, or AAAA records when there are no A records.
	Addresses Kind = iota
	// Services are SRV records and the addresses of their targets.
	Services
)

// Target is one server that a name stands for.
type Target struct {
	Addr netip.Addr
	// Host, Port, Weight and Priority are those of an SRV record, where the
	// lowest priority is the one to prefer; zero for Addresses.
	Host     string
	Port     uint16
	Weight   uint16
	Priority uint16
}

// Options are the settings of a Resolver. Zero values mean the defaults.
type Options struct {
	// Servers are name servers, "10.0.0.2" or "10.0.0.2:5353". Empty: those of
	// ResolvConf, which is read again when it changes.
	Servers []string
	// ResolvConf gives search domains and, without Servers, name servers.
	// Default /etc/resolv.conf.
	ResolvConf string
	// Hosts is asked before any server and read again when it changes. Default
	// /etc/hosts; "-" means none.
	Hosts string
	// NoSearch takes names as they are, without the search domains.
	NoSearch bool
	// NoIPv6 leaves AAAA records alone.
	NoIPv6 bool
	// Valid overrides the time to live of all answers; 0 leaves it to them.
	Valid time.Duration
	// MinTTL and MaxTTL bound the time to live of answers. Default 1 s, 1 h.
	MinTTL, MaxTTL time.Duration
	// Timeout is for one query to one server, Attempts how often the list of
	// servers is gone through. Default 2 s, 2.
	Timeout  time.Duration
	Attempts int
	// MaxRetry bounds the time between attempts at a name that could not be
	// resolved, which doubles from half a second. Default 30 s.
	MaxRetry time.Duration
	// Concurrency bounds the names that are being resolved at once. Default 32.
	Concurrency int
	// OnError is told of names that could not be resolved, on a goroutine of
	// the resolver. The last good answer stays in use. Nil: nobody is.
	OnError func(name string, err error)
}

func (o *Options) fill() error {
	for i, s := range o.Servers {
		full, err := serverAddr(s, "53")
		if err != nil {
			return err
		}
		o.Servers[i] = full
	}
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	if o.Hosts == "" {
		o.Hosts = "/etc/hosts"
	}
	positive := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	positive(&o.MinTTL, time.Second)
	positive(&o.MaxTTL, time.Hour)
	positive(&o.Timeout, 2*time.Second)
	positive(&o.MaxRetry, 30*time.Second)
	if o.MaxTTL < o.MinTTL {
		return fmt.Errorf("the greatest time to live %v is below the smallest %v", o.MaxTTL, o.MinTTL)
	}
	if o.Attempts <= 0 {
		o.Attempts = 2
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 32
	}
	return nil
}

// serverAddr completes a name server's address with the port.
func serverAddr(s, port string) (string, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.String(), nil
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(a.String(), port), nil
	}
	return "", fmt.Errorf("the name server %q is not an IP address with or without a port", s)
}

// Resolver resolves names in the background and keeps them fresh while somebody
// subscribes to them. Its methods are for background threads: no loop may wait
// for a name.
type Resolver struct {
	options Options
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	slots   chan struct{}
	hosts   hostsFile
	conf    resolvFile

	mu    sync.Mutex
	names map[question]*name
}

// question is a name as the user wrote it, in lower case, and what it is asked
// for.
type question struct {
	name string
	kind Kind
}

// New returns a resolver; Stop ends it. It makes no queries before the first
// Subscribe. The error names a setting that is wrong.
func New(o Options) (*Resolver, error) {
	o.Servers = append([]string(nil), o.Servers...)
	if err := o.fill(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Resolver{
		options: o, ctx: ctx, cancel: cancel,
		slots: make(chan struct{}, o.Concurrency),
		hosts: hostsFile{path: o.Hosts},
		conf:  resolvFile{path: o.ResolvConf},
		names: make(map[question]*name),
	}, nil
}

// Stop ends all refreshing and waits for it. Subscriptions keep what they have.
// Subscribe must not be called after.
func (r *Resolver) Stop() {
	r.cancel()
	r.work.Wait()
}
