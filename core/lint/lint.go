// Package lint finds what is valid in a configuration and still not what its
// author can have meant: routes that never serve, objects that nothing uses,
// settings that hurt.
package lint

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/match"
)

// Severity says how much a finding matters.
type Severity uint8

// The severities.
const (
	// Hint: worth knowing, often meant so.
	Hint Severity = iota
	// Warning: probably a mistake or a risk.
	Warning
	// Error: requests fail, or an object is not served.
	Error
)

var severities = [...]string{"hint", "warning", "error"}

// String is the word that is shown.
func (s Severity) String() string { return severities[s] }

// MarshalText writes the word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severities[:], string(text))
	if i < 0 {
		return fmt.Errorf("severity %q is not one of hint, warning, error", text)
	}
	*s = Severity(i)
	return nil
}

// Finding is one thing to look at.
type Finding struct {
	// Rule names what was found ("shadowed"); docs/operations.md lists them.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Object is "routes/1", empty for the configuration as a whole.
	Object string `json:"object,omitempty"`
	// Field is the field at fault, where there is one.
	Field string `json:"field,omitempty"`
	// Text says what is the case and what to do about it.
	Text string `json:"text"`
	// Line is the object's line in a file, 0 when it came from elsewhere.
	Line int `json:"line,omitempty"`
}

// Object is one object to look at.
type Object struct {
	// Object has the value with defaults, nil for a refused one.
	conf.Object
	// Refused says why the object is not served.
	Refused string
	// Warnings are what the check had to say.
	Warnings []string
	// Line is its line in a file.
	Line int
}

// Options are the settings that decide what a configuration means.
type Options struct {
	Match match.Options
	// EncodedSlash is match_uri_encoded_slash.
	EncodedSlash bool
	// Known tells whether a plugin runs here; nil: all do.
	Known func(name string) bool
}

// Run looks at a whole configuration. Findings are ordered by severity, most
// severe first, then by object.
func Run(o Options, objects []Object) []Finding {
	l := &linter{opt: o, set: newSet(objects)}
	for i := range objects {
		obj := &objects[i]
		l.line = obj.Line
		l.state(obj)
		if obj.Value != nil {
			l.out = append(l.out, CheckObject(o, &obj.Object)...)
		}
	}
	l.places()
	l.references()
	for i := range l.out {
		f := &l.out[i]
		f.Line = l.set.lines[f.Object]
	}
	slices.SortStableFunc(l.out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	return l.out
}

type linter struct {
	opt  Options
	set  *set
	line int
	out  []Finding
}

func (l *linter) add(rule string, s Severity, object, field, format string, args ...any) {
	l.out = append(l.out, Finding{Rule: rule, Severity: s, Object: object, Field: field, Text: fmt.Sprintf(format, args...)})
}

// state reports what the check said.
func (l *linter) state(o *Object) {
	name := name(o.Kind, o.ID)
	if o.Refused != "" {
		l.add("refused", Error, name, "", "the object is not served: %s", o.Refused)
	}
	for _, w := range o.Warnings {
		l.add("reservation", Warning, name, "", "%s", w)
	}
}

// name is how findings name an object.
func name(kind conf.Kind, id string) string {
	if kind == conf.KindCredential {
		return conf.KindConsumer.Dir() + "/" + id
	}
	return kind.Dir() + "/" + id
}

// set is a decoded configuration.
type set struct {
	routes    map[string]*conf.Route
	services  map[string]*conf.Service
	upstreams map[string]*conf.Upstream
	values    map[conf.Kind]map[string]any
	// present has the name of every object, refused ones included: what refers
	// to a broken object does not refer to nothing.
	present map[string]bool
	lines   map[string]int
}

func newSet(objects []Object) *set {
	s := &set{
		routes: map[string]*conf.Route{}, services: map[string]*conf.Service{}, upstreams: map[string]*conf.Upstream{},
		values: map[conf.Kind]map[string]any{}, present: map[string]bool{}, lines: map[string]int{},
	}
	for i := range objects {
		o := &objects[i]
		s.present[name(o.Kind, o.ID)] = true
		s.lines[name(o.Kind, o.ID)] = o.Line
		if o.Value == nil {
			continue
		}
		v, err := conf.Decode(&o.Object)
		if err != nil {
			continue // the check has said so
		}
		if s.values[o.Kind] == nil {
			s.values[o.Kind] = map[string]any{}
		}
		s.values[o.Kind][o.ID] = v
		switch v := v.(type) {
		case *conf.Route:
			s.routes[o.ID] = v
		case *conf.Service:
			s.services[o.ID] = v
		case *conf.Upstream:
			s.upstreams[o.ID] = v
		}
	}
	return s
}

// hosts are the host patterns that hold for a route.
func (s *set) hosts(r *conf.Route) []string {
	if own := r.HostPatterns(); len(own) > 0 {
		return own
	}
	if svc := s.services[string(r.ServiceID)]; svc != nil {
		return svc.Hosts
	}
	return nil
}

// Worst is the greatest severity among findings; false when there are none.
func Worst(list []Finding) (Severity, bool) {
	if len(list) == 0 {
		return 0, false
	}
	worst := Hint
	for i := range list {
		worst = max(worst, list[i].Severity)
	}
	return worst, true
}
