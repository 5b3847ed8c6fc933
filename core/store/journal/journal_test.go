package journal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegw/sluice/core/conf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t testing.TB) Config {
	return Config{Dir: t.TempDir(), FlushEvery: time.Hour, Log: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, cfg Config) *Journal {
	t.Helper()
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// change reads "id before>after", "-" standing for nothing.
func change(rev int64, text string) Entry {
	id, values, _ := strings.Cut(text, " ")
	before, after, _ := strings.Cut(values, ">")
	e := Entry{Rev: rev, Kind: conf.KindRoute, ID: id}
	if before != "-" {
		e.Before = []byte(before)
	}
	if after != "-" {
		e.After = []byte(after)
	}
	return e
}

func add(t testing.TB, j *Journal, entries ...Entry) {
	t.Helper()
	if err := j.Append(entries...); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
}

func text(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

func history(t testing.TB, cfg Config, f Filter) string {
	t.Helper()
	found, err := History(cfg, f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range found.Entries {
		s := fmt.Sprintf("%d %s %s>%s", e.Rev, e.ID, text(e.Before), text(e.After))
		if e.Actor != (Actor{}) {
			s += " by " + e.Actor.Name + "@" + e.Actor.Addr
		}
		out = append(out, s)
	}
	if found.More {
		out = append(out, "more")
	}
	if found.Damaged > 0 {
		out = append(out, fmt.Sprintf("%d damaged", found.Damaged))
	}
	return strings.Join(out, ", ")
}

func diff(t testing.TB, cfg Config, from, until int64) string {
	t.Helper()
	changes, err := Diff(cfg, from, until)
	var gap *GapError
	if errors.As(err, &gap) {
		return fmt.Sprintf("complete from %d", gap.Since)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %s>%s@%d", c.ID, text(c.Before), text(c.After), c.Rev))
	}
	return strings.Join(out, ", ")
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestHistoryNamesWhoDidWhat(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	ann, ben := Actor{Name: "ann", Addr: "10.0.0.1", Via: "admin"}, Actor{Name: "ben", Addr: "10.0.0.2", Via: "admin"}
	if err := j.Attribute(11, ann); err != nil { // the answer came before the event
		t.Fatal(err)
	}
	add(t, j, change(11, `a ->{"v":1}`), change(12, `a {"v":1}>{"v":2}`))
	if err := j.Attribute(12, ben); err != nil { // the event came first
		t.Fatal(err)
	}
	e := change(13, `b ->text, not <JSON>`)
	e.Kind, e.Actor = conf.KindSecret, Actor{Name: "x"}
	add(t, j, e, change(14, `a {"v":2}>-`))
	flush(t, j)
	equal(t, "all", history(t, cfg, Filter{}),
		`14 a {"v":2}>-, 13 b ->text, not <JSON> by x@, 12 a {"v":1}>{"v":2} by ben@10.0.0.2, 11 a ->{"v":1} by ann@10.0.0.1`)
	equal(t, "kind", history(t, cfg, Filter{Kind: conf.KindSecret}), `13 b ->text, not <JSON> by x@`)
	equal(t, "id and limit", history(t, cfg, Filter{ID: "a", Limit: 1}), `14 a {"v":2}>-, more`)
	equal(t, "revisions", history(t, cfg, Filter{After: 11, Until: 12}), `12 a {"v":1}>{"v":2} by ben@10.0.0.2`)
	equal(t, "time", history(t, cfg, Filter{Since: time.Now().Add(time.Hour)}), ``)

	// Another process continues it.
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, cfg)
	if j.LastRev() != 14 {
		t.Fatalf("last revision %d", j.LastRev())
	}
	add(t, j, change(15, `c ->3`))
	flush(t, j)
	found, err := History(cfg, Filter{Limit: 2})
	if err != nil || len(found.Entries) != 2 || found.Entries[0].Rev != 15 || found.Entries[1].Rev != 14 || found.Entries[0].Seq <= found.Entries[1].Seq {
		t.Fatalf("%+v %v", found, err)
	}
}

func TestDiffIsTheNetEffect(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	if err := j.Gap(10, "first start"); err != nil {
		t.Fatal(err)
	}
	add(t, j,
		change(11, `a 1>2`), change(12, `a 2>3`), change(12, `b ->x`), change(13, `c y>-`),
		change(14, `b x>-`), change(15, `d 1>2`), change(16, `d 2>1`), change(17, `e ->`))
	flush(t, j)
	equal(t, "everything", diff(t, cfg, 10, 0), `a 1>3@12, c y>-@13, e ->@17`)
	equal(t, "a part", diff(t, cfg, 11, 13), `a 2>3@12, b ->x@12, c y>-@13`)
	equal(t, "nothing", diff(t, cfg, 17, 0), ``)
	equal(t, "before the start", diff(t, cfg, 9, 0), `complete from 10`)
	if _, err := Diff(cfg, 12, 11); err == nil {
		t.Error("backwards")
	}
	if _, err := Diff(config(t), 1, 2); err == nil {
		t.Error("no journal")
	}

	// The store is replaced: its revisions start again.
	if err := j.Gap(3, "store replaced"); err != nil {
		t.Fatal(err)
	}
	add(t, j, change(4, `a 9>8`))
	flush(t, j)
	equal(t, "over the gap", diff(t, cfg, 2, 0), `complete from 3`)
	equal(t, "behind the gap", diff(t, cfg, 3, 0), `a 9>8@4`)
	equal(t, "history over the gap", history(t, cfg, Filter{ID: "a"}), `4 a 9>8, 12 a 2>3, 11 a 1>2`)
}

func TestRollbackOrder(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	mk := func(rev int64, kind conf.Kind, s string) Entry {
		e := change(rev, s)
		e.Kind = kind
		return e
	}
	add(t, j,
		mk(11, conf.KindUpstream, `new ->1`), mk(12, conf.KindRoute, `new ->1`),
		mk(13, conf.KindRoute, `gone 1>-`), mk(14, conf.KindUpstream, `gone 1>-`), mk(15, conf.KindService, `s 1>2`))
	flush(t, j)
	changes, err := Rollback(cfg, 10)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %s %s>%s@%d", c.Kind, c.ID, text(c.Before), text(c.After), c.Rev))
	}
	equal(t, "rollback", strings.Join(out, ", "),
		`upstream gone ->1@14, service s 2>1@15, route gone ->1@13, route new 1>-@12, upstream new 1>-@11`)
}

func TestJournalIsBounded(t *testing.T) {
	cfg := config(t)
	cfg.MaxBytes, cfg.SegmentBytes = 40<<10, 8<<10
	j := open(t, cfg)
	pad := strings.Repeat("x", 500)
	for i := range 500 {
		add(t, j, change(int64(i+1), fmt.Sprintf(`a "%d">"%s"`, i, pad)))
		flush(t, j)
	}
	var total int64
	segments, err := segmentsOf(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		total += s.size
		if s.size > 9<<10 {
			t.Errorf("segment of %d bytes", s.size)
		}
	}
	if total > cfg.MaxBytes || len(segments) < 3 {
		t.Fatalf("%d bytes in %d segments", total, len(segments))
	}
	found, err := History(cfg, Filter{Limit: 1000})
	if err != nil || len(found.Entries) < 20 || found.Entries[0].Rev != 500 || found.Damaged != 0 {
		t.Fatalf("%d entries, %d damaged, %v", len(found.Entries), found.Damaged, err)
	}
	oldest := found.Entries[len(found.Entries)-1].Rev
	equal(t, "just complete", diff(t, cfg, oldest-1, oldest), fmt.Sprintf(`a "%d">"%s"@%d`, oldest-1, pad, oldest))
	equal(t, "removed", diff(t, cfg, oldest-2, 0), fmt.Sprintf("complete from %d", oldest-1))
}

func TestDamageIsSeenAndBounded(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	if err := j.Gap(0, "start"); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		add(t, j, change(int64(i+1), fmt.Sprintf(`a "%d">"%d"`, i, i+1)))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := segmentsOf(cfg.Dir)
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	path := filepath.Join(cfg.Dir, segmentName(segments[0].number))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil(bytes.Replace(whole, []byte(`"before":"2"`), []byte(`"before":"7"`), 1)) // revision 3
	equal(t, "history", history(t, cfg, Filter{}), `6 a "5">"6", 5 a "4">"5", 4 a "3">"4", 2 a "1">"2", 1 a "0">"1", 1 damaged`)
	equal(t, "over the damage", diff(t, cfg, 1, 0), `complete from 4`)
	equal(t, "behind the damage", diff(t, cfg, 4, 0), `a "4">"6"@6`)

	spoil(bytes.Replace(whole, []byte(`"before":"5"`), []byte(`"before":"7"`), 1)) // revision 6
	equal(t, "damage at the end", diff(t, cfg, 5, 0), `complete from 5`)

	// Cut anywhere: never an error, never an entry that was not written.
	for n := range len(whole) {
		spoil(whole[:n])
		found, err := History(cfg, Filter{})
		if err != nil || found.Damaged > 0 {
			t.Fatalf("cut at %d: %v, %d damaged", n, err, found.Damaged)
		}
		for i, e := range found.Entries {
			if e.Rev != int64(len(found.Entries)-i) || string(e.After) != fmt.Sprintf(`"%d"`, e.Rev) {
				t.Fatalf("cut at %d: %+v", n, e)
			}
		}
	}

	// A journal with a torn end goes on in a new segment.
	spoil(whole[:len(whole)-5])
	j = open(t, cfg)
	add(t, j, change(6, `a "5">"6"`), change(7, `a "6">"7"`))
	flush(t, j)
	equal(t, "continued", diff(t, cfg, 3, 0), `a "3">"7"@7`)
}

func TestRepeatedEntriesCountOnce(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	add(t, j, change(5, `a 1>2`), change(6, `a 2>3`), change(6, `a 1>3`))
	flush(t, j)
	equal(t, "history", history(t, cfg, Filter{}), `6 a 1>3, 5 a 1>2`)
	equal(t, "diff", diff(t, cfg, 4, 0), `a 1>3@6`)
}

func TestTextsAreEncryptedWithAKey(t *testing.T) {
	cfg := config(t)
	cfg.KeyFile = filepath.Join(t.TempDir(), "key")
	j := open(t, cfg)
	add(t, j, change(1, `a ->{"key":"TOPSECRET"}`), change(2, `a {"key":"TOPSECRET"}>not JSON TOPSECRET`))
	flush(t, j)
	equal(t, "with the key", history(t, cfg, Filter{}), `2 a {"key":"TOPSECRET"}>not JSON TOPSECRET, 1 a ->{"key":"TOPSECRET"}`)
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(cfg.Dir, e.Name()))
		if err != nil || bytes.Contains(b, []byte("TOPSECRET")) {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
	found, err := History(Config{Dir: cfg.Dir}, Filter{})
	if err != nil || len(found.Entries) != 2 || !found.Entries[0].Withheld || found.Entries[0].After != nil {
		t.Fatalf("without the key: %+v %v", found, err)
	}
	if _, err := Diff(Config{Dir: cfg.Dir}, 1, 0); err == nil || !strings.Contains(err.Error(), "not in the journal") {
		t.Fatal(err)
	}
}

func TestHugeTextsAreWithheld(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	add(t, j, Entry{Rev: 1, Kind: conf.KindRoute, ID: "a", After: make([]byte, maxValues+1)},
		Entry{Rev: 2, Kind: conf.KindRoute, ID: "b", After: bytes.Repeat([]byte{0xff}, maxValues)})
	flush(t, j)
	found, err := History(cfg, Filter{})
	if err != nil || len(found.Entries) != 2 || !found.Entries[1].Withheld || len(found.Entries[0].After) != maxValues {
		t.Fatalf("%v %d", err, len(found.Entries))
	}
}

func TestWriteFailureIsReportedAndRepeated(t *testing.T) {
	cfg := config(t)
	j := open(t, cfg)
	add(t, j, change(1, `a ->1`))
	flush(t, j)
	moved := cfg.Dir + "-moved"
	if err := os.Rename(cfg.Dir, moved); err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	_ = j.file.Close() // as if the disk had gone
	j.mu.Unlock()
	add(t, j, change(2, `a 1>2`))
	if err := j.Sync(); err == nil || j.Stats().LastError == "" {
		t.Fatalf("%v %+v", err, j.Stats())
	}
	if err := os.Rename(moved, cfg.Dir); err != nil {
		t.Fatal(err)
	}
	flush(t, j)
	equal(t, "history", history(t, cfg, Filter{}), `2 a 1>2, 1 a ->1`)
	if s := j.Stats(); s.LastError != "" || s.Lost != 0 || s.Entries != 2 {
		t.Fatalf("%+v", s)
	}
}

func TestEntriesReachTheDiskByThemselves(t *testing.T) {
	cfg := config(t)
	cfg.FlushEvery = time.Millisecond
	j := open(t, cfg)
	add(t, j, change(1, `a ->1`))
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for history(t, cfg, Filter{}) == "" {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not written")
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(change(2, `a 1>2`)); err == nil {
		t.Fatal("appended to a closed journal")
	}
}

func TestTextsComeBackByteForByte(t *testing.T) {
	for _, s := range []string{"-", "", "{}", "null", `{ "a" : 1 }`, `{"a":"<&>"}`, "\xff\x00", `{"a":1.0e5}`, "\"\u2028\""} {
		v := pack([]byte(s), nil)
		before, after := v.unpack()
		if string(before) != s || before == nil || after != nil {
			t.Errorf("%q became %q, %q", s, before, after)
		}
	}
}

func FuzzReadLines(f *testing.F) {
	var seg []byte
	l := line{Type: lineChange, Seq: 1, Rev: 2, Kind: "route", ID: "a"}
	if err := l.setValues([]byte("1"), []byte(`{"a":2}`), nil); err != nil {
		f.Fatal(err)
	}
	for _, l := range []line{{Type: lineSegment, Rev: 1}, l, {Type: lineActor, Rev: 2, Actor: &Actor{Name: "x"}}, {Type: lineGap, Rev: 3}} {
		var err error
		if seg, err = appendLine(seg, &l); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seg)
	f.Add(seg[:len(seg)-3])
	f.Add([]byte("00000000 {}\n"))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, err := readLines(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte{'\n'}); len(lines) != n {
			t.Fatalf("%d lines of %d", len(lines), n)
		}
		d := differ{changes: make(map[objectKey]*span)}
		for _, l := range lines {
			d.take(l)
			if l.Type == lineChange {
				_, _ = l.entry(nil)
			}
		}
	})
}

// FuzzLine skips the checksum, which the fuzzer would hardly ever meet.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"t":"change","seq":1,"rev":2,"at":3,"kind":"route","id":"a","values":{"before":1,"after":null}}`))
	f.Add([]byte(`{"t":"change","sealed":"AAAA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.IndexByte(b, '\n') >= 0 {
			return
		}
		text := fmt.Appendf(nil, "%08x ", checksum(b))
		l, err := parseLine(append(text, b...))
		if err != nil {
			return
		}
		e, err := l.entry(nil)
		if err != nil || e.Withheld {
			return
		}
		again := line{Type: lineChange, Rev: e.Rev, Kind: e.Kind.String(), ID: e.ID}
		if err := again.setValues(e.Before, e.After, nil); err != nil {
			t.Fatal(err)
		}
		out, err := appendLine(nil, &again)
		if err != nil {
			t.Fatal(err)
		}
		if l, err = parseLine(out[:len(out)-1]); err != nil {
			t.Fatal(err)
		}
		if e2, err := l.entry(nil); err != nil || !bytes.Equal(e.Before, e2.Before) || !bytes.Equal(e.After, e2.After) || (e.After == nil) != (e2.After == nil) {
			t.Fatalf("%+v became %+v: %v", e, e2, err)
		}
	})
}
