package match

import (
	"hash/maphash"
	"strings"
)

// paths holds the spots of one host level.
//
// Static prefixes are kept by directory, the part up to and including the last
// slash, so that a request finds them with one probe for every depth at which
// there are any, however many there are.
type paths struct {
	exact  hashMap[spot]
	dirs   hashMap[spot]
	depths depths // of the keys of dirs, in slashes
}

func (p *paths) empty() bool { return p.exact.empty() && p.dirs.empty() }

// splitPrefix splits a static prefix into its directory and the rest.
func splitPrefix(static string) (directory, rest string) {
	i := strings.LastIndexByte(static, '/') + 1
	return static[:i], static[i:]
}

// find returns the spot of a pattern, nil when there is none.
func (p *paths) find(seed maphash.Seed, pat *pattern) *spot {
	if pat.exact {
		return p.exact.get(hashString(seed, pat.static), []byte(pat.static))
	}
	name, rest := splitPrefix(pat.static)
	d := p.dirs.get(hashString(seed, name), []byte(name))
	switch {
	case d == nil:
		return nil
	case rest == "":
		return d
	case d.ext == nil:
		return nil
	}
	return d.ext.below.find(rest)
}

// edit returns the spot of a pattern for changing it.
func (p *paths) edit(own *owner, seed maphash.Seed, pat *pattern) *spot {
	if pat.exact {
		return p.exact.edit(own, hashString(seed, pat.static), pat.static)
	}
	name, rest := splitPrefix(pat.static)
	d := p.dirs.edit(own, hashString(seed, name), name)
	if d.empty() {
		p.depths.change(own, strings.Count(name, "/"), 1)
	}
	if rest != "" {
		return d.writable(own).below.edit(own, rest)
	}
	return d
}

// drop removes the spot of a pattern, which is empty.
func (p *paths) drop(own *owner, seed maphash.Seed, pat *pattern) {
	hash := hashString(seed, pat.static)
	if pat.exact {
		p.exact.remove(own, hash, pat.static)
		return
	}
	name, rest := splitPrefix(pat.static)
	hash = hashString(seed, name)
	d := p.dirs.edit(own, hash, name)
	if rest != "" {
		d.writable(own).below.remove(own, rest)
		d.trim()
	}
	if d.empty() {
		p.dirs.remove(own, hash, name)
		p.depths.change(own, strings.Count(name, "/"), -1)
	}
}

// all calls yield for every spot until it returns false.
func (p *paths) all(yield func(path string, exact bool, s *spot) bool) bool {
	return p.exact.all(func(path string, s *spot) bool { return yield(path, true, s) }) &&
		p.dirs.all(func(name string, d *spot) bool {
			if !yield(name, false, d) {
				return false
			}
			return d.ext == nil || d.ext.below.all(func(rest string, s *spot) bool {
				return yield(name+rest, false, s)
			})
		})
}
