// Package h1 is HTTP/1.x on the wire: strict scanners for request and response
// heads, the header table that the whole data path reads and edits, and the
// chunked coding. It knows nothing of connections.
package h1

// Header is an ordered table of fields over one growing byte buffer. Fields
// are offsets, so that growing the buffer moves no pointers and the collector
// has nothing to scan. The zero value is an empty table.
//
// Slices that a Header returns point into the buffer. They stay readable until
// Reset, but a later edit of the same field does not show in them. Values
// given to a Header are copied.
type Header struct {
	buf    []byte
	fields []Field
	seen   IDSet // known names that have at least one field
	// whole: the fields are one run of canonical lines that ends the buffer.
	whole bool
	under bool // there may be a field whose name contains '_'
}

// Field locates one header field inside its table's buffer.
type Field struct {
	off     uint32 // of the name
	val     uint32 // of the value
	valLen  uint32
	nameLen uint16
	id      ID
	flags   uint8
}

const (
	// canonical: the buffer holds "Name: value\r\n" at off.
	canonical uint8 = 1 << iota
	// underscore: the name contains '_'.
	underscore
)

// keepBytes is how much buffer an empty table holds on to, so that one huge
// head does not stay in a pool for ever.
const keepBytes = 64 << 10

// Reset empties the table and keeps its buffer.
func (h *Header) Reset() {
	if cap(h.buf) > keepBytes {
		h.buf = nil
	}
	h.buf = h.buf[:0]
	h.fields = h.fields[:0]
	h.seen = 0
	h.whole = true
	h.under = false
}

// note keeps the table's summary of a field that was scanned.
func (h *Header) note(f *Field) {
	if f.flags != canonical {
		h.whole = h.whole && f.flags&canonical != 0
		h.under = h.under || f.flags&underscore != 0
	}
}

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Name returns the name of field i as it was written.
func (h *Header) Name(i int) []byte {
	f := &h.fields[i]
	return h.buf[f.off : f.off+uint32(f.nameLen) : f.off+uint32(f.nameLen)]
}

// Value returns the value of field i without blanks around it.
func (h *Header) Value(i int) []byte {
	f := &h.fields[i]
	return h.buf[f.val : f.val+f.valLen : f.val+f.valLen]
}

// ID returns the number of field i's name, Other when it has none.
func (h *Header) ID(i int) ID { return h.fields[i].id }

// Seen returns the known names that have at least one field.
func (h *Header) Seen() IDSet { return h.seen }

// HasID reports whether a field with that name exists.
func (h *Header) HasID(id ID) bool { return h.seen.Has(id) }

// Has reports whether a field with that lower-case name exists.
func (h *Header) Has(name string) bool { return h.find(name, 0) >= 0 }

// GetID returns the value of the first field with that name, nil when there is
// none.
func (h *Header) GetID(id ID) []byte {
	if i := h.IndexID(id, 0); i >= 0 {
		return h.Value(i)
	}
	return nil
}

// Get returns the value of the first field with that lower-case name, nil when
// there is none.
func (h *Header) Get(name string) []byte {
	if i := h.find(name, 0); i >= 0 {
		return h.Value(i)
	}
	return nil
}

// IndexID returns the index of the first field with that name at or after
// from, -1 when there is none.
func (h *Header) IndexID(id ID, from int) int {
	if !h.seen.Has(id) {
		return -1
	}
	for i := from; i < len(h.fields); i++ {
		if h.fields[i].id == id {
			return i
		}
	}
	return -1
}

// Index returns the index of the first field with that lower-case name at or
// after from, -1 when there is none.
func (h *Header) Index(name string, from int) int { return h.find(name, from) }

func (h *Header) find(name string, from int) int {
	for i := from; i < len(h.fields); i++ {
		f := &h.fields[i]
		if int(f.nameLen) == len(name) && equalFold(h.buf[f.off:f.off+uint32(f.nameLen)], name) {
			return i
		}
	}
	return -1
}
