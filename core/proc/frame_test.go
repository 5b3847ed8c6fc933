package proc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
)

// pair is two ends of a connection.
func pair(t *testing.T) (*wire, *wire) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*wire, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = newWire(c.(*net.UnixConn))
		t.Cleanup(ends[i].close)
	}
	return ends[0], ends[1]
}

func TestMessagesOfEverySizeArrive(t *testing.T) {
	a, b := pair(t)
	sizes := []int{0, 1, 15, 16, 17, 64<<10 - 1, 64 << 10, maxFrame - 1, maxFrame, maxFrame + 1, 3*maxFrame + 5}
	go func() {
		for i, n := range sizes {
			if a.send(msgReply, flagError, uint64(i), bytes.Repeat([]byte{byte(i)}, n)) != nil {
				return
			}
		}
	}()
	for i, n := range sizes {
		m, err := b.recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.typ != msgReply || m.flags&flagError == 0 || m.id != uint64(i) || len(m.payload) != n || bytes.Count(m.payload, []byte{byte(i)}) != n {
			t.Errorf("size %d: type %d flags %d id %d, %d bytes", n, m.typ, m.flags, m.id, len(m.payload))
		}
	}
}

func TestSocketsTravel(t *testing.T) {
	a, b := pair(t)
	f := func(n int) {
		t.Helper()
		var socks []Socket
		for i := range n {
			fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			socks = append(socks, Socket{Listen: i % 3, Loop: i, FD: fd})
		}
		sent := make(chan error, 1)
		go func() { sent <- a.sendSockets(socks) }()
		got, err := b.recvSockets()
		if err != nil || <-sent != nil {
			t.Fatalf("%d sockets: %v", n, err)
		}
		if len(got) != n {
			t.Fatalf("%d of %d sockets came", len(got), n)
		}
		for i, s := range got {
			if s.Listen != socks[i].Listen || s.Loop != socks[i].Loop {
				t.Errorf("socket %d is %+v", i, s)
			}
			var st unix.Stat_t
			if err := unix.Fstat(s.FD, &st); err != nil || s.FD == socks[i].FD {
				t.Errorf("descriptor %d: %v", s.FD, err)
			}
			flags, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d would be inherited", s.FD)
			}
			unix.Close(s.FD)
		}
	}
	f(0)
	f(1)
	f(maxFDs)
	f(maxFDs + 1)
	f(3 * maxFDs)
}

func TestMalformedFramesEndTheConnection(t *testing.T) {
	f := func(name string, want string, raw ...[]byte) {
		t.Helper()
		a, b := pair(t)
		go func() {
			for _, part := range raw {
				if _, err := a.conn.Write(part); err != nil {
					return
				}
			}
			a.conn.Close()
		}()
		_, err := b.recv()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	head := func(h header) []byte { return appendHeader(nil, h) }
	f("nothing", io.EOF.Error())
	f("half a header", io.ErrUnexpectedEOF.Error(), head(header{typ: msgAck})[:7])
	f("half a payload", io.ErrUnexpectedEOF.Error(), head(header{typ: msgAck, size: 10}), []byte("abc"))
	f("type 0", "unknown type", head(header{}))
	f("type unknown", "unknown type", head(header{typ: numMsgTypes}))
	f("too long", "longer than", head(header{typ: msgAck, size: maxFrame + 1}))
	f("descriptors elsewhere", "descriptors", head(header{typ: msgAck, fds: 1}))
	f("descriptors announced only", "announces 2 descriptors, 0 came", head(header{typ: msgSockets, fds: 2}))
	f("another message inside", "inside a message", head(header{typ: msgAck, flags: flagMore}), head(header{typ: msgReply}))
	f("another id inside", "inside a message", head(header{typ: msgAck, flags: flagMore}), head(header{typ: msgAck, id: 1}))
	long := head(header{typ: msgAck, flags: flagMore, size: maxFrame})
	long = append(long, make([]byte, maxFrame)...)
	f("endless", "longer than", bytes.Repeat(long, maxMessage/maxFrame+1))
}

func TestSlowPeerIsCutOff(t *testing.T) {
	a, _ := pair(t)
	// The limit itself is long; what matters is that a write past it ends.
	if err := a.conn.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := a.conn.Write(make([]byte, 16))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write after the limit: %v", err)
	}
}

var someBatches = []conf.Batch{
	{},
	{Full: true, Rev: 7},
	{Rev: -1, Objects: []conf.Object{route("r", 7, `{"uri":"/"}`)}},
	{Full: true, Rev: 1 << 60, Objects: []conf.Object{
		{Kind: conf.KindUpstream, ID: "u", CreateRev: 3, Rev: 4, Value: []byte("x")},
		{Kind: conf.KindCredential, ID: "jack/credentials/1", Rev: 5},
		{Kind: conf.KindStreamRoute, ID: strings.Repeat("i", maxID), Value: []byte{}},
	}},
}

