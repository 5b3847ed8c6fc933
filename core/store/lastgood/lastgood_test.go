package lastgood

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
	"github.com/sluicegw/sluice/core/store/private"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(t testing.TB) Config {
	return Config{Dir: t.TempDir(), WriteEvery: time.Hour, Log: slog.New(slog.DiscardHandler)}
}

func open(t testing.TB, cfg Config) *Writer {
	t.Helper()
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func flush(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func route(id string, rev int64, value string) conf.Object {
	o := conf.Object{Kind: conf.KindRoute, ID: id, CreateRev: 1, Rev: rev}
	if value != "" {
		o.Value = []byte(value)
	}
	return o
}

// show prints a loaded configuration: "rev: id@rev=value ...".
func show(l *Loaded) string {
	s := fmt.Sprintf("%d:", l.Batch.Rev)
	for _, o := range l.Batch.Objects {
		s += fmt.Sprintf(" %s@%d=%s", o.ID, o.Rev, o.Value)
	}
	return s
}

func expect(t testing.TB, cfg Config, want string) {
	t.Helper()
	l, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(l); got != want || l.Torn != "" || !l.Batch.Full {
		t.Fatalf("loaded %q (torn %q), want %q", got, l.Torn, want)
	}
}

func TestConfigurationComesBack(t *testing.T) {
	cfg := config(t)
	if _, err := Load(cfg); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("nothing written yet: %v", err)
	}
	w := open(t, cfg)
	w.Confirm(99) // nothing is known yet: no effect
	w.Apply(conf.Batch{Full: true, Rev: 10, Objects: []conf.Object{
		route("b", 9, `{"uri":"/b"}`), route("a", 3, `{"uri":"/a"}`),
		{Kind: conf.KindSecret, ID: "vault/1", CreateRev: 2, Rev: 2, Value: []byte{}}}}, 0xfeed)
	flush(t, w)
	expect(t, cfg, `10: vault/1@2= a@3={"uri":"/a"} b@9={"uri":"/b"}`)

	w.Apply(conf.Batch{Rev: 12, Objects: []conf.Object{route("c", 11, "C"), route("a", 12, "")}}, 0xfeed)
	flush(t, w)
	expect(t, cfg, `12: vault/1@2= b@9={"uri":"/b"} c@11=C`)

	// A full batch is written as what it changes.
	w.Apply(conf.Batch{Full: true, Rev: 20, Objects: []conf.Object{route("c", 11, "C"), route("d", 15, "D")}}, 0xfeed)
	flush(t, w)
	expect(t, cfg, `20: c@11=C d@15=D`)
	if s := w.Stats(); s.Bases != 1 || s.Deltas != 2 || s.Rev != 20 || s.Pending != 0 {
		t.Fatalf("%+v", s)
	}

	before := time.Now()
	w.Confirm(25)
	flush(t, w)
	l, err := Load(cfg)
	if err != nil || l.Batch.Rev != 25 || l.At.Before(before) || l.Cluster != 0xfeed || l.Age(time.Now()) > time.Minute {
		t.Fatalf("%+v %v", l, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	// The next process replaces it all with its first write.
	w = open(t, cfg)
	expect(t, cfg, `25: c@11=C d@15=D`)
	w.Apply(conf.Batch{Full: true, Rev: 30, Objects: []conf.Object{route("x", 30, "X")}}, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, cfg, `30: x@30=X`)
}

func TestSameRevisionWithOtherContentIsWritten(t *testing.T) {
	cfg := config(t)
	w := open(t, cfg)
	w.Apply(conf.Batch{Full: true, Rev: 5, Objects: []conf.Object{route("a", 5, "old store")}}, 1)
	flush(t, w)
	w.Apply(conf.Batch{Full: true, Rev: 5, Objects: []conf.Object{route("a", 5, "new store")}}, 2)
	flush(t, w)
	expect(t, cfg, "5: a@5=new store")
}

func TestLargeDeltaBecomesANewBase(t *testing.T) {
	cfg := config(t)
	w := open(t, cfg)
	w.Apply(conf.Batch{Full: true, Rev: 1}, 0)
	flush(t, w)
	big := strings.Repeat("x", 300<<10)
	for i := range 10 {
		w.Apply(conf.Batch{Rev: int64(i + 2), Objects: []conf.Object{route("a", int64(i+2), big)}}, 0)
		flush(t, w)
	}
	if s := w.Stats(); s.Bases < 2 || s.Bases > 4 {
		t.Fatalf("%+v", s)
	}
	expect(t, cfg, "11: a@11="+big)
	for _, p := range []string{cfg.base(), cfg.delta()} {
		if fi, err := os.Stat(p); err != nil || fi.Size() > 2<<20 || fi.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", p, fi, err)
		}
	}
}

func TestFilesHoldNoSecretInTheClear(t *testing.T) {
	cfg := config(t)
	w := open(t, cfg)
	w.Apply(conf.Batch{Full: true, Rev: 1, Objects: []conf.Object{route("routeid", 1, "TOPSECRET")}}, 0)
	flush(t, w)
	w.Apply(conf.Batch{Rev: 2, Objects: []conf.Object{route("routeid", 2, "TOPSECRET")}}, 0)
	flush(t, w)
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(cfg.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("TOPSECRET")) || bytes.Contains(b, []byte("routeid")) {
			t.Errorf("%s holds the configuration in the clear", e.Name())
		}
		if fi, _ := e.Info(); fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), fi.Mode())
		}
		names++
	}
	if names != 4 {
		t.Fatalf("%v", entries)
	}
}

