package regex

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// Perl is the definition that PCRE follows, and part of every Debian. For the
// constructs that the generator uses both agree; \R is not among them, since
// Perl splits CRLF and PCRE does not.
const perlProgram = `
while (<STDIN>) {
  chomp; my ($p, $f, $s) = split /,/, $_, -1;
  $p = pack("H*", $p); $s = pack("H*", $s);
  my $re = eval { $f ? qr/$p/ai : qr/$p/a };
  if (!defined $re) { print "error\n"; next }
  if ($s =~ $re) {
    my @o; for my $i (0 .. $#-) { push @o, defined $-[$i] ? ($-[$i], $+[$i]) : (-1, -1) }
    push @o, -1, -1 while @o < 2 * ($#+ + 1);
    print "@o\n";
  } else { print "none\n" }
}`

func TestAgainstPerl(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("no perl here")
	}
	const cases = 6000
	rnd := rand.New(rand.NewPCG(8, 12))
	type job struct {
		pattern, text string
		fold          bool
	}
	jobs := make([]job, cases)
	var in strings.Builder
	for i := range jobs {
		g := generator{rnd: rnd}
		j := job{pattern: g.alternation(3), text: g.text(), fold: rnd.IntN(3) == 0}
		jobs[i] = j
		fold := ""
		if j.fold {
			fold = "1"
		}
		fmt.Fprintf(&in, "%s,%s,%s\n", hex.EncodeToString([]byte(j.pattern)), fold, hex.EncodeToString([]byte(j.text)))
	}
	cmd := exec.Command(perl, "-e", perlProgram)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	compared, back := 0, 0
	for _, j := range jobs {
		if !lines.Scan() {
			t.Fatal("perl stopped early")
		}
		want := lines.Text()
		r, err := Compile(j.pattern, j.fold)
		if err != nil || want == "error" {
			continue // refusing is always right
		}
		compared++
		if r.Backtracks() {
			back++
		}
		got := "none"
		spans, ok := r.Find([]byte(j.text), nil)
		if ok {
			got = strings.Trim(fmt.Sprint(spans), "[]")
		}
		if r.Match([]byte(j.text)) != ok {
			t.Errorf("%q on %q: Match and Find disagree", j.pattern, j.text)
		}
		if got != want {
			t.Errorf("%q (fold %v, backtracks %v) on %q: %s, perl says %s", j.pattern, j.fold, r.Backtracks(), j.text, got, want)
		}
	}
	if compared < cases/2 || back < cases/20 {
		t.Errorf("only %d of %d patterns compared, %d of them backtracking", compared, cases, back)
	}
}

// generator makes small patterns and texts out of few letters, so that they
// often match.
type generator struct {
	rnd *rand.Rand
}

func (g *generator) pick(s ...string) string { return s[g.rnd.IntN(len(s))] }

func (g *generator) text() string {
	var b strings.Builder
	for range g.rnd.IntN(9) {
		b.WriteString(g.pick("a", "b", "a", "b", "A", "-", "1", " ", "\n", "\r\n", "\v", "é", "\x85", "_"))
	}
	return b.String()
}

func (g *generator) alternation(depth int) string {
	parts := []string{g.sequence(depth)}
	for g.rnd.IntN(4) == 0 {
		parts = append(parts, g.sequence(depth))
	}
	return strings.Join(parts, "|")
}

func (g *generator) sequence(depth int) string {
	var b strings.Builder
	for range 1 + g.rnd.IntN(3) {
		switch g.rnd.IntN(9) {
		case 0:
			b.WriteString(g.pick("^", "$", `\b`, `\B`, `\A`, `\z`, `\Z`, "(?=a)", "(?!b)", "(?<=a)", "(?<!a|b)"))
		case 1:
			b.WriteString(g.pick("(?i)", "(?s)", "(?m)", "(?-i)", "(?s-m)"))
		case 2, 3:
			if depth > 0 {
				b.WriteString(g.group(depth - 1))
				continue
			}
			fallthrough
		default:
			b.WriteString(g.pick("a", "b", "ab", ".", `\w`, `\s`, `\d`, `\S`, `\W`, `\h`, `\v`, `\N`, `\n`, "[ab]", "[^a]", "[a-c1]", `[^\w]`, "[[:space:]]", "é", "-"))
			b.WriteString(g.quantifier())
		}
	}
	return b.String()
}

func (g *generator) group(depth int) string {
	// Perl and PCRE differ in what the captures of a repeated group that can
	// match the empty text hold, so repeated groups here begin with a letter.
	if g.rnd.IntN(3) == 0 {
		return "(?:" + g.pick("a", "b", "[ab]") + g.sequence(0) + ")" + g.quantifier()
	}
	// A look-ahead that can match the empty text trips an optimisation in some
	// versions of Perl.
	if g.rnd.IntN(6) == 0 {
		return g.pick("(?=", "(?!") + g.pick("a", "b", "[ab]") + g.sequence(0) + ")"
	}
	open := g.pick("(", "(", "(?:", "(?>", "(?i:")
	return open + g.alternation(depth) + ")"
}

func (g *generator) quantifier() string {
	return g.pick("", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,}", "++", "*+")
}