func TestBatchesSurviveTheWire(t *testing.T) {
	for i := range someBatches {
		want := &someBatches[i]
		got, err := parseBatch(appendBatch(nil, want))
		if err != nil {
			t.Errorf("batch %d: %v", i, err)
			continue
		}
		if got.Full != want.Full || got.Rev != want.Rev || len(got.Objects) != len(want.Objects) {
			t.Errorf("batch %d: %+v", i, got)
		}
		for j := range want.Objects {
			if !reflect.DeepEqual(got.Objects[j], want.Objects[j]) {
				t.Errorf("batch %d object %d: %+v, want %+v", i, j, got.Objects[j], want.Objects[j])
			}
		}
	}
}

func TestLargeBatchesAreSplit(t *testing.T) {
	value := make([]byte, maxValue)
	b := conf.Batch{Full: true, Rev: 3}
	for range 2*maxPart/maxValue + 1 {
		b.Objects = append(b.Objects, conf.Object{Kind: conf.KindRoute, ID: "r", Value: value})
	}
	parts := split(&b)
	n := 0
	for i, p := range parts {
		size := 0
		for j := range p.Objects {
			size += len(p.Objects[j].Value)
		}
		if p.Full != (i == 0) || p.Rev != 3 || size > maxPart {
			t.Errorf("part %d: full %v, revision %d, %d bytes", i, p.Full, p.Rev, size)
		}
		n += len(p.Objects)
	}
	if len(parts) < 3 || n != len(b.Objects) {
		t.Errorf("%d parts with %d of %d objects", len(parts), n, len(b.Objects))
	}
	if parts := split(&conf.Batch{Full: true}); len(parts) != 1 || !parts[0].Full {
		t.Errorf("an empty batch became %d parts", len(parts))
	}
}

func FuzzParseBatch(f *testing.F) {
	for i := range someBatches {
		f.Add(appendBatch(nil, &someBatches[i]))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBatch(raw)
		if err != nil {
			return
		}
		if again := appendBatch(nil, b); !bytes.Equal(again, raw) {
			t.Fatalf("%x became %x", raw, again)
		}
	})
}

func FuzzParseInventory(f *testing.F) {
	f.Add(appendInventory(nil, map[Key]uint64{{conf.KindRoute, "r"}: 1}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		have, err := parseInventory(raw)
		if err != nil {
			return
		}
		again, err := parseInventory(appendInventory(nil, have))
		if err != nil || !reflect.DeepEqual(again, have) {
			t.Fatalf("%v became %v, %v", have, again, err)
		}
	})
}

// FuzzFrames feeds a connection's reader: it must end with an error or
// messages within the limits, never with a panic.
func FuzzFrames(f *testing.F) {
	f.Add(append(appendHeader(nil, header{typ: msgCall, size: 3}), "a\x00b"...))
	f.Add(append(appendHeader(nil, header{typ: msgAck, flags: flagMore, size: 1}), 'x'))
	f.Add(appendHeader(nil, header{typ: msgSockets, fds: 3}))
	dir := f.TempDir()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { ln.Close() })
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := net.DialUnix("unix", nil, ln.Addr().(*net.UnixAddr))
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			_, _ = c.Write(raw)
			c.Close()
			close(done)
		}()
		w := newWire(s)
		for {
			m, err := w.recv()
			if err != nil {
				break
			}
			if m.typ == 0 || m.typ >= numMsgTypes {
				t.Errorf("message of type %d", m.typ)
			}
			name, arg, ok := splitCall(m.payload)
			if ok && len(name)+1+len(arg) != len(m.payload) {
				t.Errorf("call %q with %q of %q", name, arg, m.payload)
			}
		}
		w.close()
		<-done
	})
}

func TestParseBatchRefuses(t *testing.T) {
	good := appendBatch(nil, &someBatches[2])
	for n := range good {
		if _, err := parseBatch(good[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are a batch", n, len(good))
		}
	}
	f := func(name string, at int, value byte) {
		t.Helper()
		raw := slices.Clone(good)
		raw[at] = value
		if _, err := parseBatch(raw); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
	f("unknown flag", 0, 2)
	f("more objects than there are", 12, 2)
	f("huge count", 9, 0xff)
	f("kind 0", batchHead, 0)
	f("kind unknown", batchHead, byte(conf.NumKinds))
	f("id beyond the end", batchHead+17, 0xff)
	f("value beyond the end", batchHead+19, 0x7f)
	if _, err := parseBatch(append(good, 0)); err == nil {
		t.Error("trailing bytes accepted")
	}
}
