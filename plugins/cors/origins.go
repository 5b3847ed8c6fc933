package cors

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicegw/sluice/core/regex"
)

// rule says which origins are meant.
type rule struct {
	any    bool // "*"
	echo   bool // "**"
	listed map[string]struct{}
	regex  []*regex.Regexp // when there are any, nothing else counts
}

// compileRule reads a list such as "https://a.com,https://b.com", "*", "**",
// or patterns in its place.
func compileRule(list string, patterns []string) (rule, error) {
	var r rule
	for _, text := range patterns {
		re, err := regex.Compile(text, false)
		if err != nil {
			return r, err
		}
		r.regex = append(r.regex, re)
	}
	if r.regex != nil {
		return r, nil
	}
	switch list {
	case "":
	case "*":
		r.any = true
	case "**":
		r.echo = true
	default:
		r.listed = map[string]struct{}{}
		for origin := range strings.SplitSeq(list, ",") {
			r.listed[origin] = struct{}{}
		}
	}
	return r, nil
}

var star = []byte("*")

// match returns what to tell the browser: the origin, or "*" for all of them;
// nil when the origin is not meant. origin is nil when the request has none.
func (r *rule) match(origin []byte) []byte {
	switch {
	case r.regex != nil:
		if origin == nil {
			return nil
		}
		for _, re := range r.regex {
			if re.Match(origin) {
				return origin
			}
		}
	case r.any:
		return star
	case r.echo:
		if origin == nil {
			return star
		}
		return origin
	case origin != nil:
		if _, ok := r.listed[string(origin)]; ok {
			return origin
		}
	}
	return nil
}

// varies tells whether the answer depends on the origin.
func (r *rule) varies() bool { return r.echo || r.listed != nil || r.regex != nil }

// metadata are the lists of origins that instances refer to by name.
type metadata map[string]*rule

func compileMetadata(raw json.RawMessage) (metadata, error) {
	var c struct {
		AllowOrigins map[string]string `json:"allow_origins"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("metadata of cors: %w", err)
	}
	m := metadata{}
	for name, list := range c.AllowOrigins {
		r, err := compileRule(list, nil)
		if err != nil {
			return nil, err
		}
		m[name] = &r
	}
	return m, nil
}
