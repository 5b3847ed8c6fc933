package regex

import (
	"strings"
	"testing"
)

func TestEngineChoice(t *testing.T) {
	f := func(pattern string, backtracks bool) {
		t.Helper()
		r, err := Compile(pattern, false)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		if r.Backtracks() != backtracks {
			t.Errorf("%s: backtracks %v, want %v", pattern, r.Backtracks(), backtracks)
		}
	}
	f(`^/api/v[0-9]+/.*$`, false)
	f(`^(a|b$)`, false)
	f(`(?i)foo.*bar`, false)
	f(`\d\w\s\h\v\N\D\W\S\H\V`, false)
	f(`[[:alpha:]_][^[:space:]]*`, false)
	f(`(?m)a$`, false)
	f(`\bword\b`, false)
	f(`(?<year>\d{4})-(?P<m>\d\d)`, false)
	f(`a{1000}`, false)
	f(`a{1001}`, true)
	f(`(?m)^a`, true)
	f(`a$|b$c`, true)
	f(`(a$)?b`, true)
	f(`foo(?!bar)`, true)
	f(`foo(?=bar)`, true)
	f(`(?<=foo)bar`, true)
	f(`(?<!foo|bar)x`, true)
	f(`(a)\1`, true)
	f(`(?<n>a)\k<n>`, true)
	f(`(?>a+)b`, true)
	f(`a++b`, true)
	f(`a\R`, true)
}

