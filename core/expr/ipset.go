package expr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// IPSet is a set of addresses and networks. Looking one up costs the logarithm
// of their number.
type IPSet struct {
	ranges []ipRange // disjoint and sorted, IPv4 before IPv6
	texts  []string
}

type ipRange struct{ from, to netip.Addr }

// ParseIPs makes a set of addresses and networks in CIDR notation.
func ParseIPs(texts []string) (*IPSet, error) {
	s := &IPSet{texts: texts}
	for _, t := range texts {
		p, err := ParsePrefix(t)
		if err != nil {
			return nil, err
		}
		s.ranges = append(s.ranges, ipRange{p.Addr(), lastAddr(p)})
	}
	slices.SortFunc(s.ranges, func(a, b ipRange) int { return a.from.Compare(b.from) })
	// Networks are nested or disjoint; drop the nested ones.
	kept := s.ranges[:0]
	for _, r := range s.ranges {
		if n := len(kept); n > 0 && kept[n-1].from.BitLen() == r.from.BitLen() && r.from.Compare(kept[n-1].to) <= 0 {
			if kept[n-1].to.Compare(r.to) < 0 {
				kept[n-1].to = r.to
			}
			continue
		}
		kept = append(kept, r)
	}
	s.ranges = slices.Clip(kept)
	return s, nil
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		panic("BUG: an address has a length that no address has")
	}
	return a
}

// Contains reports whether a is in the set. An IPv4 address in IPv6 notation
// counts as the IPv4 address.
func (s *IPSet) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	lo, hi := 0, len(s.ranges)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch r := &s.ranges[mid]; {
		case a.Compare(r.from) < 0:
			hi = mid
		case a.Compare(r.to) > 0:
			lo = mid + 1
		default:
			return true
		}
	}
	return false
}

// String lists what the set was made of.
func (s *IPSet) String() string { return fmt.Sprintf("[%s]", strings.Join(s.texts, ", ")) }
