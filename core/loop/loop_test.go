package loop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/loop/ring"
)

// engine is the one that start uses.
var engine = EngineEpoll

// TestMain runs the package's tests with both engines.
func TestMain(m *testing.M) {
	code := m.Run()
	if _, err := ring.Probe(); err != nil {
		fmt.Println("not tested with io_uring:", err)
		os.Exit(code)
	}
	fmt.Println("again, with io_uring")
	engine = EngineUring
	os.Exit(max(code, m.Run()))
}

// start runs a loop for the test and stops it at its end.
func start(t testing.TB) *Loop {
	t.Helper()
	l, err := New(Config{CPU: -1, Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
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

// do runs f on a task of l and waits for it.
func do(t testing.TB, l *Loop, f func(*Task)) {
	t.Helper()
	done := make(chan struct{})
	l.Post(func() {
		l.Start(runFunc(func(task *Task) {
			defer close(done)
			f(task)
		}))
	})
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the task did not end")
	}
}

type runFunc func(*Task)

func (f runFunc) Run(t *Task) { f(t) }

// echo is a connection that sends back what it gets.
type echo struct {
	conn Conn
}

func (e *echo) Ready(c *Conn)   { c.Loop().Start(e) }
func (e *echo) Expired(c *Conn) { c.Close() }

func (e *echo) Run(t *Task) {
	e.conn.SetHandler(nil)
	for {
		b := t.Loop().GetBuf()
		_, err := e.conn.Recv(t, b, 0)
		if err == nil {
			err = e.conn.Send(t, b.Bytes(), 0)
		}
		t.Loop().PutBuf(b)
		if err != nil {
			e.conn.Close()
			return
		}
	}
}

// listen gives a loop a listening socket on loopback.
func listen(t testing.TB, l *Loop, accept func(fd int, peer netip.AddrPort)) netip.AddrPort {
	t.Helper()
	return listenWith(t, l, func(*Listener) {}, accept)
}

// listenWith is listen and hands the listener to setup, on the loop.
func listenWith(t testing.TB, l *Loop, setup func(*Listener), accept func(fd int, peer netip.AddrPort)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	t.Cleanup(func() { f.Close() })
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	done := make(chan error)
	l.Post(func() {
		ln, err := l.Listen(int(f.Fd()), accept)
		if err == nil {
			setup(ln)
		}
		done <- err
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return addr
}

func echoServer(t testing.TB, l *Loop) netip.AddrPort {
	return listen(t, l, func(fd int, _ netip.AddrPort) {
		e := new(echo)
		if err := e.conn.Init(l, fd, e); err != nil {
			t.Error(err)
		}
	})
}

func TestEchoOverManyConnections(t *testing.T) {
	l := start(t)
	addr := echoServer(t, l)
	errs := make(chan error, 50)
	for i := range 50 {
		go func() {
			errs <- func() error {
				c, err := net.Dial("tcp", addr.String())
				if err != nil {
					return err
				}
				defer c.Close()
				msg := bytes.Repeat([]byte(fmt.Sprintf("<%d>", i)), 50_000)
				go c.Write(msg)
				got := make([]byte, len(msg))
				if _, err := io.ReadFull(c, got); err != nil {
					return err
				}
				if !bytes.Equal(got, msg) {
					return errors.New("echo differs")
				}
				return nil
			}()
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestDialSendRecvBetweenLoops(t *testing.T) {
	server, client := start(t), start(t)
	addr := echoServer(t, server)
	do(t, client, func(task *Task) {
		var c Conn
		if err := client.Dial(task, &c, addr, 0); err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b := client.GetBuf()
		defer client.PutBuf(b)
		for range 1000 {
			b.Reset()
			if err := c.Send(task, []byte("hello"), 0); err != nil {
				t.Error(err)
				return
			}
			for b.Len() < 5 {
				if _, err := c.Recv(task, b, 0); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
}

func TestDialFailures(t *testing.T) {
	l := start(t)
	do(t, l, func(task *Task) {
		var c Conn
		err := l.Dial(task, &c, netip.MustParseAddrPort("127.0.0.1:1"), l.Now()+int64(time.Second))
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("dial of a closed port: got %v, want ECONNREFUSED", err)
		}
	})
}

func TestRecvTimesOutAndConnectionGoesOn(t *testing.T) {
	l := start(t)
	addr := echoServer(t, l)
	do(t, l, func(task *Task) {
		var c Conn
		if err := l.Dial(task, &c, addr, 0); err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		b := l.GetBuf()
		defer l.PutBuf(b)
		begin := l.Now()
		if _, err := c.Recv(task, b, begin+int64(30*time.Millisecond)); err != ErrTimeout {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if d := l.Now() - begin; d < int64(30*time.Millisecond) {
			t.Errorf("timed out early, after %v", time.Duration(d))
		}
		if err := c.Send(task, []byte("x"), 0); err != nil {
			t.Error(err)
		}
		if _, err := c.Recv(task, b, 0); err != nil || string(b.Bytes()) != "x" {
			t.Errorf("after a timeout: %q, %v", b.Bytes(), err)
		}
	})
}

func TestCancelReadEndsTheWaitOfAnotherTask(t *testing.T) {
	l := start(t)
	addr := echoServer(t, l)
	do(t, l, func(task *Task) {
		var c Conn
		if err := l.Dial(task, &c, addr, 0); err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		var got error
		ended := false
		l.Start(runFunc(func(other *Task) {
			got = c.WaitRead(other, 0)
			ended = true
		}))
		c.CancelRead()
		if !ended || got != ErrCanceled {
			t.Errorf("ended %v with %v, want ErrCanceled", ended, got)
		}
		// The connection is as usable as before.
		b := l.GetBuf()
		defer l.PutBuf(b)
		if err := c.Send(task, []byte("x"), 0); err != nil {
			t.Error(err)
		}
		if _, err := c.Recv(task, b, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseWakesTheTaskThatWaits(t *testing.T) {
	l := start(t)
	addr := echoServer(t, l)
	do(t, l, func(task *Task) {
		var c Conn
		if err := l.Dial(task, &c, addr, 0); err != nil {
			t.Error(err)
			return
		}
		var got error
		l.Start(runFunc(func(other *Task) { got = c.WaitRead(other, 0) }))
		c.Close()
		if got != ErrClosed {
			t.Errorf("got %v, want ErrClosed", got)
		}
	})
}

func TestAwaitLeavesTheLoopFree(t *testing.T) {
	l := start(t)
	release := make(chan struct{})
	var order atomic.Int32
	go func() {
		// Runs while the task below waits: the loop is not blocked.
		do(t, l, func(*Task) { order.CompareAndSwap(0, 1) })
		close(release)
	}()
	do(t, l, func(task *Task) {
		if err := task.Await(func() { <-release }); err != nil {
			t.Error(err)
		}
		order.CompareAndSwap(1, 2)
	})
	if order.Load() != 2 {
		t.Errorf("order is %d: the loop waited for the function", order.Load())
	}
}

func TestAwaitRefusesBeyondItsLimit(t *testing.T) {
	l, err := New(Config{CPU: -1, Engine: engine, MaxAwait: 1})
	if err != nil {
		t.Fatal(err)
	}
	go l.Run()
	defer func() { l.Stop(); <-l.Stopped() }()
	release := make(chan struct{})
	started := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do(t, l, func(task *Task) {
			_ = task.Await(func() { close(started); <-release })
		})
	}()
	<-started
	do(t, l, func(task *Task) {
		if err := task.Await(func() {}); err != ErrBusy {
			t.Errorf("got %v, want ErrBusy", err)
		}
	})
	close(release)
	<-ended
}

func TestAwaitPassesPanicsToTheTask(t *testing.T) {
	l := start(t)
	do(t, l, func(task *Task) {
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("recovered %v, want boom", v)
			}
		}()
		_ = task.Await(func() { panic("boom") })
	})
}

func TestTimersFireInOrderAndNeverEarly(t *testing.T) {
	l := start(t)
	type shot struct{ want, got int64 }
	var shots []shot
	do(t, l, func(task *Task) {
		for i := range 40 {
			d := int64((i*7919)%120+1) * int64(time.Millisecond)
			l.Start(runFunc(func(other *Task) {
				want := l.Now() + d
				other.Sleep(d)
				shots = append(shots, shot{want, l.Now()})
			}))
		}
		task.Sleep(int64(200 * time.Millisecond))
	})
	if len(shots) != 40 {
		t.Fatalf("%d of 40 sleeps ended", len(shots))
	}
	for i, s := range shots {
		if s.got < s.want {
			t.Errorf("sleep ended %v early", time.Duration(s.want-s.got))
		}
		if i > 0 && s.want < shots[i-1].want-2<<tickShift {
			t.Errorf("sleep %d ended out of order", i)
		}
	}
}

func TestTimerBeyondTheHorizon(t *testing.T) {
	l := &Loop{}
	l.wheel.init(0)
	fired := int64(0)
	tm := &Timer{slot: -1}
	tm.fire = func(*Timer) { fired = l.now }
	l.SetTimer(tm, int64(10*time.Second))
	for l.now = 0; l.now < int64(11*time.Second); l.now += int64(3 * time.Millisecond) {
		l.wheel.advance(l.now)
	}
	if fired < int64(10*time.Second) || fired > int64(10*time.Second)+int64(10*time.Millisecond) {
		t.Errorf("fired at %v, want 10s", time.Duration(fired))
	}
}

func TestTimerMovedLaterAndEarlier(t *testing.T) {
	l := &Loop{}
	l.wheel.init(0)
	var fired []int64
	tm := &Timer{slot: -1}
	tm.fire = func(*Timer) { fired = append(fired, l.now) }
	l.SetTimer(tm, int64(50*time.Millisecond))
	l.SetTimer(tm, int64(900*time.Millisecond)) // later: found out when the old slot comes up
	l.SetTimer(tm, int64(200*time.Millisecond)) // earlier than the last, later than the first
	for l.now = 0; l.now < int64(time.Second); l.now += int64(time.Millisecond) {
		l.wheel.advance(l.now)
	}
	if len(fired) != 1 || fired[0] < int64(200*time.Millisecond) || fired[0] > int64(205*time.Millisecond) {
		t.Errorf("fired at %v, want once at 200ms", fired)
	}
}

func TestYieldLetsOthersRun(t *testing.T) {
	l := start(t)
	var order []string
	do(t, l, func(task *Task) {
		l.Start(runFunc(func(other *Task) {
			order = append(order, "a1")
			other.Yield()
			order = append(order, "a2")
		}))
		order = append(order, "b1")
		task.Yield()
		order = append(order, "b2")
		task.Yield()
	})
	want := "[a1 b1 a2 b2]"
	if got := fmt.Sprint(order); got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestStaleEventOfAReusedDescriptorIsIgnored(t *testing.T) {
	if engine != EngineEpoll {
		t.Skip("events of descriptors are epoll's")
	}
	l := start(t)
	do(t, l, func(task *Task) {
		fds := make([]int, 2)
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Error(err)
			return
		}
		fds[0], fds[1] = p[0], p[1]
		defer unix.Close(fds[1])
		var c Conn
		calls := 0
		if err := c.Init(l, fds[0], handlerFunc(func(*Conn) { calls++ })); err != nil {
			t.Error(err)
			return
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fds[0]), Pad: int32(c.gen - 1)}
		l.dispatch(&ev)
		if calls != 0 {
			t.Error("an event of the connection before was delivered")
		}
		c.Close()
	})
}

type handlerFunc func(*Conn)

func (f handlerFunc) Ready(c *Conn) { f(c) }
func (f handlerFunc) Expired(*Conn) {}

func TestBufEditing(t *testing.T) {
	l := &Loop{}
	b := l.GetBuf()
	b.Append([]byte("body"))
	b.Prepend([]byte("head "))
	b.Consume(2)
	b.Truncate(5)
	if string(b.Bytes()) != "ad bo" {
		t.Errorf("content is %q", b.Bytes())
	}
	l.PutBuf(b)
	defer func() {
		if recover() == nil {
			t.Error("a buffer was released twice unnoticed")
		}
	}()
	l.PutBuf(b)
}

func BenchmarkSwitch(b *testing.B) {
	l := start(b)
	b.ReportAllocs()
	do(b, l, func(*Task) {
		r := runFunc(func(*Task) {})
		for range b.N {
			l.Start(r)
		}
	})
}
