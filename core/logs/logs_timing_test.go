package logs

import (
	"testing"
	"time"
)

const nginxFormat = `$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "$upstream_scheme://$upstream_host$upstream_uri"`

func TestRecordingDoesNotAllocate(t *testing.T) {
	s := &sink{gate: make(chan struct{}), ended: make(chan struct{})}
	l := Open(Options{Format: CompileFormat(nginxFormat, EscapeDefault), Sink: s, RingBytes: 64 << 10, Every: time.Hour})
	defer func() { close(s.gate); l.Close(time.Minute) }()
	ctx := request()
	if n := testing.AllocsPerRun(1000, func() { l.Record(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a request pays: the copy of its values into the ring.
func BenchmarkRecord(b *testing.B) {
	s := &sink{ended: make(chan struct{})}
	fm := CompileFormat(nginxFormat, EscapeDefault)
	l := Open(Options{Format: fm, Sink: discard{s}})
	defer l.Close(time.Minute)
	ctx := request()
	b.ReportAllocs()
	for b.Loop() {
		l.Record(ctx)
	}
}

// What the background pays.
func BenchmarkFormat(b *testing.B) {
	fm := CompileFormat(nginxFormat, EscapeDefault)
	rec := fm.capture(nil, request())
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = fm.appendLine(line[:0], rec)
	}
}

type discard struct{ *sink }

func (discard) Write([]byte) error { return nil }
