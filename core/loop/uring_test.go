package loop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// needUring skips a test of the engine itself in the other engine's run.
func needUring(t *testing.T) {
	t.Helper()
	if engine != EngineUring {
		t.Skip("about io_uring")
	}
}

// startSmall is start with queues of the given sizes.
func startSmall(t testing.TB, sq, cq uint32) *Loop {
	t.Helper()
	offers, _ := ring.Probe()
	return startWith(t, sq, cq, offers)
}

// startWith is start with queues of the given sizes on a kernel that offers
// nothing else.
func startWith(t testing.TB, sq, cq uint32, offers ring.Features) *Loop {
	t.Helper()
	l, err := New(Config{CPU: -1, Engine: EngineEpoll})
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(l.ep.fd)
	l.ep = nil
	if l.u, err = newUring(l, sq, cq); err != nil {
		t.Fatal(err)
	}
	l.u.Features = offers
	go func() {
		if err := l.Run(); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		l.Stop()
		<-l.Stopped()
	})
	return l
}

// echoBurst opens many connections, writes to all of them, and then reads the
// echo of each.
func echoBurst(t *testing.T, addr netip.AddrPort, many, size int) {
	t.Helper()
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = dial(t, addr)
	}
	for round := range 3 {
		for i, c := range conns {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i + round)}, size)); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, size)
		for i, c := range conns {
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			for _, v := range got {
				if v != byte(i+round) {
					t.Fatalf("connection %d got another's bytes", i)
				}
			}
		}
	}
}

func TestQueuesThatAreTooSmall(t *testing.T) {
	needUring(t)
	l := startSmall(t, 4, 8)
	addr := echoServer(t, l)
	hold, release := make(chan struct{}), make(chan struct{})
	// Everything happens while the loop does not look.
	l.Post(func() { close(hold); <-release })
	<-hold
	go close(release)
	echoBurst(t, addr, 300, 900)
}

func TestReceiveBuffersRunOut(t *testing.T) {
	needUring(t)
	l := start(t)
	addr := echoServer(t, l)
	const many = 300
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = dial(t, addr)
	}
	echoed := func(c net.Conn, i int) {
		got := make([]byte, 100)
		if _, err := io.ReadFull(c, got); err != nil || got[50] != byte(i) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	for i, c := range conns {
		_, _ = c.Write(bytes.Repeat([]byte{byte(i)}, 100))
		echoed(c, i)
	}
	hold, release := make(chan struct{}), make(chan struct{})
	l.Post(func() { close(hold); <-release })
	<-hold
	for i, c := range conns {
		_, _ = c.Write(bytes.Repeat([]byte{byte(i)}, 100))
	}
	close(release)
	for i, c := range conns {
		echoed(c, i)
	}
	if l.Stats().Starved.Load() == 0 {
		t.Error("buffers never ran out: the test shows nothing")
	}
	do(t, l, func(*Task) {
		if l.u.depth <= minDepth {
			t.Errorf("depth is still %d", l.u.depth)
		}
	})
}

func TestFewerBuffersAreLentWhenFewAreNeeded(t *testing.T) {
	needUring(t)
	l := start(t)
	do(t, l, func(task *Task) {
		l.u.depth = 4 * minDepth
		l.u.low = l.u.depth
		wait(t, task, "the depth shrinks", func() bool {
			l.u.adaptAt = 0
			return l.u.depth == minDepth
		})
	})
}

// settled waits until only the listeners' operations are in flight.
func settled(t *testing.T, l *Loop, listeners int) {
	t.Helper()
	do(t, l, func(task *Task) {
		wait(t, task, "all operations of closed connections end and their records are free", func() bool {
			open := 0
			for _, s := range l.u.socks {
				if s.fd >= 0 || s.conn != nil {
					open++
				}
			}
			return l.u.flying == listeners && open == listeners
		})
	})
}

func TestRecordsComeBack(t *testing.T) {
	needUring(t)
	l := start(t)
	addr := echoServer(t, l)
	full := fullListener(t)
	for range 5 {
		var wg sync.WaitGroup
		for i := range 40 {
			c := dial(t, addr)
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, _ = c.Write(make([]byte, 200_000))
				if i%3 == 0 {
					_ = c.SetLinger(0)
				} else if i%3 == 1 {
					_, _ = io.CopyN(io.Discard, c, 100_000)
				}
				c.Close()
			}()
		}
		do(t, l, func(task *Task) {
			for i := range 10 {
				l.Start(runFunc(func(task *Task) {
					var c Conn
					if err := l.Dial(task, &c, full, l.Now()+int64(i)*5e6); err == nil {
						c.Close()
					}
				}))
			}
		})
		wg.Wait()
	}
	settled(t, l, 1)
	do(t, l, func(*Task) {
		n := len(l.u.socks)
		if n > 256 {
			t.Errorf("%d records for at most 50 connections at a time", n)
		}
		free := len(l.freeMem)
		// What is not free is lent to the kernel, or was never taken.
		if got, want := free+l.u.nLent, l.arena.used/(headroom+BufSize); got != want {
			t.Errorf("%d buffers free or lent, %d exist", got, want)
		}
	})
}

