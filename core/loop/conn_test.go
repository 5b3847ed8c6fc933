package loop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serve gives a loop a listening socket; f runs on a task for each connection
// and closes it.
func serve(t testing.TB, l *Loop, f func(*Task, *Conn)) netip.AddrPort {
	t.Helper()
	return listen(t, l, func(fd int, peer netip.AddrPort) {
		c := new(Conn)
		if err := c.Init(l, fd, nil); err != nil {
			t.Error(err)
			return
		}
		c.Peer = peer
		l.Start(runFunc(func(task *Task) { f(task, c) }))
	})
}

func dial(t testing.TB, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// pattern is n bytes that tell where they belong.
func pattern(n int) []byte {
	p := make([]byte, 0, n+8)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for len(p) < n {
		p = binary.NativeEndian.AppendUint64(p, r.Uint64())
	}
	return p[:n]
}

// readAll reads until EOF and compares.
func readAll(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
	}
}

func TestCloseStillSendsWhatSendTook(t *testing.T) {
	for _, n := range []int{1, 3000, 70_000, 200_000} {
		want := pattern(n)
		l := start(t)
		addr := serve(t, l, func(task *Task, c *Conn) {
			if err := c.Send(task, want, 0); err != nil {
				t.Error(err)
			}
			c.Close()
		})
		readAll(t, dial(t, addr), want)
	}
}

func TestResetIsSeenAsReset(t *testing.T) {
	l := start(t)
	addr := serve(t, l, func(task *Task, c *Conn) {
		b := l.GetBuf()
		_, _ = c.Recv(task, b, 0)
		l.PutBuf(b)
		_ = c.Send(task, []byte("half of "), 0)
		c.Reset()
	})
	c := dial(t, addr)
	_, _ = c.Write([]byte("go"))
	_, err := io.ReadAll(c)
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func TestCloseWriteComesBehindTheBytesAndReadingGoesOn(t *testing.T) {
	l := start(t)
	want := pattern(150_000)
	heard := make(chan string, 1)
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		if err := c.Send(task, want, 0); err != nil {
			t.Error(err)
		}
		c.CloseWrite()
		b := l.GetBuf()
		defer l.PutBuf(b)
		for {
			_, err := c.Recv(task, b, 0)
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				heard <- string(b.Bytes())
				return
			}
		}
	})
	c := dial(t, addr)
	readAll(t, c, want)
	if _, err := c.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	c.Close()
	if got := <-heard; got != "still here" {
		t.Errorf("heard %q", got)
	}
}

func TestDataBeforeEndIsRead(t *testing.T) {
	l := start(t)
	want := pattern(300_000)
	closed := make(chan struct{})
	done := make(chan struct{})
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer close(done)
		defer c.Close()
		if err := task.Await(func() { <-closed }); err != nil {
			t.Error(err)
		}
		var got []byte
		for {
			b := l.GetBuf()
			_, err := c.Recv(task, b, 0)
			got = append(got, b.Bytes()...)
			l.PutBuf(b)
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
		}
		if !c.PeerGone() {
			t.Error("the end was read and PeerGone says no")
		}
	})
	c := dial(t, addr)
	go func() {
		_, _ = c.Write(want)
		c.Close()
	}()
	close(closed)
	<-done
}

// wait polls a condition on the loop until it holds.
func wait(t testing.TB, task *Task, what string, ok func() bool) {
	t.Helper()
	end := Clock() + int64(10*time.Second)
	for !ok() {
		if Clock() > end {
			t.Errorf("it never came that %s", what)
			return
		}
		task.Sleep(1e6)
	}
}

func TestBackPressure(t *testing.T) {
	l := start(t)
	want := pattern(32 << 20)
	var took int
	entered := make(chan struct{})
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		close(entered)
		for p := want; len(p) > 0; {
			n := min(50_000, len(p))
			if err := c.Send(task, p[:n], int64(10*time.Second)); err != nil {
				t.Error(err)
				return
			}
			p = p[n:]
			took += n
		}
	})
	c := dial(t, addr)
	<-entered
	do(t, l, func(task *Task) {
		last := -1
		wait(t, task, "Send waits for a peer that does not read", func() bool {
			task.Sleep(50e6)
			still := took == last
			last = took
			return still
		})
		if took == len(want) {
			t.Error("everything was taken at once")
		}
	})
	readAll(t, c, want)
}

func TestSendFromABuf(t *testing.T) {
	l := start(t)
	const rounds = 200
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		for i := range rounds {
			b := l.GetBuf()
			for len(b.Tail()) > 0 {
				b.Append([]byte{byte(i)})
			}
			if err := c.Send(task, b.Bytes(), int64(10*time.Second)); err != nil {
				t.Error(err)
			}
			// It is ours again: nothing of this may reach the peer.
			for j := range b.Bytes() {
				b.Bytes()[j] = 0xEE
			}
			l.PutBuf(b)
		}
	})
	c := dial(t, addr)
	got := make([]byte, BufSize)
	for i := range rounds {
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		for _, v := range got {
			if v != byte(i) {
				t.Fatalf("round %d has byte %#x", i, v)
			}
		}
	}
}

