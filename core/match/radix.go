package match

import (
	"bytes"
	"strings"
)

// radixNode is a node of a compressed tree over bytes. A walk along a text
// passes every key that is a prefix of it, shortest first.
type radixNode[V any] struct {
	own   *owner
	val   *V     // nil: no key ends here
	label string // the bytes between the parent and here
	first []byte // the first bytes of the kids' labels, sorted
	kids  []*radixNode[V]
}

// next returns the kid that continues with text, and the text behind its
// label; nil when there is none.
func (n *radixNode[V]) next(text []byte) (*radixNode[V], []byte) {
	if len(text) == 0 {
		return nil, nil
	}
	i := bytes.IndexByte(n.first, text[0])
	if i < 0 {
		return nil, nil
	}
	kid := n.kids[i]
	if len(text) < len(kid.label) || string(text[:len(kid.label)]) != kid.label {
		return nil, nil
	}
	return kid, text[len(kid.label):]
}

// radixTree maps keys to values. The empty key ends at the root.
type radixTree[V any] struct {
	root *radixNode[V]
}

// find returns the value of key, nil when there is none.
func (t *radixTree[V]) find(key string) *V {
	n := t.root
	for n != nil && key != "" {
		i := bytes.IndexByte(n.first, key[0])
		if i < 0 || !strings.HasPrefix(key, n.kids[i].label) {
			return nil
		}
		n = n.kids[i]
		key = key[len(n.label):]
	}
	if n == nil {
		return nil
	}
	return n.val
}

// edit returns the value of key for changing it: a copy unless own made it,
// and a new zero value when there was none.
func (t *radixTree[V]) edit(own *owner, key string) *V {
	if t.root == nil {
		t.root = &radixNode[V]{own: own}
	}
	t.root = t.root.writable(own)
	n := t.root
	for key != "" {
		i := bytes.IndexByte(n.first, key[0])
		if i < 0 {
			kid := &radixNode[V]{own: own, label: key}
			at := 0
			for at < len(n.first) && n.first[at] < key[0] {
				at++
			}
			n.first = insertAt(n.first, at, key[0])
			n.kids = insertAt(n.kids, at, kid)
			n = kid
			break
		}
		kid := n.kids[i].writable(own)
		common := commonPrefix(kid.label, key)
		if common < len(kid.label) {
			// The key leaves in the middle of the label: split it.
			lower := kid
			kid = &radixNode[V]{
				own: own, label: lower.label[:common],
				first: []byte{lower.label[common]}, kids: []*radixNode[V]{lower},
			}
			lower.label = lower.label[common:]
		}
		n.kids[i] = kid
		n = kid
		key = key[common:]
	}
	v := new(V)
	if n.val != nil {
		*v = *n.val
	}
	n.val = v
	return v
}

// remove deletes key, which must be there.
func (t *radixTree[V]) remove(own *owner, key string) {
	t.root = t.root.without(own, key)
	if t.root.val == nil && len(t.root.kids) == 0 {
		t.root = nil
	}
}

func (n *radixNode[V]) without(own *owner, key string) *radixNode[V] {
	n = n.writable(own)
	if key == "" {
		n.val = nil
		return n
	}
	i := bytes.IndexByte(n.first, key[0])
	kid := n.kids[i].without(own, key[len(n.kids[i].label):])
	switch {
	case kid.val != nil || len(kid.kids) > 1:
		n.kids[i] = kid
	case len(kid.kids) == 1:
		// Nothing ends or branches at kid: join it with what follows.
		only := kid.kids[0].writable(own)
		only.label = kid.label + only.label
		n.kids[i] = only
	default:
		n.first = removeAt(n.first, i)
		n.kids = removeAt(n.kids, i)
	}
	return n
}

// all calls yield for every key with a value until it returns false, in byte
// order.
func (t *radixTree[V]) all(yield func(key string, val *V) bool) bool {
	return t.root == nil || t.root.all("", yield)
}

func (n *radixNode[V]) all(prefix string, yield func(key string, val *V) bool) bool {
	if n.val != nil && !yield(prefix, n.val) {
		return false
	}
	for _, k := range n.kids {
		if !k.all(prefix+k.label, yield) {
			return false
		}
	}
	return true
}

// writable returns n if own made it, else a copy.
func (n *radixNode[V]) writable(own *owner) *radixNode[V] {
	if n.own == own {
		return n
	}
	c := *n
	c.own = own
	c.first = append([]byte(nil), n.first...)
	c.kids = append([]*radixNode[V](nil), n.kids...)
	return &c
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
