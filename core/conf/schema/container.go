package schema

import (
	"encoding/json"
	"slices"
	"strconv"
)

// object checks the members of m. Where APISIX goes by its hash table's order,
// names go alphabetically here, so that the same mistake gets the same answer.
func (w *walk) object(n *node, m map[string]any) string {
	for i := range n.props {
		if why := w.property(&n.props[i], m); why != "" {
			return why
		}
	}
	for _, name := range n.required {
		if _, ok := m[name]; !ok {
			return w.failName("property ", name, " is required")
		}
	}
	for i := range n.deps {
		d := &n.deps[i]
		if _, ok := m[d.name]; ok {
			if why := w.dependency(d.name, d.on, d.node, m); why != "" {
				return why
			}
		}
	}
	if why := w.members(n, m); why != "" {
		return why
	}
	if len(m) < n.minProps {
		return w.fail("expect object to have at least ", strconv.Itoa(n.minProps), " properties")
	}
	if n.maxProps >= 0 && len(m) > n.maxProps {
		return w.fail("expect object to have at most ", strconv.Itoa(n.maxProps), " properties")
	}
	return ""
}

func (w *walk) property(p *property, m map[string]any) string {
	v, ok := m[p.name]
	if !ok {
		if p.required {
			return w.failName("property ", p.name, " is required")
		}
		if p.fallback != nil {
			m[p.name] = copied(p.fallback)
			w.filled = append(w.filled, fill{m, p.name})
		}
		return ""
	}
	out, why := w.check(p.node, v)
	if why != "" {
		return w.failName("property ", p.name, " validation failed: ", why)
	}
	if reshaped(v, out) {
		m[p.name] = out
	}
	if p.dependsOn != nil || p.dependency != nil {
		return w.dependency(p.name, p.dependsOn, p.dependency, m)
	}
	return ""
}

func (w *walk) dependency(name string, on []string, n *node, m map[string]any) string {
	for _, other := range on {
		if _, ok := m[other]; !ok {
			return w.fail("property ", luaQuote(other), " is required when ", luaQuote(name), " is set")
		}
	}
	if n != nil {
		if _, why := w.check(n, m); why != "" {
			return w.fail("failed to validate dependent schema for ", luaQuote(name), ": ", why)
		}
	}
	return ""
}

// members checks patternProperties and additionalProperties.
func (w *walk) members(n *node, m map[string]any) string {
	if n.patterns == nil && n.known == nil {
		return ""
	}
	if n.patterns == nil && n.closed {
		// Fast path: count the known ones; usually all are.
		extra := false
		for name := range m {
			if !n.known[name] {
				extra = true
				break
			}
		}
		if !extra {
			return ""
		}
	}
	for _, name := range sortedKeys(m) {
		if why := w.member(n, m, name); why != "" {
			return why
		}
	}
	return ""
}

func (w *walk) member(n *node, m map[string]any, name string) string {
	matched := n.known == nil || n.known[name]
	for i := range n.patterns {
		p := &n.patterns[i]
		if !p.re.MatchString(name) {
			continue
		}
		matched = true
		out, why := w.check(p.node, m[name])
		if why != "" {
			return w.fail("failed to validate ", shorten(name), " (matching \"", p.re.String(), "\"): ", why)
		}
		if reshaped(m[name], out) {
			m[name] = out
		}
	}
	if matched {
		return ""
	}
	if n.closed {
		return w.fail("additional properties forbidden, found ", shorten(name))
	}
	out, why := w.check(n.extra, m[name])
	if why != "" {
		return w.fail("failed to validate additional property ", shorten(name), ": ", why)
	}
	if reshaped(m[name], out) {
		m[name] = out
	}
	return ""
}

func (w *walk) array(n *node, list []any) string {
	if len(list) < n.minItems {
		return w.fail("expect array to have at least ", strconv.Itoa(n.minItems), " items")
	}
	if n.maxItems >= 0 && len(list) > n.maxItems {
		return w.fail("expect array to have at most ", strconv.Itoa(n.maxItems), " items")
	}
	if n.items != nil {
		if why := w.each(n.items, list, 0, "failed to validate item "); why != "" {
			return why
		}
	}
	if n.tuple != nil {
		for i := range min(len(n.tuple), len(list)) {
			if why := w.each(n.tuple[i], list[:i+1], i, "failed to validate item "); why != "" {
				return why
			}
		}
		if len(list) > len(n.tuple) {
			if n.tupleCut {
				return w.fail("found unexpected extra items in array")
			}
			if n.tupleEnd != nil {
				why := w.each(n.tupleEnd, list, len(n.tuple), "failed to validate additional item ")
				if why != "" {
					return why
				}
			}
		}
	}
	if n.unique {
		if a, b := duplicate(list); b > 0 {
			return w.fail("expected unique items but items ", strconv.Itoa(a), " and ", strconv.Itoa(b), " are equal")
		}
	}
	return ""
}

// each checks the items from index first on against one schema.
func (w *walk) each(n *node, list []any, first int, message string) string {
	for i := first; i < len(list); i++ {
		out, why := w.check(n, list[i])
		if why != "" {
			return w.fail(message, strconv.Itoa(i+1), ": ", why)
		}
		if reshaped(list[i], out) {
			list[i] = out
		}
	}
	return ""
}

// duplicate returns the positions (from 1) of the first two equal items, or
// zeros. All go through a set: lists may be long, and come from clients.
func duplicate(list []any) (int, int) {
	const few = 16
	if len(list) <= few {
		for j := 1; j < len(list); j++ {
			for i := range j {
				if equal(list[i], list[j]) {
					return i + 1, j + 1
				}
			}
		}
		return 0, 0
	}
	type text string // of a container; no scalar has this type
	seen := make(map[any]int, len(list))
	for j, v := range list {
		switch v.(type) {
		case []any, map[string]any:
			// Keys are sorted: equal containers have equal texts.
			b, err := json.Marshal(v)
			if err != nil {
				continue // nothing that JSON can hold
			}
			v = text(b)
		}
		if i, ok := seen[v]; ok {
			return i + 1, j + 1
		}
		seen[v] = j
	}
	return 0, 0
}

// reshaped tells whether an empty array became an object or the reverse: the
// only way in which check replaces a value.
func reshaped(before, after any) bool {
	switch before.(type) {
	case []any:
		_, same := after.([]any)
		return !same
	case map[string]any:
		_, same := after.(map[string]any)
		return !same
	}
	return false
}

// copied returns a default that the value may own.
func copied(v any) any {
	switch v := v.(type) {
	case []any:
		out := slices.Clone(v)
		for i := range out {
			out[i] = copied(out[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = copied(v[k])
		}
		return out
	}
	return v
}