func TestSendTimesOutWithoutProgressOnly(t *testing.T) {
	l := start(t)
	f := func(name string, reads bool, want error) {
		t.Run(name, func(t *testing.T) {
			result := make(chan error, 1)
			addr := serve(t, l, func(task *Task, c *Conn) {
				_ = unix.SetsockoptInt(c.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
				b := l.GetBuf()
				b.Extend(BufSize)
				var err error
				for i := 0; i < 20 && err == nil; i++ {
					err = c.Send(task, b.Bytes(), int64(time.Second))
				}
				l.PutBuf(b)
				result <- err
				c.Close()
			})
			d := net.Dialer{ControlContext: smallReceiveBuffer}
			c, err := d.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			stop := make(chan struct{})
			if reads {
				go func() {
					// Slower than a whole piece in the time allowed, and never
					// silent for that time.
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					buf := make([]byte, 1<<10)
					for n := 0; n < 100; n++ {
						select {
						case <-tick.C:
							_, _ = c.Read(buf)
						case <-stop:
							return
						}
					}
					_, _ = io.Copy(io.Discard, c)
				}()
			}
			select {
			case err := <-result:
				if err != want {
					t.Errorf("got %v, want %v", err, want)
				}
			case <-time.After(15 * time.Second):
				t.Error("Send did not end")
			}
			close(stop)
		})
	}
	f("silent peer", false, ErrTimeout)
	f("slow peer", true, nil)
}

func TestPeerResetEndsASend(t *testing.T) {
	l := start(t)
	result := make(chan error, 1)
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		b := l.GetBuf()
		defer l.PutBuf(b)
		b.Extend(BufSize)
		for {
			if err := c.Send(task, b.Bytes(), 0); err != nil {
				result <- err
				return
			}
		}
	})
	c := dial(t, addr)
	_, _ = io.ReadFull(c, make([]byte, 1000))
	_ = c.SetLinger(0)
	c.Close()
	if err := <-result; !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v, want ECONNRESET or EPIPE", err)
	}
}

func TestPeerResetEndsARecv(t *testing.T) {
	l := start(t)
	result := make(chan error, 1)
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		b := l.GetBuf()
		defer l.PutBuf(b)
		_ = c.Send(task, []byte("x"), 0)
		_, err := c.Recv(task, b, 0)
		result <- err
		if !c.PeerGone() {
			t.Error("PeerGone says no")
		}
	})
	c := dial(t, addr)
	_, _ = c.Read(make([]byte, 1))
	_ = c.SetLinger(0)
	c.Close()
	if err := <-result; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func TestCloseEndsASendOfAnotherTask(t *testing.T) {
	l := start(t)
	result := make(chan error, 2)
	addr := serve(t, l, func(task *Task, c *Conn) {
		l.Start(runFunc(func(other *Task) {
			b := l.GetBuf()
			b.Extend(BufSize)
			for {
				if err := c.Send(other, b.Bytes(), 0); err != nil {
					l.PutBuf(b)
					result <- err
					return
				}
			}
		}))
		task.Sleep(int64(100 * time.Millisecond))
		c.Close()
	})
	dial(t, addr)
	if err := <-result; err != ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestFreshEndsWithThePeer(t *testing.T) {
	l := start(t)
	done := make(chan struct{})
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer close(done)
		defer c.Close()
		task.Sleep(5e6)
		if !c.Fresh() {
			t.Error("a new connection is not fresh")
		}
		if err := c.Send(task, []byte("x"), 0); err != nil {
			t.Error(err)
		}
		wait(t, task, "a connection that the peer closed is not fresh", func() bool { return !c.Fresh() })
	})
	c := dial(t, addr)
	_, _ = c.Read(make([]byte, 1))
	c.Close()
	<-done
}

func TestSenderWhomNobodyReadsHoldsFewBuffers(t *testing.T) {
	l := start(t)
	want := pattern(24 << 20)
	done := make(chan struct{})
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer close(done)
		defer c.Close()
		task.Sleep(int64(300 * time.Millisecond))
		if s := c.s; s != nil && l.u.CappedReceive && s.rx.n > 4*BufSize {
			t.Errorf("%d bytes are held for a reader that does not read", s.rx.n)
		}
		got := make([]byte, 0, len(want))
		for {
			b := l.GetBuf()
			_, err := c.Recv(task, b, 0)
			got = append(got, b.Bytes()...)
			l.PutBuf(b)
			if err != nil {
				break
			}
			if len(got)%7 == 0 {
				task.Yield()
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
		}
	})
	c := dial(t, addr)
	if _, err := c.Write(want); err != nil {
		t.Error(err)
	}
	c.Close()
	<-done
}

func TestRecvInSmallBites(t *testing.T) {
	l := start(t)
	want := pattern(5000)
	done := make(chan struct{})
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer close(done)
		defer c.Close()
		var got []byte
		b := l.GetBufSize(BufSize + 1) // memory of its own: nothing is swapped
		defer l.PutBuf(b)
		for {
			b.Reset()
			b.Extend(len(b.Tail()) - 7) // room for seven bytes
			n, err := c.Recv(task, b, 0)
			p := b.Bytes()
			got = append(got, p[len(p)-n:]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
		}
	})
	c := dial(t, addr)
	for p := want; len(p) > 0; p = p[100:] {
		if _, err := c.Write(p[:100]); err != nil {
			t.Error(err)
		}
	}
	c.Close()
	<-done
}

