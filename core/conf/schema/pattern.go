package schema

import (
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// matchLimit bounds one match in the backtracking engine. What takes longer
// counts as no match: a schema is no place for work without end.
const matchLimit = 50 * time.Millisecond

// patterns keeps compiled expressions by their text: the same few are used by
// dozens of schemas.
var patterns sync.Map // string → jsonschema.Regexp

// cachedPattern is Pattern for the expressions of schemas.
func cachedPattern(text string) (jsonschema.Regexp, error) {
	if re, ok := patterns.Load(text); ok {
		return re.(jsonschema.Regexp), nil
	}
	re, err := Pattern(text)
	if err != nil {
		return nil, err
	}
	kept, _ := patterns.LoadOrStore(text, re)
	return kept.(jsonschema.Regexp), nil
}

// Pattern compiles an expression in PCRE's dialect. What Go's linear engine
// understands runs there; look-arounds, back-references and the like go to a
// backtracking engine with a time limit.
func Pattern(text string) (jsonschema.Regexp, error) {
	if text == ".*" {
		return anything{}, nil // Fast path: the usual patternProperties.
	}
	if re, err := regexp.Compile(text); err == nil {
		return re, nil
	}
	re, err := regexp2.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", text, err)
	}
	re.MatchTimeout = matchLimit
	return backtracking{re}, nil
}

type anything struct{}

func (anything) MatchString(string) bool { return true }
func (anything) String() string          { return ".*" }

type backtracking struct{ re *regexp2.Regexp }

func (b backtracking) MatchString(s string) bool {
	ok, err := b.re.MatchString(s)
	return ok && err == nil
}

func (b backtracking) String() string { return b.re.String() }
