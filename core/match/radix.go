package match

import "strings"

// radixTree maps keys to values. It is a compressed tree over bytes: a walk
// along a text passes every key that is a prefix of it, shortest first. The
// zero value is empty, and a tree is its own root node. Like the nodes of a
// hashMap, nodes are kept by value in their parent's array.
type radixTree[V any] struct {
	own   *owner // of the array behind kids
	val   *V     // nil: no key ends here
	label string // the bytes between the parent and here
	// heads are the first bytes of the kids' labels, sorted; those beyond the
	// array stand in more.
	heads [16]byte
	more  []byte
	kids  []radixTree[V]
}

func (t *radixTree[V]) empty() bool { return t.val == nil && len(t.kids) == 0 }

// kid returns the index of the kid whose label begins with c, or where it
// would have to be.
func (t *radixTree[V]) kid(c byte) (i int, ok bool) {
	for i = 0; i < len(t.kids); i++ {
		if h := t.head(i); h >= c {
			return i, h == c
		}
	}
	return i, false
}

func (t *radixTree[V]) head(i int) byte {
	if i < len(t.heads) {
		return t.heads[i]
	}
	return t.more[i-len(t.heads)]
}

// next returns the kid that continues with text, and the text behind its
// label; nil when there is none.
func (t *radixTree[V]) next(text []byte) (*radixTree[V], []byte) {
	if len(text) == 0 {
		return nil, nil
	}
	i, ok := t.kid(text[0])
	if !ok {
		return nil, nil
	}
	k := &t.kids[i]
	if len(text) < len(k.label) || string(text[:len(k.label)]) != k.label {
		return nil, nil
	}
	return k, text[len(k.label):]
}

// find returns the value of key, nil when there is none.
func (t *radixTree[V]) find(key string) *V {
	for key != "" {
		i, ok := t.kid(key[0])
		if !ok || !strings.HasPrefix(key, t.kids[i].label) {
			return nil
		}
		t = &t.kids[i]
		key = key[len(t.label):]
	}
	return t.val
}

// edit returns the value of key for changing it: a copy of what it was, or a
// zero value.
func (t *radixTree[V]) edit(own *owner, key string) *V {
	for key != "" {
		t.writable(own)
		i, ok := t.kid(key[0])
		if !ok {
			t.kids = insertAt(t.kids, i, radixTree[V]{own: own, label: key})
			t.setHeads()
			t = &t.kids[i]
			break
		}
		t = &t.kids[i]
		common := commonPrefix(t.label, key)
		if common < len(t.label) {
			// The key leaves in the middle of the label: split it.
			lower := *t
			lower.label = t.label[common:]
			*t = radixTree[V]{own: own, label: t.label[:common], kids: []radixTree[V]{lower}}
			t.setHeads()
		}
		key = key[common:]
	}
	v := new(V)
	if t.val != nil {
		*v = *t.val
	}
	t.val = v
	return v
}

// remove deletes key, which must be there.
func (t *radixTree[V]) remove(own *owner, key string) {
	if key == "" {
		t.val = nil
		return
	}
	t.writable(own)
	i, _ := t.kid(key[0])
	k := &t.kids[i]
	k.remove(own, key[len(k.label):])
	switch {
	case k.val != nil || len(k.kids) > 1:
	case len(k.kids) == 1:
		// Nothing ends or branches there: join it with what follows.
		only := k.kids[0]
		only.label = k.label + only.label
		*k = only
	default:
		t.kids = removeAt(t.kids, i)
		t.setHeads()
	}
}

// all calls yield for every key with a value until it returns false, in byte
// order.
func (t *radixTree[V]) all(yield func(key string, val *V) bool) bool { return t.each("", yield) }

func (t *radixTree[V]) each(prefix string, yield func(key string, val *V) bool) bool {
	prefix += t.label
	if t.val != nil && !yield(prefix, t.val) {
		return false
	}
	for i := range t.kids {
		if !t.kids[i].each(prefix, yield) {
			return false
		}
	}
	return true
}

// writable makes the node's array its own.
func (t *radixTree[V]) writable(own *owner) {
	if t.own != own {
		t.own = own
		t.kids = append([]radixTree[V](nil), t.kids...)
	}
}

// setHeads notes the first bytes of the kids.
func (t *radixTree[V]) setHeads() {
	t.heads, t.more = [16]byte{}, nil
	for i := range t.kids {
		if c := t.kids[i].label[0]; i < len(t.heads) {
			t.heads[i] = c
		} else {
			t.more = append(t.more, c)
		}
	}
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
