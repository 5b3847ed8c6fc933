package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenFD is where a data process finds the socket on which control speaks
// to it.
const listenFD = 3

// spawn executes the data process. It gets its own session, so that a
// terminal's signals reach the control process alone, and no death signal: it
// outlives us.
func spawn(command, env []string, ln *net.UnixListener) (*os.Process, error) {
	f, err := ln.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess(command[0], command[1:], &os.ProcAttr{
		Env:   env,
		Files: []*os.File{null, os.Stderr, os.Stderr, f},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// handle refers to a process by a pidfd, so that it can be watched without
// being our child, and its pid cannot come to mean another process.
type handle struct {
	pid   int
	pidfd *os.File
	// ours is set for a child of this process.
	ours *os.Process
}

func openHandle(pid int, ours *os.Process) (*handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return &handle{pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid)), ours: ours}, nil
}

// wait blocks until the process has ended and says how; ended is false when
// close came first. It is to be called once.
func (h *handle) wait() (how string, ended bool) {
	raw, err := h.pidfd.SyscallConn()
	if err != nil {
		return "", false
	}
	err = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0
	})
	if err != nil {
		return "", false
	}
	return h.reap(), true
}

// reap collects how the process ended, if that is ours to know.
func (h *handle) reap() string {
	if h.ours != nil {
		ps, err := h.ours.Wait()
		if err != nil {
			return "ended (" + err.Error() + ")"
		}
		return ps.String()
	}
	// A process adopted after an exec of ourselves is still our child; one
	// of a dead predecessor is init's.
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(h.pid, &ws, unix.WNOHANG, nil); err == nil && pid == h.pid {
		if ws.Signaled() {
			return "signal: " + ws.Signal().String()
		}
		return "exit status " + strconv.Itoa(ws.ExitStatus())
	}
	return "ended"
}

func (h *handle) signal(sig unix.Signal) error {
	conn, err := h.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var sigErr error
	if err := conn.Control(func(fd uintptr) { sigErr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sigErr, unix.ESRCH) {
		return nil
	}
	return sigErr
}

func (h *handle) close() { h.pidfd.Close() }

// exeID identifies the program file that this process runs, so that a
// successor started from a newer file knows that it is one.
func exeID() string {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%x:%x:%x:%x.%x", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec)
}
