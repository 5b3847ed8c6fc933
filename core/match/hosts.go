package match

import (
	"bytes"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/core/req"
)

// hostIndex finds values by host: exact hosts and suffixes. Patterns with a
// port are compared with the host and the port that the client wrote.
type hostIndex[V any] struct {
	own      *owner
	exact    hashMap[V]
	plain    suffixes[V]
	port     suffixes[V] // patterns with a port
	hosts    int         // patterns in all
	withPort int         // those that name a port
}

// suffixes holds wildcard patterns. One that begins at a label ("*.a.com") is
// found by its suffix, the others ("*a.com", "*") by the reversed one.
type suffixes[V any] struct {
	labels hashMap[V] // by the suffix, dot included
	depths depths     // of labels, in dots
	odd    radixTree[V]
}

// hostPattern is a host pattern as the index stores it.
type hostPattern struct {
	written string // lower case
	key     string // without '*'
	wild    bool
	port    bool // the pattern names a port
}

func (h *hostPattern) atLabel() bool { return h.key != "" && h.key[0] == '.' }

func (x *hostIndex[V]) suffixes(h *hostPattern) *suffixes[V] {
	if h.port {
		return &x.port
	}
	return &x.plain
}

// find returns the value of a pattern, nil when there is none.
func (x *hostIndex[V]) find(seed maphash.Seed, h *hostPattern) *V {
	switch {
	case !h.wild:
		return x.exact.get(hashString(seed, h.key), []byte(h.key))
	case h.atLabel():
		return x.suffixes(h).labels.get(hashString(seed, h.key), []byte(h.key))
	}
	return x.suffixes(h).odd.find(reversed(h.key))
}

// edit returns the value of a pattern for changing it.
func (x *hostIndex[V]) edit(own *owner, seed maphash.Seed, h *hostPattern) *V {
	if x.find(seed, h) == nil {
		x.count(own, h, 1)
	}
	switch {
	case !h.wild:
		return x.exact.edit(own, hashString(seed, h.key), h.key)
	case h.atLabel():
		return x.suffixes(h).labels.edit(own, hashString(seed, h.key), h.key)
	}
	return x.suffixes(h).odd.edit(own, reversed(h.key))
}

// remove takes out a pattern that is there.
func (x *hostIndex[V]) remove(own *owner, seed maphash.Seed, h *hostPattern) {
	x.count(own, h, -1)
	switch {
	case !h.wild:
		x.exact.remove(own, hashString(seed, h.key), h.key)
	case h.atLabel():
		x.suffixes(h).labels.remove(own, hashString(seed, h.key), h.key)
	default:
		x.suffixes(h).odd.remove(own, reversed(h.key))
	}
}

func (x *hostIndex[V]) count(own *owner, h *hostPattern, by int) {
	x.hosts += by
	if h.port {
		x.withPort += by
	}
	if h.wild && h.atLabel() {
		x.suffixes(h).depths.change(own, strings.Count(h.key, "."), by)
	}
}

// all calls yield for every pattern, as written, until it returns false.
func (x *hostIndex[V]) all(yield func(host string, val *V) bool) bool {
	return x.exact.all(yield) && x.plain.all(yield) && x.port.all(yield)
}

func (s *suffixes[V]) all(yield func(host string, val *V) bool) bool {
	return s.labels.all(func(key string, val *V) bool { return yield("*"+key, val) }) &&
		s.odd.all(func(key string, val *V) bool { return yield("*"+reversed(key), val) })
}

// lookup appends what the request's host selects: the exact host (the one with
// a port first), then wildcards from the longest suffix to the shortest.
func (x *hostIndex[V]) lookup(seed maphash.Seed, ctx *req.Ctx, dst []*V) []*V {
	host := ctx.Host
	ctx.Scratch = ctx.Scratch[:0]
	ported := x.withPort > 0 && ctx.Port != 0
	if ported {
		ctx.Scratch = appendHostPort(ctx.Scratch, host, ctx.Port)
	}
	if !x.exact.empty() {
		if ported {
			if v := x.exact.get(hashBytes(seed, ctx.Scratch), ctx.Scratch); v != nil {
				dst = append(dst, v)
			}
		}
		if v := x.exact.get(hashBytes(seed, host), host); v != nil {
			dst = append(dst, v)
		}
	}
	if !ported {
		if x.plain.empty() {
			return dst
		}
		var buf [6]suffix[V]
		for _, f := range x.plain.lookup(seed, host, ctx, buf[:0]) {
			dst = append(dst, f.val)
		}
		return dst
	}
	return x.lookupPorted(seed, ctx, dst)
}

