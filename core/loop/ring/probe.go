package ring

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Available tells, by trying it once per process, whether the kernel offers
// all that the engine needs; else why not.
func Available() error {
	_, err := available()
	return err
}

// Capped tells whether a multishot receive with RecvBundle keeps to its length
// as the most that it takes at a time; without, it may fill dozens of buffers
// before others get their turn.
func Capped() bool {
	capped, _ := available()
	return capped
}

var available = sync.OnceValues(func() (capped bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The rings belong to a thread, which ends with this goroutine.
		runtime.LockOSThread()
		if err = probe(receiveTwice); err == nil {
			err = probe((*Ring).probeAccept)
		}
		capped = err == nil && probe(receiveCapped) == nil
	}()
	<-done
	return capped, err
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
