// Package regex runs regular expressions in the dialect of APISIX, which is
// PCRE on bytes, with the meaning they have there or not at all.
//
// A pattern is parsed completely and written anew for one of two engines:
//   - Go's regexp (RE2: time linear in the text, no allocation for a match) for
//     everything regular: literals, classes, groups, alternation, greedy and
//     lazy quantifiers up to 1000, \d \w \s \h \v \N, POSIX classes, \b, ^, $
//     at an end of the pattern, the options i, s, x, and m for $;
//   - a backtracking engine with a bound on its time and stack for
//     look-arounds, back-references, atomic groups and possessive quantifiers,
//     \R, ^ in multi-line mode, $ elsewhere and larger quantifiers.
//
// Recursion, conditions, branch reset, control verbs, callouts, \K, \G, \X and
// Unicode properties are refused.
package regex

import (
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// Bounds of the backtracking engine. What exceeds one does not match, is
// counted, and is what PCRE's match limit does in APISIX.
const (
	// MatchTimeout is how long a match may take, give or take two clock ticks.
	// It is wall time: shorter, and a thread that the kernel does not let run
	// would lose matches.
	MatchTimeout = 100 * time.Millisecond
	// MaxBacktrackText is the longest text that is looked at, in bytes.
	MaxBacktrackText = 1 << 20
	// maxStack bounds the engine's stack, in words.
	maxStack  = 100_000
	clockTick = 10 * time.Millisecond
)

// Regexp is a compiled pattern. It is safe for concurrent use.
type Regexp struct {
	source string
	groups int
	names  map[string]int

	re      *regexp.Regexp
	index   []int // of group i+1 in re
	markers []int

	back *regexp2.Regexp
}

var (
	startClock sync.Once
	exceeded   atomic.Uint64
)

// Exceeded counts the matches that hit a bound of the backtracking engine.
func Exceeded() uint64 { return exceeded.Load() }

// Compile compiles a pattern; fold ignores the case of ASCII letters. The
// error says which construct is malformed or not supported.
func Compile(pattern string, fold bool) (*Regexp, error) {
	n, p, err := parse(pattern, fold)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	r := &Regexp{source: pattern, groups: p.groups, names: p.names}
	var e emitter
	e.emit(&n, true)
	if e.irregular == "" {
		// Quantifiers that are too large for RE2 fail here.
		if re, err := regexp.Compile(e.String()); err == nil {
			r.re, r.index, r.markers = re, e.index, e.markers
			return r, nil
		}
	}
	startClock.Do(func() { regexp2.SetTimeoutCheckPeriod(clockTick) })
	b := emitter{backtracking: true}
	b.emit(&n, true)
	back, err := regexp2.Compile(b.String(), regexp2.OptionMaxBacktrackingStackSize(maxStack))
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	back.MatchTimeout = MatchTimeout
	r.back = back
	return r, nil
}

// Backtracks reports whether the pattern needs the backtracking engine, which
// allocates and may give up.
func (r *Regexp) Backtracks() bool { return r.back != nil }

// String returns the pattern as it was given to Compile.
func (r *Regexp) String() string { return r.source }

// Groups is the number of capturing groups.
func (r *Regexp) Groups() int { return r.groups }

// Group returns the number of the group with that name, 0 when there is none.
func (r *Regexp) Group(name string) int { return r.names[name] }

// Match reports whether the pattern matches anywhere in text.
func (r *Regexp) Match(text []byte) bool {
	if r.back != nil {
		return r.matchBack(text)
	}
	if isASCII(text) {
		return r.re.Match(text)
	}
	buf := bufs.Get().(*[]byte)
	*buf = appendChars((*buf)[:0], text)
	ok := r.re.Match(*buf)
	putBuf(buf)
	return ok
}

// Find looks for the first match. spans[2*i:2*i+2] are the offsets of group i,
// the whole match being group 0, and -1 for a group that did not take part.
// The result uses the memory of spans when it is large enough.
func (r *Regexp) Find(text []byte, spans []int) ([]int, bool) {
	spans = spans[:0]
	found := false
	r.each(text, 1, func(m []int) {
		spans, found = append(spans, m...), true
	})
	return spans, found
}

// each calls f for up to limit matches, all when limit < 0. The slice is only
// valid during the call.
func (r *Regexp) each(text []byte, limit int, f func(spans []int)) {
	if r.back != nil {
		r.eachBack(text, limit, f)
		return
	}
	subject, ascii := text, isASCII(text)
	if !ascii {
		buf := bufs.Get().(*[]byte)
		defer putBuf(buf)
		*buf = appendChars((*buf)[:0], text)
		subject = *buf
	}
	out := make([]int, 0, 2*(r.groups+1))
	handle := func(m []int) {
		out = r.translate(out[:0], m, len(subject))
		if !ascii {
			for i, at := range out {
				out[i] = byteOffset(subject, at)
			}
		}
		f(out)
	}
	if limit == 1 {
		if m := r.re.FindSubmatchIndex(subject); m != nil {
			handle(m)
		}
		return
	}
	for _, m := range r.re.FindAllSubmatchIndex(subject, limit) {
		handle(m)
	}
}

// translate picks the pattern's groups out of a match and takes off the
// newline that a '$' matched.
func (r *Regexp) translate(out, m []int, size int) []int {
	out = append(out, m[0], m[1])
	for _, g := range r.index {
		out = append(out, m[2*g], m[2*g+1])
	}
	for _, g := range r.markers {
		if m[2*g] < 0 {
			continue
		}
		for i := range out {
			if out[i] == size {
				out[i]--
			}
		}
		break
	}
	return out
}

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if (uint64(b[0])|uint64(b[1])|uint64(b[2])|uint64(b[3])|uint64(b[4])|uint64(b[5])|uint64(b[6])|uint64(b[7]))&0x80 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// charSize is how many bytes a byte above 0x7F takes as a character.
const charSize = 3

// appendChars writes every byte as the character that stands for it.
func appendChars(dst, text []byte) []byte {
	for _, c := range text {
		if c < 0x80 {
			dst = append(dst, c)
			continue
		}
		ch := charOf(c)
		dst = append(dst, 0xE0|byte(ch>>12), 0x80|byte(ch>>6&0x3F), 0x80|byte(ch&0x3F))
	}
	return dst
}

// byteOffset turns an offset into what appendChars wrote into one of the text.
func byteOffset(chars []byte, at int) int {
	if at < 0 {
		return at
	}
	n := 0
	for i := 0; i < at; n++ {
		if chars[i] < 0x80 {
			i++
		} else {
			i += charSize
		}
	}
	return n
}

var bufs = sync.Pool{New: func() any { return new([]byte) }}

func putBuf(b *[]byte) {
	if cap(*b) <= maxPooled {
		bufs.Put(b)
	}
}

// maxPooled keeps one huge text from staying in memory.
const maxPooled = 256 << 10
