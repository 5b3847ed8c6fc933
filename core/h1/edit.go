package h1

// Set replaces all fields of that name by one, at the place of the first.
// The name is written as given; its case does not matter for the search.
func (h *Header) Set(name string, value []byte) {
	if f, ok := writeLine(h, name, value); ok {
		h.place(f)
	}
}

// SetString is Set with a value that is a string.
func (h *Header) SetString(name, value string) {
	if f, ok := writeLine(h, name, value); ok {
		h.place(f)
	}
}

// SetBytes is Set with a name in bytes.
func (h *Header) SetBytes(name, value []byte) {
	if f, ok := writeLine(h, name, value); ok {
		h.place(f)
	}
}

// SetID is Set for a known name in the gateway's own spelling.
func (h *Header) SetID(id ID, value []byte) { h.place(writeKnown(h, id, value)) }

// Add appends a field.
func (h *Header) Add(name string, value []byte) {
	if f, ok := writeLine(h, name, value); ok {
		h.push(f)
	}
}

// AddString is Add with a value that is a string.
func (h *Header) AddString(name, value string) {
	if f, ok := writeLine(h, name, value); ok {
		h.push(f)
	}
}

// AddID is Add for a known name in the gateway's own spelling.
func (h *Header) AddID(id ID, value []byte) { h.push(writeKnown(h, id, value)) }

// Append is Add with a name in bytes.
func (h *Header) Append(name, value []byte) {
	if f, ok := writeLine(h, name, value); ok {
		h.push(f)
	}
}

// Del removes all fields with that name, in any case.
func (h *Header) Del(name string) {
	for i := 0; i < len(h.fields); i++ {
		f := &h.fields[i]
		if int(f.nameLen) == len(name) && sameName(h.buf[f.off:f.off+uint32(f.nameLen)], name) {
			h.DelAt(i)
			i--
		}
	}
}

// DelID removes all fields with that name.
func (h *Header) DelID(id ID) { h.DelSet(1 << id) }

// DelSet removes all fields whose names are in the set.
func (h *Header) DelSet(set IDSet) {
	if h.seen&set == 0 {
		return
	}
	keep := h.fields[:0]
	for _, f := range h.fields {
		if !set.Has(f.id) || f.id == Other {
			keep = append(keep, f)
		}
	}
	h.fields = keep
	h.seen &^= set
	h.whole = false
}

// DelUnderscored removes all fields that a peer sent with a name that contains
// '_'.
func (h *Header) DelUnderscored() {
	if !h.under {
		return
	}
	for i := 0; i < len(h.fields); i++ {
		if h.fields[i].flags&underscore != 0 {
			h.DelAt(i)
			i--
		}
	}
	h.under = false
}

// DelAt removes field i; the fields behind it move up.
func (h *Header) DelAt(i int) {
	id := h.fields[i].id
	h.fields = append(h.fields[:i], h.fields[i+1:]...)
	h.whole = false
	if id == Other {
		return
	}
	h.seen &^= 1 << id
	if h.anyID(id) {
		h.seen |= 1 << id
	}
}

func (h *Header) anyID(id ID) bool {
	for i := range h.fields {
		if h.fields[i].id == id {
			return true
		}
	}
	return false
}

// push appends a field whose line ends the buffer.
func (h *Header) push(f Field) {
	h.fields = append(h.fields, f)
	h.seen |= 1 << f.id &^ 1
}

// place puts a field where the first of its name stands and removes the others.
func (h *Header) place(f Field) {
	name := h.buf[f.off : f.off+uint32(f.nameLen)]
	at := -1
	for i := 0; i < len(h.fields); i++ {
		g := &h.fields[i]
		if g.nameLen != f.nameLen || !sameName(h.buf[g.off:g.off+uint32(g.nameLen)], name) {
			continue
		}
		if at < 0 {
			at = i
			*g = f
			h.whole = false
			continue
		}
		h.DelAt(i)
		i--
	}
	if at < 0 {
		h.push(f)
	}
}

// sameName compares two names without regard to case.
func sameName[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

// writeLine writes "name: value\r\n" to the end of the buffer. A name that is
// not a token writes nothing and reports false; control bytes in the value
// become blanks, so that no edit can split a message.
func writeLine[N, V []byte | string](h *Header, name N, value V) (Field, bool) {
	if len(name) == 0 || len(name) > maxName {
		return Field{}, false
	}
	off := len(h.buf)
	h.buf = append(h.buf, name...)
	f := Field{off: uint32(off), nameLen: uint16(len(name)), flags: canonical}
	n := h.buf[off:]
	for _, c := range n {
		if class[c]&isToken == 0 {
			h.buf = h.buf[:off]
			return Field{}, false
		}
		if c == '_' {
			f.flags |= underscore
		}
	}
	f.id = Lookup(n)
	h.buf = append(h.buf, ": "...)
	f.val, f.valLen = uint32(len(h.buf)), uint32(len(value))
	h.buf = append(h.buf, value...)
	blankControls(h.buf[f.val:])
	h.buf = append(h.buf, "\r\n"...)
	return f, true
}

// writeKnown is writeLine for a known name.
func writeKnown(h *Header, id ID, value []byte) Field {
	name := names[id]
	if name == "" {
		panic("BUG: h1: no spelling for this ID")
	}
	b := h.buf
	f := Field{off: uint32(len(b)), nameLen: uint16(len(name)), id: id, flags: canonical}
	b = append(b, name...)
	b = append(b, ':', ' ')
	f.val, f.valLen = uint32(len(b)), uint32(len(value))
	b = append(b, value...)
	blankControls(b[f.val:])
	h.buf = append(b, '\r', '\n')
	return f
}

// blankControls replaces what may not stand in a field value.
func blankControls(b []byte) {
	for i := skipText(b, 0); i < len(b); i = skipText(b, i+1) {
		if b[i] != '\t' {
			b[i] = ' '
		}
	}
}
