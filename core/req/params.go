package req

// MaxParams is how many captures one path pattern may have.
const MaxParams = 16

// Params is what matching found out about a request besides its route: the
// patterns that fitted and the captures of the path pattern. Captures are
// offsets, so that recording them copies nothing; they hold for the path that
// was matched on. The zero value says that nothing matched.
type Params struct {
	// MatchedURI is the path pattern as written in the route ("/a/*").
	MatchedURI string
	// MatchedHost is the host pattern as written, in lower case; empty when
	// the route has no host.
	MatchedHost string

	path  []byte
	names []string
	spans [MaxParams]Span
}

// Span is a capture: path[Start:End].
type Span struct{ Start, End uint32 }

// Reset forgets everything.
func (p *Params) Reset() {
	p.MatchedURI, p.MatchedHost = "", ""
	p.path, p.names = nil, nil
}

// SetCaptures records captures over path: spans[i] belongs to names[i]. Both
// path and names are kept and not copied. It panics with more than MaxParams
// names; compiling a pattern refuses those.
func (p *Params) SetCaptures(path []byte, names []string, spans *[MaxParams]Span) {
	if len(names) > MaxParams {
		panic("BUG: a path pattern with more than MaxParams captures")
	}
	p.path, p.names = path, names
	copy(p.spans[:len(names)], spans[:len(names)])
}

// Get returns the capture called name. When a pattern uses a name twice the
// last one counts. The bytes belong to the request's path.
func (p *Params) Get(name string) (value []byte, ok bool) {
	for i := len(p.names) - 1; i >= 0; i-- {
		if p.names[i] == name {
			s := p.spans[i]
			return p.path[s.Start:s.End:s.End], true
		}
	}
	return nil, false
}

// Len is the number of captures.
func (p *Params) Len() int { return len(p.names) }

// At returns the i-th capture in the order of the pattern.
func (p *Params) At(i int) (name string, value []byte) {
	s := p.spans[i]
	return p.names[i], p.path[s.Start:s.End:s.End]
}

// Matched returns what matching found out about the request.
func (c *Ctx) Matched() *Params { return &c.params }
