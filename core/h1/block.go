package h1

import (
	"bytes"
	"unsafe"
)

// Block is a run of fields that is made once and added to many tables, at the
// cost of one copy. The zero value is empty. It is immutable once in use.
type Block struct{ h Header }

// Add appends a field to the block. It reports false, and adds nothing, for a
// name that no field can have.
func (b *Block) Add(name, value string) bool {
	f, ok := writeLine(&b.h, name, value)
	if ok {
		b.h.push(f)
	}
	return ok
}

// Len returns the number of fields.
func (b *Block) Len() int { return len(b.h.fields) }

// AddBlock appends the fields of b, whether the table has such names or not.
func (h *Header) AddBlock(b *Block) {
	base := uint32(len(h.buf))
	h.buf = append(h.buf, b.h.buf...)
	for _, f := range b.h.fields {
		f.off += base
		f.val += base
		h.fields = append(h.fields, f)
	}
	h.seen |= b.h.seen
}

// SetBlock puts the fields of b in the place of those with the same names.
func (h *Header) SetBlock(b *Block) {
	for i := range b.h.fields {
		n := b.h.Name(i)
		h.Del(unsafe.String(unsafe.SliceData(n), len(n)))
	}
	h.AddBlock(b)
}

// HasPrefix reports whether a field has a name that begins with prefix, which
// is in lower case.
func (h *Header) HasPrefix(prefix string) bool {
	for i := range h.fields {
		f := &h.fields[i]
		if int(f.nameLen) >= len(prefix) && equalFold(h.buf[f.off:f.off+uint32(len(prefix))], prefix) {
			return true
		}
	}
	return false
}

// HasToken reports whether a field with that name lists the token, which is in
// lower case.
func (h *Header) HasToken(id ID, token string) bool {
	for i := h.IndexID(id, 0); i >= 0; i = h.IndexID(id, i+1) {
		for t, rest := nextToken(h.Value(i)); t != nil; t, rest = nextToken(rest) {
			if equalFold(t, token) {
				return true
			}
			if name, _, ok := bytes.Cut(t, equalsSign); ok && equalFold(name, token) {
				return true
			}
		}
	}
	return false
}

var equalsSign = []byte{'='}
