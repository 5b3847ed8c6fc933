package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store/private"
)

// Filter selects entries. The zero value selects the newest hundred.
type Filter struct {
	// Kind and ID select one kind, one object; KindNone and "" all.
	Kind conf.Kind
	ID   string
	// After and Until bound the revision: After < Rev <= Until; 0 = open.
	After, Until int64
	// Since bounds the time from below.
	Since time.Time
	// Limit bounds the number of entries; default 100.
	Limit int
}

// Found is the answer to a Filter.
type Found struct {
	// Entries are the newest first.
	Entries []Entry
	// More tells that Limit left some out.
	More bool
	// Damaged counts the lines that could not be read.
	Damaged int
}

// Change is the net effect on one object between two revisions.
type Change struct {
	Kind conf.Kind
	ID   string
	// Before and After are the object's text at the two ends; nil when it did
	// not exist there.
	Before, After []byte
	// Rev is the revision of the object's newest change in between.
	Rev int64
}

// GapError says that the journal does not reach far enough back.
type GapError struct {
	// Since is the oldest revision that can be compared with.
	Since int64
	// Why is the reason when it is known.
	Why string
}

// Error names the oldest revision that works.
func (g *GapError) Error() string {
	s := fmt.Sprintf("journal: it is complete from revision %d on only; choose that or a later one", g.Since)
	if g.Why != "" {
		s += " (" + g.Why + ")"
	}
	return s
}

// History returns the entries that fit the filter. It reads the files only;
// what a running gateway appended within FlushEvery may be missing.
func History(cfg Config, f Filter) (Found, error) {
	cfg.setDefaults()
	var found Found
	if f.Limit <= 0 {
		f.Limit = 100
	}
	aead, err := cfg.aead(private.ReadKey)
	if err != nil {
		return found, err
	}
	segments, err := segmentsOf(cfg.Dir)
	if err != nil {
		return found, fmt.Errorf("journal: %w", err)
	}
	type change struct {
		rev int64
		key objectKey
	}
	seen := make(map[change]bool)
	authors := make(map[int64]Actor)
	for i := len(segments) - 1; i >= 0; i-- {
		lines, err := readSegment(filepath.Join(cfg.Dir, segmentName(segments[i].number)))
		if err != nil {
			return found, fmt.Errorf("journal: %w", err)
		}
		for n := len(lines) - 1; n >= 0; n-- {
			l := lines[n]
			switch {
			case l.Type == lineDamaged:
				found.Damaged++
			case l.Type == lineGap:
				// Revisions before it belong to another count.
				clear(seen)
				clear(authors)
			case l.Type == lineActor && l.Actor != nil:
				authors[l.Rev] = *l.Actor
			}
			if l.Type != lineChange || f.ID != "" && l.ID != f.ID || f.After > 0 && l.Rev <= f.After ||
				f.Until > 0 && l.Rev > f.Until || f.Kind != conf.KindNone && l.Kind != f.Kind.String() ||
				!f.Since.IsZero() && l.At < f.Since.UnixMicro() {
				continue
			}
			// A write that failed half-way is repeated, a crash is caught up
			// with: a store changes an object once per revision.
			id := change{l.Rev, objectKey{kindOf(l.Kind), l.ID}}
			if seen[id] {
				continue
			}
			e, err := l.entry(aead)
			if err != nil {
				found.Damaged++
				continue
			}
			if len(found.Entries) == f.Limit {
				found.More = true
				return found, nil
			}
			seen[id] = true
			if e.Actor == (Actor{}) {
				e.Actor = authors[e.Rev]
			}
			found.Entries = append(found.Entries, e)
		}
	}
	return found, nil
}

type objectKey struct {
	kind conf.Kind
	id   string
}

