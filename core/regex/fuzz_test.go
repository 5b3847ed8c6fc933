package regex

import (
	"slices"
	"testing"

	"github.com/dlclark/regexp2/v2"
)

// FuzzEngines holds the two engines against each other: a pattern that both
// can run must mean the same in both.
func FuzzEngines(f *testing.F) {
	for _, s := range [][2]string{
		{`^/a/(\d+)$`, "/a/1\n"}, {`(?i)a|b*?c`, "ABC"}, {`[^\s-]{2,3}`, "é-a"},
		{`(?m)a$\b`, "a\nb"}, {`\Qa\E(?<x>b)?`, "ab"}, {`(?x) a # c`, "a"},
	} {
		f.Add(s[0], []byte(s[1]))
	}
	f.Fuzz(func(t *testing.T, pattern string, text []byte) {
		if len(pattern) > 60 || len(text) > 200 {
			return
		}
		r, err := Compile(pattern, false)
		if err != nil || r.Backtracks() {
			return
		}
		n, _, err := parse(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		if n.any(emptyLoop) {
			return // the engines differ in how often an empty text is repeated
		}
		e := emitter{backtracking: true}
		e.emit(&n, true)
		back, err := regexp2.Compile(e.String(), regexp2.OptionMaxBacktrackingStackSize(maxStack))
		if err != nil {
			t.Fatalf("%q became %q: %v", pattern, e.String(), err)
		}
		back.MatchTimeout = MatchTimeout
		other := &Regexp{source: pattern, groups: r.groups, back: back}
		before := Exceeded()
		a, okA := r.Find(text, nil)
		b, okB := other.Find(text, nil)
		if Exceeded() != before {
			return
		}
		if okA != okB || !slices.Equal(a, b) {
			t.Fatalf("%q on %q: RE2 %v %v, backtracking %v %v", pattern, text, okA, a, okB, b)
		}
	})
}

// emptyLoop finds repetitions of what can match the empty text.
func emptyLoop(n *node) bool {
	return n.kind == repeat && n.hi != 1 && nullable(&n.kids[0])
}

func nullable(n *node) bool {
	switch n.kind {
	case one:
		return false
	case concat, capture, atomicGroup:
		for i := range n.kids {
			if !nullable(&n.kids[i]) {
				return false
			}
		}
		return true
	case alternate:
		return n.any(func(k *node) bool { return k != n && nullable(k) })
	case repeat:
		return n.lo == 0 || nullable(&n.kids[0])
	}
	return true
}

func FuzzReplaceTemplate(f *testing.F) {
	f.Add("$1/${2}$$")
	f.Fuzz(func(t *testing.T, s string) {
		tmpl, err := CompileTemplate(s)
		if err != nil {
			return
		}
		tmpl.AppendTo(nil, []byte("abc"), []int{0, 3, 1, 2})
	})
}
