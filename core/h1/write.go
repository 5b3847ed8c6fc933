package h1

// AppendTo appends "Name: value\r\n" for each field whose name is not in drop.
// Neighbouring fields that stand in the buffer as they would be written are
// copied as one run; an untouched head is one copy.
func (h *Header) AppendTo(dst []byte, drop IDSet) []byte {
	if h.whole && h.seen&drop == 0 {
		if len(h.fields) == 0 {
			return dst
		}
		return append(dst, h.buf[h.fields[0].off:]...)
	}
	return h.appendRuns(dst, 0, 0, 0, drop&^1)
}

// appendRuns writes the fields from index i on, behind the run [start, end) of
// the buffer that is still to be copied.
func (h *Header) appendRuns(dst []byte, i int, start, end uint32, drop IDSet) []byte {
	buf := h.buf
	for ; i < len(h.fields); i++ {
		f := &h.fields[i]
		if drop.Has(f.id) {
			continue
		}
		if f.flags&canonical != 0 {
			if f.off != end {
				dst = append(dst, buf[start:end]...)
				start = f.off
			}
			end = f.val + f.valLen + 2
			continue
		}
		dst = append(dst, buf[start:end]...)
		start, end = 0, 0
		dst = append(dst, buf[f.off:f.off+uint32(f.nameLen)]...)
		dst = append(dst, ": "...)
		dst = append(dst, buf[f.val:f.val+f.valLen]...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, buf[start:end]...)
}

// AppendHead appends the request line, then Host, then the fields whose names
// are neither Host nor in drop; the caller appends what else it wants and the
// blank line. A nil target means Target, a nil host the client's Host field.
// The version is always HTTP/1.1: it is the gateway's own.
func (r *Request) AppendHead(dst, target, host []byte, drop IDSet) []byte {
	own := host == nil
	if own && target == nil && !r.edited && r.Minor == 1 && len(r.fields) > 0 && r.fields[0].id == Host &&
		string(r.Name(0)) == names[Host] {
		// Fast path: the client's head begins as ours would.
		if r.whole && r.seen&drop&^(1<<Host) == 0 {
			return append(dst, r.buf[r.line:]...)
		}
		if f := &r.fields[0]; f.flags&canonical != 0 {
			return r.appendRuns(dst, 1, r.line, f.val+f.valLen+2, drop|1<<Host)
		}
	}
	if target == nil {
		target = r.Target()
	}
	dst = append(dst, r.Method()...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	if own {
		host = r.GetID(Host)
	}
	dst = append(dst, host...)
	dst = append(dst, "\r\n"...)
	return r.AppendTo(dst, drop|1<<Host)
}