func TestDescriptorIsNotUsedByItsFormerOwner(t *testing.T) {
	l := start(t)
	addr := serve(t, l, func(task *Task, c *Conn) {
		// Each connection is told its number and closed with the bytes still
		// queued.
		b := l.GetBuf()
		_, err := c.Recv(task, b, 0)
		if err == nil {
			_ = c.Send(task, b.Bytes(), 0)
		}
		l.PutBuf(b)
		if err == nil && task.Loop().Now()%3 == 0 {
			task.Yield()
		}
		c.Close()
	})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 300 {
				c, err := net.Dial("tcp", addr.String())
				if err != nil {
					t.Error(err)
					return
				}
				want := fmt.Sprintf("<%d/%d>", w, i)
				_, _ = c.Write([]byte(want))
				got, err := io.ReadAll(c)
				if err != nil || string(got) != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				c.Close()
			}
		}()
	}
	wg.Wait()
}

func TestClosedConnectionsGiveUpOnDeafPeers(t *testing.T) {
	needUring(t)
	l := start(t)
	closed := make(chan struct{})
	addr := serve(t, l, func(task *Task, c *Conn) {
		for {
			n, err := c.TrySend(make([]byte, 64<<10))
			if err != nil || n == 0 {
				break
			}
			task.Yield()
		}
		c.Close()
		close(closed)
	})
	c := dial(t, addr)
	<-closed
	do(t, l, func(task *Task) {
		s := l.u.closing.head
		if s == nil {
			t.Error("nothing is left to send: the test shows nothing")
			return
		}
		l.u.expire(s.since + lingerLimit)
		if l.u.closing.head == nil {
			t.Error("given up before the time")
		}
		l.u.expire(s.since + lingerLimit + 1)
	})
	settled(t, l, 1)
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(e)
}

func TestStopWithEverythingInFlight(t *testing.T) {
	full := fullListener(t)
	before := openDescriptors(t)
	l, err := New(Config{CPU: -1, Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	go l.Run()
	stuck := make(chan struct{}, 100)
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		b := l.GetBuf()
		defer l.PutBuf(b)
		b.Extend(BufSize)
		stuck <- struct{}{}
		for c.Send(task, b.Bytes(), 0) == nil {
		}
	})
	conns := make([]net.Conn, 20)
	for i := range conns {
		conns[i] = dial(t, addr)
		_, _ = conns[i].Write([]byte("unread"))
	}
	do(t, l, func(task *Task) {
		for range 10 {
			l.Start(runFunc(func(task *Task) {
				var c Conn
				_ = l.Dial(task, &c, full, 0)
			}))
		}
	})
	for range conns {
		<-stuck
	}
	begin := time.Now()
	l.Stop()
	<-l.Stopped()
	if d := time.Since(begin); d > stopGrace {
		t.Errorf("stopping took %v", d)
	}
	if l.u != nil && l.u.flying != 0 {
		t.Errorf("%d operations are in flight", l.u.flying)
	}
	if n := l.Stats().Conns.Load(); n != 0 && l.u != nil {
		t.Errorf("%d connections are open", n)
	}
	for _, c := range conns {
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	// The kernel lets go of cancelled operations' sockets by itself.
	end := time.Now().Add(5 * time.Second)
	const own = 1 // the listening socket
	for openDescriptors(t) > before+own && time.Now().Before(end) {
		runtime.Gosched()
	}
	if n := openDescriptors(t); n > before+own {
		t.Errorf("%d descriptors were open before, %d are now", before, n)
	}
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of sockets")
	}
	l := start(t)
	addr := listen(t, l, func(fd int, _ netip.AddrPort) {
		if err := new(Conn).Init(l, fd, answer{}); err != nil {
			t.Error(err)
		}
	})
	const many = 3000
	conns := make([]net.Conn, 0, many)
	open := func(n int) {
		buf := make([]byte, 1)
		for range n {
			c, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte("x"))
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	open(10)
	var size uintptr
	do(t, l, func(*Task) { size = connSize() })
	if size > 512 {
		t.Errorf("a connection takes %d bytes, want at most 512", size)
	}
	open(many - 10)
	do(t, l, func(*Task) {
		if l.u == nil {
			return
		}
		if n := l.arena.used / (headroom + BufSize); n > 128 {
			t.Errorf("%d idle connections hold %d buffers", many, n)
		}
	})
}

// answer sends back what comes, without a task.
type answer struct{}

func (answer) Expired(*Conn) {}

func (answer) Ready(c *Conn) {
	b := c.Loop().GetBuf()
	_, err := c.TryRecv(b)
	if err == nil && b.Len() > 0 {
		_, err = c.TrySend(b.Bytes())
	}
	c.Loop().PutBuf(b)
	if err != nil {
		c.Close()
	}
}

// TestRandomTraffic lets many connections do everything at random on both
// sides, and checks that what is received is what was sent, in order.
func TestRandomTraffic(t *testing.T) {
	run := func(t *testing.T, server *Loop) {
		client := start(t)
		addr := serve(t, server, func(task *Task, c *Conn) { randomEcho(t, task, c) })
		var wg sync.WaitGroup
		rounds := 400
		if testing.Short() {
			rounds = 60
		}
		for i := range rounds {
			wg.Add(1)
			client.Post(func() {
				client.Start(runFunc(func(task *Task) {
					defer wg.Done()
					randomClient(t, task, addr, uint64(i))
				}))
			})
		}
		wg.Wait()
		if server.u != nil {
			settled(t, server, 1)
		}
	}
	t.Run("normal", func(t *testing.T) { run(t, start(t)) })
	if engine == EngineUring {
		t.Run("small queues", func(t *testing.T) { run(t, startSmall(t, 8, 16)) })
		t.Run("Linux 6.1", func(t *testing.T) { run(t, startWith(t, sqEntries, cqEntries, ring.Features{})) })
	}
}

// randomEcho sends back what it gets, in pieces of its own choice.
func randomEcho(t *testing.T, task *Task, c *Conn) {
	l := task.Loop()
	r := rand.New(rand.NewPCG(7, uint64(c.FD())))
	defer c.Close()
	for {
		b := l.GetBuf()
		_, err := c.Recv(task, b, 0)
		if err == io.EOF && r.IntN(2) == 0 {
			c.CloseWrite()
			l.PutBuf(b)
			return
		}
		for err == nil && b.Len() > 0 {
			n := min(b.Len(), 1+r.IntN(20_000))
			send := c.Send
			if r.IntN(3) == 0 {
				send = c.SendMore
			}
			err = send(task, b.Bytes()[:n], 0)
			b.Consume(n)
			if r.IntN(4) == 0 {
				task.Yield()
			}
		}
		if err == nil {
			err = c.Send(task, nil, 0)
		}
		for i := range b.mem {
			b.mem[i] = 0xEE
		}
		l.PutBuf(b)
		if err != nil {
			if err != io.EOF && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
				t.Error(err)
			}
			return
		}
	}
}