// lookupPorted merges the wildcards with and without a port.
func (x *hostIndex[V]) lookupPorted(seed maphash.Seed, ctx *req.Ctx, dst []*V) []*V {
	var buf1, buf2 [6]suffix[V]
	size := len(ctx.Scratch)
	with := x.port.lookup(seed, ctx.Scratch[:size:size], ctx, buf1[:0])
	without := x.plain.lookup(seed, ctx.Host, ctx, buf2[:0])
	for len(with) > 0 || len(without) > 0 {
		if len(without) == 0 || len(with) > 0 && with[0].size >= without[0].size {
			dst = append(dst, with[0].val)
			with = with[1:]
		} else {
			dst = append(dst, without[0].val)
			without = without[1:]
		}
	}
	return dst
}

// suffix is a wildcard pattern that fits, with the size of its suffix.
type suffix[V any] struct {
	val  *V
	size int
}

func (s *suffixes[V]) empty() bool { return s.labels.empty() && s.odd.empty() }

// lookup appends the patterns that end text, longest first.
func (s *suffixes[V]) lookup(seed maphash.Seed, text []byte, ctx *req.Ctx, dst []suffix[V]) []suffix[V] {
	if !s.labels.empty() {
		dst = s.probe(seed, text, dst)
	}
	if s.odd.empty() {
		return dst
	}
	// Few tables have such patterns: insert what is found where it belongs.
	back := reversedTail(ctx, text)
	n := &s.odd
	for rest := back; n != nil; n, rest = n.next(rest) {
		if n.val == nil {
			continue
		}
		f := suffix[V]{n.val, len(back) - len(rest)}
		dst = append(dst, f)
		for i := len(dst) - 1; i > 0 && dst[i-1].size < dst[i].size; i-- {
			dst[i-1], dst[i] = dst[i], dst[i-1]
		}
	}
	return dst
}

// probe appends the patterns that begin at a label of text.
func (s *suffixes[V]) probe(seed maphash.Seed, text []byte, dst []suffix[V]) []suffix[V] {
	// Skip the labels in front of the longest pattern.
	dots := bytes.Count(text, dot)
	at := bytes.IndexByte(text, '.')
	for deepest := s.depths.deepest(); at >= 0; dots-- {
		if dots <= deepest && s.depths.has(dots) {
			tail := text[at:]
			if v := s.labels.get(hashBytes(seed, tail), tail); v != nil {
				dst = append(dst, suffix[V]{v, len(tail)})
			}
		}
		next := bytes.IndexByte(text[at+1:], '.')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return dst
}

var dot = []byte{'.'}

func parseHost(s string) (hostPattern, error) {
	if s == "" {
		return hostPattern{}, errEmptyHost
	}
	h := hostPattern{written: strings.ToLower(s)}
	h.key, h.wild = strings.CutPrefix(h.written, "*")
	if strings.IndexByte(h.key, '*') >= 0 {
		return hostPattern{}, errHostStar
	}
	h.port = namesPort(h.key)
	return h, nil
}

// namesPort tells whether a host pattern ends with a port. More than one colon
// outside brackets is an IPv6 address without a port.
func namesPort(s string) bool {
	if i := strings.LastIndexByte(s, ']'); i >= 0 {
		return strings.IndexByte(s[i:], ':') >= 0
	}
	return strings.Count(s, ":") == 1
}

// fits tells whether the pattern fits the request's host.
func (h *hostPattern) fits(ctx *req.Ctx) bool {
	host := ctx.Host
	if h.port {
		if ctx.Port == 0 {
			return false
		}
		host = appendHostPort(nil, host, ctx.Port)
	}
	if h.wild {
		return bytes.HasSuffix(host, []byte(h.key))
	}
	return string(host) == h.key
}

func appendHostPort(dst, host []byte, port uint16) []byte {
	dst = append(dst, host...)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(port), 10)
}

func reversed(s string) string {
	b := make([]byte, len(s))
	for i := range s {
		b[len(s)-1-i] = s[i]
	}
	return string(b)
}

// reversedTail returns text backwards, in ctx.Scratch behind what is there.
func reversedTail(ctx *req.Ctx, text []byte) []byte {
	n := len(ctx.Scratch)
	for i := len(text) - 1; i >= 0; i-- {
		ctx.Scratch = append(ctx.Scratch, text[i])
	}
	return ctx.Scratch[n:]
}