func TestTrySendTakesWhatFits(t *testing.T) {
	l := start(t)
	done := make(chan int, 1)
	addr := serve(t, l, func(task *Task, c *Conn) {
		total := 0
		p := bytes.Repeat([]byte("y"), 10_000)
		for {
			n, err := c.TrySend(p)
			if err != nil {
				t.Error(err)
			}
			total += n
			if n < len(p) {
				break
			}
			if total > 1<<30 {
				t.Error("it takes everything")
				break
			}
		}
		if err := c.WaitWrite(task, int64(10*time.Second)); err != nil {
			t.Error(err)
		}
		c.Close()
		done <- total
	})
	c := dial(t, addr)
	got, err := io.Copy(io.Discard, c)
	if err != nil {
		t.Error(err)
	}
	if want := <-done; int(got) != want {
		t.Errorf("got %d bytes, want the %d that were taken", got, want)
	}
}

func TestDialTimesOut(t *testing.T) {
	l := start(t)
	addr := fullListener(t)
	do(t, l, func(task *Task) {
		var c Conn
		begin := l.Now()
		err := l.Dial(task, &c, addr, begin+int64(50*time.Millisecond))
		if err != ErrTimeout {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if !c.Closed() {
			t.Error("the connection is open")
		}
	})
}

// fullListener is a socket that lets connects hang: its queue is full.
func fullListener(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := addrOf(sa)
	for range 4 {
		c, err := net.DialTimeout("tcp", addr.String(), 50*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { c.Close() })
	}
	return addr
}

func TestDialIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	defer ln.Close()
	l := start(t)
	do(t, l, func(task *Task) {
		var c Conn
		if err := l.Dial(task, &c, ln.Addr().(*net.TCPAddr).AddrPort(), 0); err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
}

func TestPeerAddressOfAccepted(t *testing.T) {
	l := start(t)
	got := make(chan netip.AddrPort, 1)
	addr := serve(t, l, func(_ *Task, c *Conn) {
		got <- c.Peer
		if local := c.LocalAddr(); !local.IsValid() {
			t.Error("no local address")
		}
		c.Close()
	})
	c := dial(t, addr)
	if p := <-got; p.String() != c.LocalAddr().String() {
		t.Errorf("peer is %v, want %v", p, c.LocalAddr())
	}
}

func TestAcceptRestsWithoutDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	limit.Cur = 500
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }()
	l := start(t)
	fail := make(chan error, 16)
	var ln *Listener
	addr := listenWith(t, l, func(x *Listener) {
		ln = x
		ln.OnError = func(err error) {
			select {
			case fail <- err:
			default:
			}
		}
	}, func(fd int, _ netip.AddrPort) { unix.Close(fd) })
	// A socket for the other side, before there are no descriptors left.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var taken []int
	for {
		d, err := unix.Dup(fd)
		if err != nil {
			break
		}
		taken = append(taken, d)
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())})
	var got error
	if err == nil {
		select {
		case got = <-fail:
		case <-time.After(10 * time.Second):
		}
	}
	for _, d := range taken {
		unix.Close(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got, unix.EMFILE) {
		t.Errorf("OnError was told %v, want EMFILE", got)
	}
	// The one that waited and a new one are served after the rest.
	c := dial(t, addr)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	if n, err := unix.Read(fd, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the one that waited: %d, %v", n, err)
	}
}

func TestFlushTakesAllThatWait(t *testing.T) {
	l := start(t)
	var mu sync.Mutex
	n := 0
	lns := make(chan *Listener, 1)
	addr := listenWith(t, l, func(x *Listener) { lns <- x }, func(fd int, _ netip.AddrPort) {
		mu.Lock()
		n++
		mu.Unlock()
		unix.Close(fd)
	})
	ln := <-lns
	hold, release := make(chan struct{}), make(chan struct{})
	l.Post(func() {
		close(hold)
		<-release
		ln.Flush()
		ln.Close()
	})
	<-hold
	const many = 100
	for range many {
		dial(t, addr)
	}
	close(release)
	do(t, l, func(task *Task) {
		wait(t, task, "all were accepted", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return n == many
		})
	})
}

func TestPipelinedPieces(t *testing.T) {
	l := start(t)
	addr := serve(t, l, func(task *Task, c *Conn) {
		defer c.Close()
		for i := range 1000 {
			send := c.Send
			if i%3 == 0 {
				send = c.SendMore
			}
			if err := send(task, []byte(strings.Repeat(string(rune('a'+i%26)), i)), 0); err != nil {
				t.Error(err)
			}
			if i%50 == 0 {
				task.Yield()
			}
		}
	})
	var want []byte
	for i := range 1000 {
		want = append(want, strings.Repeat(string(rune('a'+i%26)), i)...)
	}
	readAll(t, dial(t, addr), want)
}
