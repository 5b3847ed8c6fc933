package pages

import "strings"

type block struct{ kind, text string }

// fenced lists the fenced blocks of a page.
func fenced(page string) []block {
	var out []block
	open := false
	for line := range strings.SplitSeq(page, "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			out = append(out, block{kind: strings.TrimSpace(kind)})
			open = true
		case fence:
			open = false
		case open:
			out[len(out)-1].text += line + "\n"
		}
	}
	return out
}

// commands splits a shell text into commands and those into words: quotes,
// comments and continued lines are understood, nothing else.
func commands(text string) [][]string {
	var out [][]string
	var words []string
	var word strings.Builder
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"':
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				n = len(text) - i - 1
			}
			word.WriteString(text[i+1 : i+1+n])
			inWord = true
			i += n + 1
		case '\\':
			if i++; i < len(text) && text[i] != '\n' {
				word.WriteByte(text[i])
				inWord = true
			}
		case '\n':
			end()
			if words != nil {
				out = append(out, words)
				words = nil
			}
		case ' ', '\t':
			end()
		case '#':
			if inWord {
				word.WriteByte(c)
				continue
			}
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	if words != nil {
		out = append(out, words)
	}
	return out
}