// Diff returns what changed between two revisions, by kind and id; until 0
// stands for the newest. A *GapError when the journal does not reach back to
// from.
func Diff(cfg Config, from, until int64) ([]Change, error) {
	cfg.setDefaults()
	if until != 0 && from > until {
		return nil, fmt.Errorf("journal: revision %d is later than %d; swap the two", from, until)
	}
	aead, err := cfg.aead(private.ReadKey)
	if err != nil {
		return nil, err
	}
	segments, err := segmentsOf(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if len(segments) == 0 {
		return nil, fmt.Errorf("journal: %s holds none", cfg.Dir)
	}
	d := differ{from: from, until: until, changes: make(map[objectKey]*span)}
	for _, s := range segments {
		lines, err := readSegment(filepath.Join(cfg.Dir, segmentName(s.number)))
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		for _, l := range lines {
			d.take(l)
		}
	}
	if d.damaged {
		return nil, &GapError{Since: d.last, Why: "its newest entries are damaged"}
	}
	if d.known && from < d.since {
		return nil, &GapError{Since: d.since, Why: d.why}
	}
	var out []Change
	for k, s := range d.changes {
		first, err := s.first.entry(aead)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		last, err := s.last.entry(aead)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		if first.Withheld || last.Withheld {
			return nil, fmt.Errorf("journal: %s [%s]: its text is not in the journal (too large, or the key file is not given)", k.kind, k.id)
		}
		if (first.Before == nil) == (last.After == nil) && bytes.Equal(first.Before, last.After) {
			continue
		}
		out = append(out, Change{Kind: k.kind, ID: k.id, Before: first.Before, After: last.After, Rev: last.Rev})
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Rollback returns the changes that bring the newest configuration back to
// how it was at a revision: Before is what must be there now, at Rev, and
// After what to write. What others refer to comes first, deletions last.
func Rollback(cfg Config, rev int64) ([]Change, error) {
	changes, err := Diff(cfg, rev, 0)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		c := &changes[i]
		c.Before, c.After = c.After, c.Before
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		switch da, db := a.After == nil, b.After == nil; {
		case da && db:
			return cmp.Compare(b.Kind, a.Kind)
		case da:
			return 1
		case db:
			return -1
		}
		return cmp.Compare(a.Kind, b.Kind)
	})
	return changes, nil
}

// span is an object's first and last change in the range.
type span struct{ first, last *line }

// differ collects spans from lines in their order.
type differ struct {
	from, until int64
	changes     map[objectKey]*span
	// since is the revision behind which everything was seen, once known; why
	// tells what is wrong with the time before. last is the newest revision.
	since, last int64
	known       bool
	why         string
	// damaged tells that something was lost before the next change.
	damaged bool
}

func (d *differ) startAt(rev int64, why string) {
	d.since, d.known, d.why, d.damaged = rev, true, why, false
	clear(d.changes)
}

func (d *differ) take(l *line) {
	switch l.Type {
	case lineSegment:
		if !d.known && l.Rev > 0 {
			d.startAt(l.Rev, "older segments were removed")
		}
	case lineGap:
		d.last = l.Rev
		d.startAt(l.Rev, l.Why)
	case lineDamaged:
		d.damaged = true
	case lineChange:
		d.last = max(d.last, l.Rev)
		if d.damaged {
			// What was lost may belong to this revision too.
			d.startAt(l.Rev, "older entries are damaged")
		} else if !d.known {
			d.startAt(l.Rev-1, "the journal begins there")
		}
		if l.Rev <= d.from || d.until > 0 && l.Rev > d.until {
			return
		}
		k := objectKey{kindOf(l.Kind), l.ID}
		if s := d.changes[k]; s != nil {
			s.last = l
		} else {
			d.changes[k] = &span{l, l}
		}
	}
}

type segment struct {
	number, size int64
}

const segmentPrefix, segmentSuffix = "journal-", ".log"

func segmentName(number int64) string {
	return fmt.Sprintf("%s%020d%s", segmentPrefix, number, segmentSuffix)
}

// segmentsOf lists the segments, the oldest first.
func segmentsOf(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []segment
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), segmentPrefix)
		if !ok {
			continue
		}
		number, err := strconv.ParseInt(strings.TrimSuffix(name, segmentSuffix), 10, 64)
		if err != nil || segmentName(number) != e.Name() {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		out = append(out, segment{number, fi.Size()})
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return out, nil
}

// maxLine bounds a line: the largest values, encrypted and as base64 twice.
const maxLine = 32 << 20

func readSegment(path string) ([]*line, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // rotated away while we read the others
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readLines(f)
}

// readLines parses the lines of a segment; those that are damaged appear as
// lineDamaged in their place. A line without its end is being written, or was
// when the power went; it is no damage.
func readLines(r io.Reader) ([]*line, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	var lines []*line
	var long []byte
	for {
		part, err := b.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if len(long) <= maxLine {
				long = append(long, part...)
			}
			continue
		case err == io.EOF:
			return lines, nil
		case err != nil:
			return lines, err
		}
		text := part
		if len(long) > 0 {
			text, long = append(long, part...), nil
		}
		l, err := parseLine(text[:len(text)-1])
		if err != nil || len(text) > maxLine {
			l = &line{Type: lineDamaged}
		}
		lines = append(lines, l)
	}
}

// lastOf finds the newest sequence number and revision.
func lastOf(cfg Config) (seq uint64, rev int64, err error) {
	segments, err := segmentsOf(cfg.Dir)
	if err != nil {
		return 0, 0, fmt.Errorf("journal: %w", err)
	}
	for i := len(segments) - 1; i >= 0; i-- {
		lines, err := readSegment(filepath.Join(cfg.Dir, segmentName(segments[i].number)))
		if err != nil {
			return 0, 0, fmt.Errorf("journal: %w", err)
		}
		for _, l := range lines {
			seq = max(seq, l.Seq)
			switch l.Type {
			case lineGap, lineSegment:
				rev = l.Rev
			case lineChange:
				rev = max(rev, l.Rev)
			}
		}
		if len(lines) > 0 {
			return seq, rev, nil
		}
	}
	return 0, 0, nil
}
