package h1

// AddForwarded appends X-Forwarded-Proto, X-Forwarded-Host (unless host is
// empty) and X-Forwarded-Port. It is what AddID does three times, for every
// request, with the names as constants. Neither scheme nor host may contain
// control bytes: they are not looked at.
func (h *Header) AddForwarded(scheme string, host []byte, port uint16) {
	b, fs := h.buf, h.fields
	off := uint32(len(b))
	b = append(b, "X-Forwarded-Proto: "...)
	b = append(b, scheme...)
	b = append(b, '\r', '\n')
	fs = append(fs, Field{
		off: off, nameLen: uint16(len("X-Forwarded-Proto")), id: XForwardedProto, flags: canonical,
		val: off + uint32(len("X-Forwarded-Proto: ")), valLen: uint32(len(scheme)),
	})
	off = uint32(len(b))
	b = append(b, "X-Forwarded-Port: "...)
	b = appendPort(b, port)
	valLen := uint32(len(b)) - off - uint32(len("X-Forwarded-Port: "))
	b = append(b, '\r', '\n')
	fs = append(fs, Field{
		off: off, nameLen: uint16(len("X-Forwarded-Port")), id: XForwardedPort, flags: canonical,
		val: off + uint32(len("X-Forwarded-Port: ")), valLen: valLen,
	})
	h.seen |= 1<<XForwardedProto | 1<<XForwardedPort
	if len(host) > 0 {
		off = uint32(len(b))
		b = append(b, "X-Forwarded-Host: "...)
		b = append(b, host...)
		b = append(b, '\r', '\n')
		fs = append(fs, Field{
			off: off, nameLen: uint16(len("X-Forwarded-Host")), id: XForwardedHost, flags: canonical,
			val: off + uint32(len("X-Forwarded-Host: ")), valLen: uint32(len(host)),
		})
		h.seen |= 1 << XForwardedHost
	}
	h.buf, h.fields = b, fs
}

// AddClient appends X-Real-IP and X-Forwarded-For with the same value, an
// address in text. The table may hold neither.
func (h *Header) AddClient(addr []byte) {
	b := h.buf
	off := uint32(len(b))
	b = append(b, "X-Real-IP: "...)
	b = append(b, addr...)
	b = append(b, "\r\nX-Forwarded-For: "...)
	b = append(b, addr...)
	h.buf = append(b, '\r', '\n')
	n := uint32(len(addr))
	next := off + uint32(len("X-Real-IP: \r\n")) + n
	h.fields = append(h.fields, Field{
		off: off, nameLen: uint16(len("X-Real-IP")), id: XRealIP, flags: canonical,
		val: off + uint32(len("X-Real-IP: ")), valLen: n,
	}, Field{
		off: next, nameLen: uint16(len("X-Forwarded-For")), id: XForwardedFor, flags: canonical,
		val: next + uint32(len("X-Forwarded-For: ")), valLen: n,
	})
	h.seen |= 1<<XRealIP | 1<<XForwardedFor
}

func appendPort(b []byte, n uint16) []byte {
	if n >= 1000 {
		if n >= 10000 {
			b = append(b, byte('0'+n/10000))
		}
		return append(b, byte('0'+n/1000%10), byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
	}
	return AppendInt(b, int64(n))
}