// written leaves a base with two objects and a delta with two changes.
func written(t testing.TB) Config {
	t.Helper()
	cfg := config(t)
	w := open(t, cfg)
	w.Apply(conf.Batch{Full: true, Rev: 2, Objects: []conf.Object{route("a", 1, "A"), route("b", 2, "B")}}, 0)
	flush(t, w)
	w.Apply(conf.Batch{Rev: 4, Objects: []conf.Object{route("a", 3, ""), route("c", 4, "C")}}, 0)
	flush(t, w)
	w.Apply(conf.Batch{Rev: 5, Objects: []conf.Object{route("d", 5, "D")}}, 0)
	flush(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDeltaCutOffAnywhereLoadsAnEarlierState(t *testing.T) {
	cfg := written(t)
	whole, err := os.ReadFile(cfg.delta())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]int{"2: a@1=A b@2=B": 0, "4: b@2=B c@4=C": 0, "5: b@2=B c@4=C d@5=D": 0}
	last := -1
	order := []string{"2: a@1=A b@2=B", "4: b@2=B c@4=C", "5: b@2=B c@4=C d@5=D"}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(cfg.delta(), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Load(cfg)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if _, ok := states[show(l)]; !ok {
			t.Fatalf("cut at %d: a state that never was: %s", n, show(l))
		}
		states[show(l)]++
		for i, s := range order {
			if s == show(l) {
				if i < last {
					t.Fatalf("cut at %d: %s", n, s)
				}
				last = i
			}
		}
	}
	for s, n := range states {
		if n == 0 {
			t.Errorf("%q was never loaded", s)
		}
	}
}

func TestDamagedFilesAreNeverLoadedInPart(t *testing.T) {
	cfg := written(t)
	for _, path := range []string{cfg.base(), cfg.delta()} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 0x40
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := Load(cfg)
			if path == cfg.base() {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
					t.Fatalf("base, byte %d: %v", i, err)
				}
			} else if err != nil || show(l) == "5: b@2=B c@4=C d@5=D" || l.Torn == "" {
				t.Fatalf("delta, byte %d: %v %+v", i, err, l)
			}
		}
		if path == cfg.base() {
			for n := range len(whole) {
				if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := Load(cfg); !errors.Is(err, ErrDamaged) {
					t.Fatalf("base cut at %d: %v", n, err)
				}
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, cfg, "5: b@2=B c@4=C d@5=D")
}

func TestDeltaOfAnotherBaseIsIgnored(t *testing.T) {
	a, b := written(t), written(t)
	delta, err := os.ReadFile(b.delta())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.delta(), delta, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, a, "2: a@1=A b@2=B")
}

