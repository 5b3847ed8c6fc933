package ring

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Features are what some kernels do and others do not.
type Features struct {
	// CappedReceive: a multishot receive with RecvBundle keeps to its length
	// as the most that it takes at a time; without, it may fill dozens of
	// buffers before others get their turn.
	CappedReceive bool
	// SilentSend: a send that neither waits nor may be short (MSG_DONTWAIT and
	// MSG_WAITALL), of which only a failure is told, tells it before the call
	// that submits it returns; no word means that all is sent.
	SilentSend bool
}

// Probe tells, by trying it once per process, what the kernel offers. The error
// says why the engine cannot work here.
func Probe() (Features, error) { return features() }

var features = sync.OnceValues(func() (f Features, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The rings belong to a thread, which ends with this goroutine.
		runtime.LockOSThread()
		if err = probe(receiveTwice); err != nil {
			return
		}
		if err = probe((*Ring).probeAccept); err != nil {
			return
		}
		f.CappedReceive = probe(receiveCapped) == nil
		f.SilentSend = probe(sendSilent) == nil
	}()
	<-done
	return f, err
})

// probe tries f on a ring of its own: flags that the kernel merely ignores
// would not show otherwise.
func probe(f func(*Ring) error) error {
	r, err := New(8, 16)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Enable(); err != nil {
		return err
	}
	return f(r)
}

const probeBuf = 16 // bytes

// receiving arms a multishot receive with two buffers and returns the socket
// to write to.
func (r *Ring) receiving(flags uint16, length uint32) (fd int, done func(), err error) {
	bufs, err := NewBufs(r, 0, 2)
	if err != nil {
		return 0, nil, err
	}
	mem := make([]byte, 2*probeBuf)
	bufs.Add(0, mem[:probeBuf])
	bufs.Add(1, mem[probeBuf:])
	bufs.Publish()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		bufs.Close()
		return 0, nil, fmt.Errorf("socketpair: %w", err)
	}
	e := r.Get()
	e.Opcode, e.FD, e.Ioprio, e.Flags, e.Len = OpRecv, int32(pair[0]), RecvMultishot|flags, BufferSelect, length
	if e := r.Submit(); e != 0 {
		err = fmt.Errorf("io_uring_enter: %w", e)
	}
	return pair[1], func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
		bufs.Close()
		runtime.KeepAlive(mem)
	}, err
}

func receiveTwice(r *Ring) error {
	fd, done, err := r.receiving(0, 0)
	if err != nil {
		return err
	}
	defer done()
	for range 2 {
		if _, err := unix.Write(fd, []byte("x")); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := r.expect(1, HasBuffer|HasMore); err != nil {
			return fmt.Errorf("multishot receive: %w", err)
		}
	}
	return nil
}

func receiveCapped(r *Ring) error {
	fd, done, err := r.receiving(RecvBundle, probeBuf)
	if err != nil {
		return err
	}
	defer done()
	if _, err := unix.Write(fd, make([]byte, 2*probeBuf)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := r.expect(probeBuf, HasBuffer|HasMore); err != nil {
		return err
	}
	if !r.Idle() {
		return errors.New("the length was not kept to")
	}
	return nil
}

// sendSilent sends a little, and then more than the socket takes.
func sendSilent(r *Ring) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	mem := make([]byte, 4<<20)
	send := func(n int) (int32, bool, error) {
		e := r.Get()
		e.Opcode, e.FD, e.Flags, e.Len = OpSend, int32(pair[0]), SkipSuccess, uint32(n)
		e.Addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))
		e.OpFlags = unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT | unix.MSG_WAITALL
		if e := r.Submit(); e != 0 {
			return 0, false, e
		}
		head, tail := r.Completions()
		if head == tail {
			return 0, false, nil
		}
		res := r.At(head).Res
		r.Seen(tail)
		return res, true, nil
	}
	defer runtime.KeepAlive(mem)
	if _, told, err := send(1); err != nil || told {
		return fmt.Errorf("a send that went: told %t, %w", told, err)
	}
	if res, told, err := send(len(mem)); err != nil || !told || res <= 0 || int(res) >= len(mem) {
		return fmt.Errorf("a send that went in part: told %t, result %d, %w", told, res, err)
	}
	if res, told, err := send(1000); err != nil || !told || res != -int32(unix.EAGAIN) {
		return fmt.Errorf("a send without room: told %t, result %d, %w", told, res, err)
	}
	return nil
}

func (r *Ring) probeAccept() error {
	ln, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(ln)
	// An empty name makes the kernel choose one.
	if err := unix.Bind(ln, &unix.SockaddrUnix{}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(ln, 1); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	sa, err := unix.Getsockname(ln)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	e := r.Get()
	e.Opcode, e.FD, e.Ioprio = OpAccept, int32(ln), AcceptMultishot
	if e := r.Submit(); e != 0 {
		return fmt.Errorf("io_uring_enter: %w", e)
	}
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(c)
	if err := unix.Connect(c, sa); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	fd, err := r.await(HasMore)
	if err != nil {
		return fmt.Errorf("multishot accept: %w", err)
	}
	unix.Close(int(fd))
	return nil
}

func (r *Ring) expect(res int32, flags uint32) error {
	got, err := r.await(flags)
	if err == nil && got != res {
		err = fmt.Errorf("result %d, want %d", got, res)
	}
	return err
}

// await takes the next completion, which must come at once.
func (r *Ring) await(flags uint32) (int32, error) {
	if e := r.Wait(1e9); e != 0 {
		return 0, e
	}
	head, tail := r.Completions()
	if head == tail {
		return 0, errors.New("no completion")
	}
	c := *r.At(head)
	r.Seen(head + 1)
	if c.Res < 0 {
		return 0, unix.Errno(-c.Res)
	}
	if c.Flags&flags != flags {
		return 0, fmt.Errorf("flags %#x, want %#x", c.Flags, flags)
	}
	return c.Res, nil
}
