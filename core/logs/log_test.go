package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
)

func request() *req.Ctx {
	ctx := &req.Ctx{Loop: &loop.Loop{}, Status: 200, BytesOut: 1234, Host: []byte("exa\"mple\\.com\x01é")}
	ctx.Path, ctx.Query = []byte("/a"), []byte("b=c")
	return ctx
}

func TestLines(t *testing.T) {
	f := func(format string, e Escape, want string) {
		t.Helper()
		fm := CompileFormat(format, e)
		ctx := request()
		if got := string(fm.appendLine(nil, fm.capture(nil, ctx))); got != want+"\n" {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	f("", EscapeDefault, "")
	f("plain", EscapeDefault, "plain")
	f("$status", EscapeDefault, "200")
	f("a${status}b $status.", EscapeDefault, "a200b 200.")
	f("$ $$status ${", EscapeDefault, "$ $200 ${")
	f("$host", EscapeDefault, `exa\x22mple\x5C.com\x01\xC3\xA9`)
	f("$host", EscapeJSON, `exa\"mple\\.com\u0001é`)
	f("$host", EscapeNone, "exa\"mple\\.com\x01é")
	f("[$arg_none]", EscapeDefault, "[-]")
	f("[$arg_none]", EscapeJSON, "[]")
	f("[$arg_none]", EscapeNone, "[]")
	f("[$upstream_uri]", EscapeDefault, "[]")
	f("[$no_such]", EscapeDefault, "[-]")
	f("$time_iso8601", EscapeDefault, time.Unix(0, 0).Format("2006-01-02T15:04:05-07:00"))
	f("[$time_local] $arg_b", EscapeDefault, "["+time.Unix(0, 0).Format("02/Jan/2006:15:04:05 -0700")+"] c")
	if u := CompileFormat("$no_such $status", EscapeDefault).Unknown(); len(u) != 1 || u[0] != "no_such" {
		t.Errorf("unknown names: %v", u)
	}
}

func TestRingKeepsOrderAndCountsWhatItDrops(t *testing.T) {
	const records = 50_000
	r := newRing(1 << 10)
	var wg sync.WaitGroup
	ended := make(chan struct{})
	got, wrong := 0, ""
	wg.Go(func() {
		last := -1
		for stop := false; ; {
			rec := r.next()
			if rec == nil {
				if stop {
					return
				}
				select {
				case <-ended:
					stop = true
				default:
				}
				continue
			}
			n, fill := 0, 0
			fmt.Sscan(string(rec), &n, &fill)
			if n <= last || len(rec) < fill {
				wrong = string(rec)
			}
			last = n
			got++
			r.done(rec)
		}
	})
	for i := range records {
		r.put(fmt.Appendf(nil, "%d %d %s", i, i%97, strings.Repeat("x", i%97)))
	}
	close(ended)
	wg.Wait()
	if wrong != "" {
		t.Errorf("record %q", wrong)
	}
	if uint64(got)+r.dropped.Load() != records {
		t.Errorf("%d read, %d dropped of %d", got, r.dropped.Load(), records)
	}
	if r.put(make([]byte, 600)); r.dropped.Load() == 0 {
		t.Error("a record of more than half the ring was taken")
	}
}

// sink is a destination for tests.
type sink struct {
	mu    sync.Mutex
	b     bytes.Buffer
	gate  chan struct{} // when set, Write waits for it
	err   error
	ended chan struct{}
}

func (s *sink) Write(p []byte) error {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(p)
	return s.err
}

func (s *sink) Close() error { close(s.ended); return nil }

func TestDeadSinkCostsRequestsNothing(t *testing.T) {
	s := &sink{gate: make(chan struct{}), ended: make(chan struct{})}
	l := Open(Options{Name: "test", Format: CompileFormat("$status $host", EscapeDefault), Sink: s, RingBytes: 64 << 10, Every: time.Millisecond})
	ctx := request()
	const records = 100_000
	start := time.Now()
	for range records {
		l.Record(ctx)
	}
	spent := time.Since(start)
	if per := spent / records; per > 20*time.Microsecond {
		t.Errorf("%v per request while nobody takes the lines", per)
	}
	if st := l.Stats(); st.Dropped == 0 || st.Written != 0 {
		t.Errorf("%+v", st)
	}
	l.Close(time.Millisecond) // returns although the sink hangs
	close(s.gate)
	<-s.ended
	l.Close(time.Minute)
	st := l.Stats()
	if st.Written+st.Dropped != records {
		t.Errorf("%+v of %d records", st, records)
	}
}

func TestCloseWritesWhatIsWaiting(t *testing.T) {
	s := &sink{ended: make(chan struct{})}
	l := Open(Options{Format: CompileFormat("$status", EscapeDefault), Sink: s, Every: time.Hour})
	for range 3 {
		l.Record(request())
	}
	l.Close(time.Minute)
	if got := s.b.String(); got != "200\n200\n200\n" {
		t.Errorf("%q", got)
	}
	bad := &sink{ended: make(chan struct{}), err: errors.New("full")}
	l = Open(Options{Format: CompileFormat("$status", EscapeDefault), Sink: bad, Every: time.Hour})
	l.Record(request())
	l.Close(time.Minute)
	if st := l.Stats(); st.Failed != 1 || st.Written != 0 {
		t.Errorf("%+v", st)
	}
}

func TestRotatedFileIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "access.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Write([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	f.check = time.Time{} // as if a second had passed
	if err := f.Write([]byte("two\n")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path + ".1": "one\n", path: "two\n"} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := OpenFile("/proc/none/x"); err == nil {
		t.Error("a file that cannot be made gave no error")
	}
}

func FuzzLine(f *testing.F) {
	f.Add("$status ${host} [$time_local]", []byte("h"), uint8(0))
	f.Fuzz(func(t *testing.T, format string, host []byte, e uint8) {
		fm := CompileFormat(format, Escape(e%3))
		ctx := request()
		ctx.Host = host
		fm.appendLine(nil, fm.capture(nil, ctx))
	})
}