func TestRefusedPatterns(t *testing.T) {
	f := func(pattern, want string) {
		t.Helper()
		_, err := Compile(pattern, false)
		if err == nil {
			t.Fatalf("%s: accepted", pattern)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q does not say %q", pattern, err, want)
		}
	}
	f(`(a`, "without ')'")
	f(`a)`, "without '('")
	f(`[a`, "without ']'")
	f(`*a`, "nothing to repeat")
	f(`a**`, "behind a quantifier")
	f(`^*`, "behind an assertion")
	f(`a{2,1}`, "out of range")
	f(`a{,3}`, "versions of PCRE")
	f(`a{ 1,3}`, "versions of PCRE")
	f(`\`, "backslash at the end")
	f(`[\`, "backslash at the end")
	f(`\p{L}`, "not supported")
	f(`\X`, "not supported")
	f(`a\Kb`, "not supported")
	f(`\Ga`, "not supported")
	f(`\y`, "has no meaning")
	f(`\u0041`, "has no meaning")
	f(`(?R)`, "not supported")
	f(`(a)(?1)`, "not supported")
	f(`(?&x)`, "not supported")
	f(`(?|a|b)`, "branch reset")
	f(`(a)?(?(1)b|c)`, "condition")
	f(`(*UTF8)a`, "control verb")
	f(`(?C)`, "not supported")
	f(`(?U)a+`, "not supported")
	f(`\1`, "refers to group 1")
	f(`(?<n>a)(?<n>b)`, "two groups")
	f(`\k<n>`, "does not have")
	f(`\10`, "depending on the groups")
	f(`\x{100}`, "above 255")
	f(`[a-\d]`, "ends in a class")
	f(`[\w-.]`, "'-' between a class")
	f(`[z-a]`, "out of order")
	f(`[[:foo:]]`, "unknown class")
	f(`[[.a.]]`, "collating")
	f(`(?<=a+)b`, "varying length")
	f(`(?<=(a))b`, "capture inside a look-behind")
	f(strings.Repeat("(", 300)+strings.Repeat(")", 300), "levels of nesting")
	f(strings.Repeat("a", maxPattern+1), "longer than")
}

func TestMatchMeaning(t *testing.T) {
	f := func(pattern, text string, want bool) {
		t.Helper()
		r, err := Compile(pattern, false)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		if got := r.Match([]byte(text)); got != want {
			t.Errorf("%q on %q: %v, want %v", pattern, text, got, want)
		}
	}
	// '$' before the newline that ends the text.
	f(`^a$`, "a", true)
	f(`^a$`, "a\n", true)
	f(`^a$`, "a\n\n", false)
	f(`^a\z`, "a\n", false)
	f(`^a\Z`, "a\n", true)
	f(`^$`, "\n", true)
	// '\s' has the vertical tab, '\v' is a class.
	f(`^\s$`, "\v", true)
	f(`^\v$`, "\r", true)
	f(`^\v$`, "\x85", true)
	f(`^\h$`, "\xa0", true)
	// Bytes and not characters.
	f(`^.$`, "é", false)
	f(`^..$`, "é", true)
	f(`^é$`, "é", true)
	f(`^[é]{2}$`, "é", true)
	f(`^\xC3\xA9$`, "é", true)
	f(`^\w+$`, "é", false)
	f(`^\d$`, "٣", false)
	f(`^[^/]+$`, "日本", true)
	f(`\bé`, "é", false)
	// Case is that of ASCII alone.
	f(`(?i)^k$`, "\u212a", false)
	f(`(?i)^s$`, "\u017f", false)
	f(`(?i)^É$`, "é", false)
	f(`(?i)^[^a]$`, "A", false)
	f(`(?i)^[[:upper:]]$`, "a", true)
	f(`(?i:a)b`, "AB", false)
	f(`a(?i)b|c`, "C", true)
	f(`(a(?i)b)c`, "aBC", false)
	// '.' and newlines.
	f(`^a.b$`, "a\nb", false)
	f(`(?s)^a.b$`, "a\nb", true)
	f(`^a\Nb$`, "a\nb", false)
	f(`(?m)^b$`, "a\nb\nc", true)
	f(`(?m)\n^`, "a\n", false)
	f(`(?m)\n^`, "a\nb", true)
	// Extended mode and comments.
	f("(?x) a b # comment\n c", "abc", true)
	f(`a(?#x)b`, "ab", true)
	f(`(?x)[ ]`, " ", true)
	// Quoting and numbers.
	f(`\Qa.b\E.`, "a.bx", true)
	f(`\Qa.b\E.`, "axbx", false)
	f(`\x41\x{42}\o{103}\e\cA\0`, "ABC\x1b\x01\x00", true)
	f(`a{,`, "a{,", true)
	f(`a{x}`, "a{x}", true)
	f(`[]a]+`, "]a", true)
	f(`[^]a]`, "]", false)
	f(`[a\]b]`, "]", true)
	f(`[\b]`, "\b", true)
	f(`[a-]`, "-", true)
	f(`[\d.-]`, "-", true)
	f(`[[:alpha:][:digit:]]`, "7", true)
	f(`[[:^alpha:]]`, "a", false)
	f(`[^\x00-\xff]`, "abc", false)
	// What needs the other engine.
	f(`^(?!.*admin)/`, "/x/admin", false)
	f(`^(?!.*admin)/`, "/x/user", true)
	f(`(?<=/)v\d`, "/v1", true)
	f(`(?<!/)v\d`, "/v1", false)
	f(`^(\w+)/\1$`, "a/a", true)
	f(`^(\w+)/\1$`, "a/b", false)
	f(`(?i)^(\w)\1$`, "aA", true)
	f(`^(?>a*)ab`, "aaab", false)
	f(`^a*+ab`, "aaab", false)
	f(`^\R\n`, "\r\n", false)
	f(`^\R$`, "\r\n", true)
	f(`^a{1500}$`, strings.Repeat("a", 1500), true)
	f(`é(?=à)`, "éà", true)
	f(`^(?=..$)`, "é", true)
}

func TestFindSpans(t *testing.T) {
	f := func(pattern, text string, want ...int) {
		t.Helper()
		r, err := Compile(pattern, false)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		got, ok := r.Find([]byte(text), nil)
		if ok != (want != nil) || len(got) != len(want) {
			t.Fatalf("%q on %q: %v, want %v", pattern, text, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%q on %q: %v, want %v", pattern, text, got, want)
			}
		}
	}
	f(`^/(\w+)/(\w+)?`, "/a/", 0, 3, 1, 2, -1, -1)
	f(`b$`, "ab\n", 1, 2)
	f(`(b$)`, "ab\n", 1, 2, 1, 2)
	f(`b($)`, "ab\n", 1, 2, 2, 2)
	f(`(a$)|(b$)`, "b\n", 0, 1, -1, -1, 0, 1)
	f(`[\s\S]*$`, "ab\n", 0, 3)
	f(`(.)x`, "éx", 1, 3, 1, 2)
	f(`x(?=y)(y)`, "éxy", 2, 4, 3, 4)
	f(`(a)|b`, "b", 0, 1, -1, -1)
	f(`x`, "y")
}

func TestReplace(t *testing.T) {
	f := func(pattern, template, text string, all bool, want string) {
		t.Helper()
		r, err := Compile(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		tmpl, err := CompileTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := r.AppendReplace([]byte("> "), []byte(text), tmpl, all)
		if string(got) != "> "+want {
			t.Errorf("%q -> %q on %q: %q, want %q", pattern, template, text, got[2:], want)
		}
	}
	f(`^/iresty/(.*)/(.*)`, "/$2/${1}x", "/iresty/a/b", false, "/b/ax")
	f(`a`, "b", "aaa", false, "baa")
	f(`a`, "$0$0", "aca", true, "aacaa")
	f(`a`, "$$1", "a", false, "$1")
	f(`x`, "y", "abc", true, "abc")
	f(`(x)?a`, "[$1]", "a", false, "[]")
	f(`a`, "$7", "a", false, "")
	f(`(?<=a)b`, "c", "abab", true, "acac")
	f(`é`, "e", "éé", true, "ee")

	for _, bad := range []string{"$", "$a", "${1", "${}", "a$-"} {
		if _, err := CompileTemplate(bad); err == nil {
			t.Errorf("template %q accepted", bad)
		}
	}
}

func TestBacktrackingIsBounded(t *testing.T) {
	r, err := Compile(`^(?:(a+)+)+\1b$`, false)
	if err != nil {
		t.Fatal(err)
	}
	before := Exceeded()
	if r.Match([]byte(strings.Repeat("a", 5000) + "c")) {
		t.Fatal("matched")
	}
	if Exceeded() == before {
		t.Error("the bound was not counted")
	}
	if r.Match(make([]byte, MaxBacktrackText+1)) {
		t.Fatal("matched a text that is too long")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("not under the race detector")
	}
	f := func(pattern, text string) {
		t.Helper()
		r, err := Compile(pattern, true)
		if err != nil {
			t.Fatal(err)
		}
		b := []byte(text)
		r.Match(b)
		if n := testing.AllocsPerRun(100, func() { r.Match(b) }); n != 0 {
			t.Errorf("%s: %v allocations", pattern, n)
		}
	}
	f(`^/api/v[0-9]+/(users|orders)/\d+$`, "/api/v1/users/42")
	f(`Mozilla.*(Chrome|Firefox)`, "mozilla/5.0 (X11; Linux) chrome/1")
	f(`^/é/.*$`, "/é/à")
}
