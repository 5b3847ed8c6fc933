package responserewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	brrr "github.com/molecule-man/go-brrr"

	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/req"
)

type filterConfig struct {
	Regex   string `json:"regex"`
	Scope   string `json:"scope"`
	Replace string `json:"replace"`
	Options string `json:"options"`
}

// filter replaces what matches in a body.
type filter struct {
	pattern *regex.Regexp
	replace *regex.Template
	all     bool
}

func compileFilters(list []filterConfig) ([]filter, error) {
	var out []filter
	for _, c := range list {
		text, fold, err := withOptions(c.Regex, c.Options)
		f := filter{all: c.Scope == "global"}
		if err == nil {
			f.pattern, err = regex.Compile(text, fold)
		}
		if err == nil {
			f.replace, err = regex.CompileTemplate(c.Replace)
		}
		if err != nil {
			return nil, fmt.Errorf("regex \"%s\" validation failed: %w", c.Regex, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// withOptions puts the options of OpenResty's regular expressions into the
// pattern.
func withOptions(pattern, options string) (text string, fold bool, err error) {
	inline, anchored := "", false
	for _, o := range options {
		switch o {
		case 'j', 'o', 'u', 'U', 'd', 'D', 'J': // how to compile, or of no effect on bytes
		case 'i':
			fold = true
		case 'm', 's', 'x':
			inline += string(o)
		case 'a':
			anchored = true
		default:
			return "", false, fmt.Errorf("unknown flag %q (flags %q)", o, options)
		}
	}
	if anchored {
		pattern = `\A(?:` + pattern + `)`
	}
	if inline != "" {
		pattern = "(?" + inline + ")" + pattern
	}
	return pattern, fold, nil
}

// inlineBytes is how large a body is filtered on the loop; larger ones are in
// the background meanwhile.
const inlineBytes = 8 << 10

// filter puts the outcome of the filters into s.held.
func (p *plugin) filter(ctx *req.Ctx, s *progress) (err error) {
	if len(s.held) > inlineBytes && ctx.Task != nil &&
		ctx.Task.Await(func() { err = p.run(s) }) == nil {
		return err
	}
	return p.run(s)
}

func (p *plugin) run(s *progress) error {
	if s.coding != plain {
		if err := s.decode(p.most); err != nil {
			return err
		}
	}
	for i := range p.filters {
		f := &p.filters[i]
		out, n := f.pattern.AppendReplace(s.spare[:0], s.held, f.replace, f.all)
		if n > 0 {
			s.held, s.spare = out, s.held
		} else {
			s.spare = out
		}
	}
	return nil
}

// coding is how the upstream coded a body.
type coding uint8

const (
	plain coding = iota
	gzipped
	brotlied
	unknown
)

func codingOf(v []byte) coding {
	switch {
	case len(v) == 0, bytes.EqualFold(v, []byte("identity")):
		return plain
	case bytes.EqualFold(v, []byte("gzip")), bytes.EqualFold(v, []byte("x-gzip")):
		return gzipped
	case bytes.EqualFold(v, []byte("br")):
		return brotlied
	}
	return unknown
}

var errEmpty = errors.New("empty body")

// decode replaces s.held by what it stands for, at most limit bytes of it.
func (s *progress) decode(limit int) error {
	if len(s.held) == 0 {
		return errEmpty
	}
	var r io.Reader
	if s.coding == gzipped {
		z, err := gzip.NewReader(bytes.NewReader(s.held))
		if err != nil {
			return err
		}
		r = z
	} else {
		r = brrr.NewReader(bytes.NewReader(s.held))
	}
	out := bytes.NewBuffer(s.spare[:0])
	_, err := io.Copy(out, io.LimitReader(r, int64(limit)))
	if err != nil && !(s.cut && errors.Is(err, io.ErrUnexpectedEOF)) {
		return err
	}
	s.held, s.spare = out.Bytes(), s.held
	return nil
}