func TestKeyFile(t *testing.T) {
	f := func(name string, spoil func(cfg Config) error, want string) {
		t.Helper()
		cfg := written(t)
		if err := spoil(cfg); err != nil {
			t.Fatal(err)
		}
		_, err := Load(cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	f("another key", func(cfg Config) error { return os.WriteFile(cfg.key(), make([]byte, private.KeySize), 0o600) }, ErrWrongKey.Error())
	f("short key", func(cfg Config) error { return os.WriteFile(cfg.key(), make([]byte, 3), 0o600) }, "holds 3 bytes")
	f("readable by others", func(cfg Config) error { return os.Chmod(cfg.key(), 0o644) }, "chmod 600")
	f("missing", func(cfg Config) error { return os.Remove(cfg.key()) }, "no such file")

	cfg := config(t)
	if err := os.WriteFile(cfg.key(), make([]byte, private.KeySize), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatal(err)
	}
}

func TestWritesAreJoined(t *testing.T) {
	cfg := config(t)
	cfg.WriteEvery = 50 * time.Millisecond
	w := open(t, cfg)
	for i := range 2000 {
		w.Apply(conf.Batch{Full: i == 0, Rev: int64(i), Objects: []conf.Object{route("a", int64(i), "A")}}, 0)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for w.Stats().Rev != 1999 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not written: %+v", w.Stats())
		}
	}
	if s := w.Stats(); s.Bases+s.Deltas > 20 {
		t.Fatalf("%+v", s)
	}
	expect(t, cfg, "1999: a@1999=A")
}

func TestSecondWriterWaitsForTheFirst(t *testing.T) {
	cfg := config(t)
	first := open(t, cfg)
	first.Apply(conf.Batch{Full: true, Rev: 1, Objects: []conf.Object{route("a", 1, "first")}}, 0)
	flush(t, first)
	cfg.WriteEvery = 10 * time.Millisecond
	second := open(t, cfg)
	second.Apply(conf.Batch{Full: true, Rev: 2, Objects: []conf.Object{route("a", 2, "second")}}, 0)
	if err := second.Flush(); !errors.Is(err, errBusy) {
		t.Fatal(err)
	}
	expect(t, cfg, "1: a@1=first")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, cfg, "2: a@2=second")
}

func TestFailedWriteIsRepeatedWhole(t *testing.T) {
	cfg := config(t)
	w := open(t, cfg)
	w.Apply(conf.Batch{Full: true, Rev: 1, Objects: []conf.Object{route("a", 1, "A")}}, 0)
	flush(t, w)
	moved := cfg.Dir + "-moved"
	if err := os.Rename(cfg.Dir, moved); err != nil {
		t.Fatal(err)
	}
	w.Apply(conf.Batch{Rev: 2, Objects: []conf.Object{route("b", 2, "B")}}, 0)
	if err := w.Flush(); err == nil {
		t.Fatal("wrote to a directory that is gone")
	}
	if s := w.Stats(); s.LastError == "" || s.Pending != 1 || s.Rev != 1 {
		t.Fatalf("%+v", s)
	}
	if err := os.Rename(moved, cfg.Dir); err != nil {
		t.Fatal(err)
	}
	flush(t, w)
	expect(t, cfg, "2: a@1=A b@2=B")
	if s := w.Stats(); s.LastError != "" || s.Bases != 2 {
		t.Fatalf("%+v", s)
	}
}

func FuzzLoad(f *testing.F) {
	cfg := written(f)
	base, err := os.ReadFile(cfg.base())
	if err != nil {
		f.Fatal(err)
	}
	delta, err := os.ReadFile(cfg.delta())
	if err != nil {
		f.Fatal(err)
	}
	key, err := os.ReadFile(cfg.key())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(base, delta)
	f.Add(base[:headerSize], delta[:headerSize])
	f.Fuzz(func(t *testing.T, b, d []byte) {
		objects := make(map[objectKey]conf.Object)
		var st state
		h, s, err := openRecords(bytes.NewReader(b), key, typeBase)
		if err != nil {
			return
		}
		_ = h
		r := bytes.NewReader(b[headerSize:])
		if err := readBase(r, s, objects, &st); err == nil && len(objects) != st.objects {
			t.Fatalf("%d objects, state says %d", len(objects), st.objects)
		}
		if _, s, err := openRecords(bytes.NewReader(d), key, typeDelta); err == nil {
			_ = readDelta(bytes.NewReader(d[headerSize:]), s, objects, &st)
		}
	})
}

// FuzzRecord feeds the inside of records, which only a holder of the key can
// write.
func FuzzRecord(f *testing.F) {
	o := route("a", 3, "A")
	f.Add(appendObject([]byte{byte(recordObjects)}, &o))
	f.Add(appendState(nil, state{rev: 1, at: time.Unix(1, 0), objects: 2}))
	f.Fuzz(func(t *testing.T, plain []byte) {
		d := decoder{b: plain}
		d.byte()
		rest := d
		for len(d.b) > 0 {
			o := d.object()
			if d.bad {
				break
			}
			again := decoder{b: appendObject(nil, &o)}
			if p := again.object(); again.bad || p.ID != o.ID || p.Rev != o.Rev || !bytes.Equal(p.Value, o.Value) || p.Deleted() != o.Deleted() {
				t.Fatalf("%+v became %+v", o, p)
			}
		}
		_ = rest.state()
	})
}
