package h1

// DropHop removes the fields that end with the upstream's connection: the
// hop-by-hop ones and those that Connection names. What frames the message or
// names its sender stays, whatever Connection says of it.
func (r *Response) DropHop() {
	if r.ConnectionNames {
		r.DelNamed()
	}
	r.DelSet(HopByHop)
}

// endToEnd are the names that Connection may not take away: without them the
// next hop would read another message, or another sender, than we did.
const endToEnd = Framing | Identity | Forwarding | 1<<Shadow | 1<<Via | 1<<Authorization | 1<<Cookie | 1<<SetCookie |
	1<<ContentType | 1<<ContentEncoding | 1<<ContentRange | 1<<Range | 1<<CacheControl | 1<<Vary |
	1<<APIKey | 1<<Origin | 1<<Date | 1<<Expect | 1<<MaxForwards

// CheckNamed refuses a Connection field that is not a list of tokens or that
// names a field which must reach the other end.
func (h *Header) CheckNamed() *Error {
	for i := h.IndexID(Connection, 0); i >= 0; i = h.IndexID(Connection, i+1) {
		for t, rest := nextToken(h.Value(i)); t != nil; t, rest = nextToken(rest) {
			for _, c := range t {
				if class[c]&isToken == 0 {
					return ErrConnectionField
				}
			}
			if endToEnd.Has(Lookup(t)) {
				return ErrConnectionNames
			}
		}
	}
	return nil
}

// DelNamed removes the fields that Connection names, except those that must
// reach the other end.
func (h *Header) DelNamed() {
	for i := h.IndexID(Connection, 0); i >= 0; i = h.IndexID(Connection, i+1) {
		for t, rest := nextToken(h.Value(i)); t != nil; t, rest = nextToken(rest) {
			id := Lookup(t)
			if id == Connection || endToEnd.Has(id) {
				continue
			}
			for k := 0; k < len(h.fields); k++ {
				if sameName(h.Name(k), t) {
					h.DelAt(k)
					if k--; k < i {
						i--
					}
				}
			}
		}
	}
}
