// Package guard decides which requests may enter: it checks what a head means
// once it was understood, brings path and host into one normal form, and takes
// away what a client has no right to say.
package guard

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
)

// Settings are the parts of config.yaml that Policy is compiled from.
type Settings struct {
	// Limits bound what a client may send; Policy only keeps them for
	// whoever scans heads.
	Limits h1.Limits
	// TrustedAddresses are apisix.trusted_addresses: addresses and CIDR
	// prefixes of peers whose X-Forwarded-* and Forwarded fields are believed.
	// Nil is different from a list that matches nobody: without a list the
	// gateway continues a client's X-Forwarded-For instead of restarting it.
	TrustedAddresses []string
	// DeleteURITailSlash matches routes on the path without one trailing
	// slash. The upstream still gets it.
	DeleteURITailSlash bool
	// NormalizeURILikeServlet matches routes on the path without ";name=value"
	// parameters. The upstream still gets them.
	NormalizeURILikeServlet bool
	// MatchURIEncodedSlash keeps %2F in the path that routes match on, unless
	// the path needed more than percent-decoding.
	MatchURIEncodedSlash bool
	// DropUnderscores removes fields whose names contain '_':
	// underscores_in_headers off.
	DropUnderscores bool
	// RealIPFrom are nginx_config.http.real_ip_from: peers that may name the
	// client in RealIPHeader. Entries that are no addresses ("unix:") are
	// skipped.
	RealIPFrom []string
	// RealIPHeader is the field that names the client. Default X-Real-IP.
	RealIPHeader string
	// RealIPRecursive takes the last address of the field that is not itself
	// in RealIPFrom, instead of the last one.
	RealIPRecursive bool
}

// Policy is what every request is checked against. It is compiled once and
// safe for use by all loops.
type Policy struct {
	limits       h1.Limits
	trusted      prefixes
	trustListed  bool
	tailSlash    bool
	servlet      bool
	encodedSlash bool
	noUnderscore bool

	realIP          prefixes
	realIPHeader    string
	realIPRecursive bool
}

// New compiles settings. It fails on an address that cannot be read, naming
// the setting and the entry.
func New(s Settings) (*Policy, error) {
	p := &Policy{
		limits:          s.Limits,
		trustListed:     s.TrustedAddresses != nil,
		tailSlash:       s.DeleteURITailSlash,
		servlet:         s.NormalizeURILikeServlet,
		encodedSlash:    s.MatchURIEncodedSlash,
		noUnderscore:    s.DropUnderscores,
		realIPHeader:    strings.ToLower(s.RealIPHeader),
		realIPRecursive: s.RealIPRecursive,
	}
	if p.realIPHeader == "" {
		p.realIPHeader = "x-real-ip"
	}
	for _, a := range s.TrustedAddresses {
		if err := p.trusted.add(a); err != nil {
			return nil, fmt.Errorf("apisix.trusted_addresses: %w", err)
		}
	}
	for _, a := range s.RealIPFrom {
		if strings.HasPrefix(a, "unix:") {
			continue
		}
		if err := p.realIP.add(a); err != nil {
			return nil, fmt.Errorf("nginx_config.http.real_ip_from: %w", err)
		}
	}
	return p, nil
}

// Limits returns the limits that heads are scanned with.
func (p *Policy) Limits() *h1.Limits { return &p.limits }

// prefixes is a set of address prefixes. It is searched in turn: such lists
// are short.
type prefixes struct {
	v4 []prefix4
	v6 []netip.Prefix
}

type prefix4 struct{ addr, mask uint32 }

func (s *prefixes) add(text string) error {
	p, err := parsePrefix(text)
	if err != nil {
		return fmt.Errorf("%q is neither an IP address nor a CIDR prefix such as 10.0.0.0/8", text)
	}
	if !p.Addr().Is4() {
		s.v6 = append(s.v6, p)
		return nil
	}
	mask := uint32(0)
	if p.Bits() > 0 {
		mask = ^uint32(0) << (32 - p.Bits())
	}
	s.v4 = append(s.v4, prefix4{word4(p.Addr()), mask})
	return nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return p, err
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("not an address")
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func word4(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// has reports whether a lies in one of the prefixes.
func (s *prefixes) has(a netip.Addr) bool {
	if a.Is4() || a.Is4In6() {
		w := word4(a)
		for i := range s.v4 {
			if w&s.v4[i].mask == s.v4[i].addr {
				return true
			}
		}
		return false
	}
	if len(s.v6) == 0 {
		return false
	}
	a = a.WithZone("")
	for i := range s.v6 {
		if s.v6[i].Contains(a) {
			return true
		}
	}
	return false
}

func (s *prefixes) empty() bool { return len(s.v4)+len(s.v6) == 0 }
