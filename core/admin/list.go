package admin

import (
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/valyala/fasthttp"
)

const (
	minPageSize = 10
	maxPageSize = 500
	// patternLimit bounds the regular expressions of list parameters.
	patternLimit = 1024
	// patternTime bounds one match of a pattern that needs backtracking.
	patternTime = 20 * time.Millisecond
)

// page is a requested part of a list. Size 0 means all of it.
type page struct{ number, size int }

// parsePage reads page and page_size, which count only together.
func parsePage(args *fasthttp.Args) (page, *failure) {
	number, okNumber := luaNumber(args.Peek("page"))
	size, okSize := luaNumber(args.Peek("page_size"))
	if !okNumber || !okSize {
		return page{}, nil
	}
	if size < minPageSize || size > maxPageSize {
		return page{}, &failure{status: fasthttp.StatusBadRequest, body: "page_size must be between 10 and 500"}
	}
	return page{number: int(min(max(number, 1), math.MaxInt32)), size: int(size)}, nil
}

// luaNumber reads a number as Lua's tonumber does in the cases that occur:
// decimal, fraction, exponent, hexadecimal, blanks around it.
func luaNumber(text []byte) (float64, bool) {
	s := strings.TrimSpace(string(text))
	if s == "" || len(s) > 32 || strings.ContainsAny(s, "_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		i, ierr := strconv.ParseInt(s, 0, 64)
		if ierr != nil || !strings.ContainsAny(s, "xX") {
			return 0, false
		}
		f = float64(i)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// slice returns the bounds of the page in a list of n.
func (p page) slice(n int) (from, to int) {
	if p.size == 0 {
		return 0, n
	}
	from = min((p.number-1)*p.size, n)
	return from, min(from+p.size, n)
}

// filter is a list's condition; all of its parts must hold.
type filter struct {
	name, uri *pattern
	label     string
	byLabel   bool
	fields    []fieldFilter
}

type fieldFilter struct{ field, value string }

// parseFilter reads name, uri, label and filter. Fields that the resource
// does not offer for filtering are ignored and returned for the log.
func parseFilter(args *fasthttp.Args, offered []string) (f filter, ignored []string) {
	if args.Has("name") {
		f.name = compile(string(args.Peek("name")))
	}
	if args.Has("uri") {
		f.uri = compile(string(args.Peek("uri")))
	}
	if args.Has("label") {
		f.byLabel, f.label = true, string(args.Peek("label"))
	}
	if !args.Has("filter") {
		return f, nil
	}
	values, err := url.ParseQuery(string(args.Peek("filter")))
	if err != nil {
		// What cannot be read selects nothing.
		f.fields = append(f.fields, fieldFilter{})
		return f, nil
	}
	for name, given := range values {
		if !contains(offered, name) {
			ignored = append(ignored, name)
			continue
		}
		f.fields = append(f.fields, fieldFilter{name, given[len(given)-1]})
	}
	return f, ignored
}

func contains(list []string, s string) bool {
	for _, candidate := range list {
		if candidate == s {
			return true
		}
	}
	return false
}

// active tells whether the filter can leave anything out.
func (f *filter) active() bool {
	return f.name != nil || f.uri != nil || f.byLabel || len(f.fields) > 0
}

func (f *filter) matches(value map[string]any) bool {
	if f.name != nil {
		name, ok := value["name"].(string)
		if !ok || !f.name.match(name) {
			return false
		}
	}
	if f.byLabel {
		labels, _ := value["labels"].(map[string]any)
		if _, ok := labels[f.label]; !ok {
			return false
		}
	}
	for _, want := range f.fields {
		if have, ok := scalar(value[want.field]); !ok || have != want.value {
			return false
		}
	}
	return f.uri == nil || f.matchesURI(value)
}

func (f *filter) matchesURI(value map[string]any) bool {
	if uri, ok := value["uri"].(string); ok && f.uri.match(uri) {
		return true
	}
	uris, _ := value["uris"].([]any)
	for _, uri := range uris {
		if text, ok := uri.(string); ok && f.uri.match(text) {
			return true
		}
	}
	return false
}

// pattern is a regular expression of a client: linear where possible, with
// PCRE's extras and a time limit where not. A broken one matches nothing, as
// in APISIX.
type pattern struct {
	linear *regexp.Regexp
	back   *regexp2.Regexp
}

func compile(text string) *pattern {
	if len(text) > patternLimit {
		return &pattern{}
	}
	if re, err := regexp.Compile(text); err == nil {
		return &pattern{linear: re}
	}
	re, err := regexp2.Compile(text)
	if err != nil {
		return &pattern{}
	}
	re.MatchTimeout = patternTime
	return &pattern{back: re}
}

func (p *pattern) match(s string) bool {
	switch {
	case p.linear != nil:
		return p.linear.MatchString(s)
	case p.back != nil:
		ok, err := p.back.MatchString(s)
		if err != nil {
			// Out of time once is enough: a list may hold 100,000 names.
			p.back = nil
		}
		return err == nil && ok
	}
	return false
}
