package regex

import (
	"sync"

	"github.com/dlclark/regexp2/v2"
)

var runeBufs = sync.Pool{New: func() any { return new([]rune) }}

// chars returns text with a rune for every byte, so that the engine's offsets
// are byte offsets. It is nil for a text that is too long.
func chars(text []byte) *[]rune {
	if len(text) > MaxBacktrackText {
		exceeded.Add(1)
		return nil
	}
	buf := runeBufs.Get().(*[]rune)
	out := (*buf)[:0]
	for _, c := range text {
		out = append(out, charOf(c))
	}
	*buf = out
	return buf
}

func putChars(b *[]rune) {
	if cap(*b) <= maxPooled {
		runeBufs.Put(b)
	}
}

func (r *Regexp) matchBack(text []byte) bool {
	buf := chars(text)
	if buf == nil {
		return false
	}
	ok, err := r.back.MatchRunes(*buf)
	putChars(buf)
	if err != nil {
		exceeded.Add(1)
		return false
	}
	return ok
}

func (r *Regexp) eachBack(text []byte, limit int, f func(spans []int)) {
	buf := chars(text)
	if buf == nil {
		return
	}
	out := make([]int, 0, 2*(r.groups+1))
	err := r.back.FindRunesMatches(*buf, -1, func(m regexp2.MatchView) bool {
		out = out[:0]
		for g := range r.groups + 1 {
			at, n, ok := m.GroupRange(g)
			if !ok {
				out = append(out, -1, -1)
				continue
			}
			out = append(out, at, at+n)
		}
		f(out)
		limit--
		return limit != 0
	})
	putChars(buf)
	if err != nil {
		exceeded.Add(1)
	}
}
