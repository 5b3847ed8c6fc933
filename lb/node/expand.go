package node

import (
	"net/netip"
	"strings"
)

// maxExpandScale bounds by how much Expand multiplies weights.
const maxExpandScale = 5040

// Expand replaces every domain by one Spec for each of its addresses, so that
// balancing and health work on servers and not on names. A domain's addresses
// share its weight: where they do not divide it evenly, all weights of the list
// are multiplied by the same number, which leaves the shares as written. A
// domain without an address is left out.
//
// lookup returns the addresses of a domain in a stable order.
func Expand(specs []Spec, lookup func(host string) []netip.Addr) []Spec {
	addrs := make([][]netip.Addr, len(specs))
	scale := 1
	total := 0
	for i := range specs {
		if isAddr(specs[i].Host) || specs[i].Addr.IsValid() {
			total++
			continue
		}
		addrs[i] = lookup(specs[i].Host)
		k := len(addrs[i])
		total += k
		if k > 1 {
			if m := lcm(scale, k); m <= maxExpandScale {
				scale = m
			} else {
				scale = maxExpandScale
			}
		}
	}
	out := make([]Spec, 0, total)
	for i := range specs {
		s := specs[i]
		if isAddr(s.Host) || s.Addr.IsValid() {
			s.Weight *= scale
			out = append(out, s)
			continue
		}
		for _, a := range addrs[i] {
			e := s
			e.Addr = a
			e.Weight = s.Weight * scale / len(addrs[i])
			if s.Weight > 0 {
				e.Weight = max(e.Weight, 1)
			}
			out = append(out, e)
		}
	}
	return out
}

func isAddr(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func lcm(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