func randomClient(t *testing.T, task *Task, addr netip.AddrPort, seed uint64) {
	l := task.Loop()
	r := rand.New(rand.NewPCG(seed, 3))
	var c Conn
	if err := l.Dial(task, &c, addr, 0); err != nil {
		t.Error(err)
		return
	}
	want := pattern(1 + r.IntN(300_000))
	quits := r.IntN(4) == 0
	left := want
	writing := true
	l.Start(runFunc(func(writer *Task) {
		defer func() { writing = false; task.Wake() }()
		for len(left) > 0 {
			n := min(len(left), 1+r.IntN(40_000))
			if err := c.Send(writer, left[:n], 0); err != nil {
				if !quits {
					t.Error(err)
				}
				return
			}
			left = left[n:]
			if r.IntN(3) == 0 {
				writer.Yield()
			}
		}
		// SendMore may have held back the end of the echo.
		c.CloseWrite()
	}))
	got := 0
	for got < len(want) {
		b := l.GetBuf()
		_, err := c.Recv(task, b, 0)
		if err == nil && !bytes.Equal(b.Bytes(), want[got:got+b.Len()]) {
			t.Errorf("connection %d: bytes from %d on differ", seed, got)
			err = io.EOF
		}
		got += b.Len()
		l.PutBuf(b)
		if err != nil {
			if got < len(want) {
				t.Errorf("connection %d: %v after %d of %d bytes", seed, err, got, len(want))
			}
			break
		}
		if quits && r.IntN(5) == 0 {
			break
		}
	}
	if quits && r.IntN(2) == 0 {
		c.Reset()
	}
	c.Close()
	for writing {
		task.Park(0)
	}
}

func TestEngineIsChosen(t *testing.T) {
	f := func(want, got string) {
		t.Helper()
		l, err := New(Config{CPU: -1, Engine: want})
		if err != nil {
			t.Fatal(err)
		}
		go l.Run()
		l.Stop()
		<-l.Stopped()
		if l.Engine() != got {
			t.Errorf("engine %q is %q, want %q (%v)", want, l.Engine(), got, l.Fallback())
		}
	}
	f(EngineEpoll, EngineEpoll)
	if engine == EngineUring {
		f(EngineUring, EngineUring)
		f(EngineAuto, EngineUring)
	}
	refused := errors.New("forbidden here")
	probeRing = func() (ring.Features, error) { return ring.Features{}, refused }
	defer func() { probeRing = ring.Probe }()
	f(EngineAuto, EngineEpoll)
	l, err := New(Config{CPU: -1, Engine: EngineAuto})
	if err != nil || l.Fallback() != refused {
		t.Errorf("the reason for epoll is %v, %v", l.Fallback(), err)
	}
	go l.Run()
	l.Stop()
	<-l.Stopped()
	if _, err := New(Config{Engine: EngineUring}); !errors.Is(err, refused) {
		t.Errorf("io_uring where there is none gives %v", err)
	}
	if _, err := New(Config{Engine: "kqueue"}); err == nil || !strings.Contains(err.Error(), "kqueue") {
		t.Errorf("an unknown engine gives %v", err)
	}
}
