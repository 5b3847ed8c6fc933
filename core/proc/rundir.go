package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files of the run directory.
const (
	lockFile    = "gw.lock"
	pidFile     = "gw.pid"
	stateFile   = "state.json"
	controlSock = "control.sock"
)

const (
	lockTries = 10
	lockPause = 10 * time.Millisecond
)

// RunDir is the directory in which one running gateway keeps its lock, its pid
// file, its sockets and what a successor needs to know. It belongs to the
// control process that locked it.
type RunDir struct {
	path string
	lock *os.File
}

// RunningError says that another control process holds the run directory.
type RunningError struct {
	Dir string
	// PID is 0 when unknown.
	PID int
}

func (e *RunningError) Error() string {
	if e.PID > 0 {
		return fmt.Sprintf("already running with pid %d (run directory %s); stop it with `gw stop`, or give another --run-dir", e.PID, e.Dir)
	}
	return fmt.Sprintf("already running (run directory %s)", e.Dir)
}

// LockRunDir makes the directory, takes its lock and writes the pid file. When
// another process holds the lock it answers *RunningError.
func LockRunDir(path string) (*RunDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	// A command that looks whether we run holds the lock for a moment.
	for try := 0; ; try++ {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || try == lockTries {
			break
		}
		<-time.After(lockPause)
	}
	if err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			pid, _ := ReadPID(path)
			return nil, &RunningError{Dir: path, PID: pid}
		}
		return nil, fmt.Errorf("run directory: lock %s: %w", lock.Name(), err)
	}
	d := &RunDir{path: path, lock: lock}
	if err := d.write(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

// Path is the directory's absolute path.
func (d *RunDir) Path() string { return d.path }

// Unlock removes the pid file and gives the lock up. The lock file stays:
// removing it could take it from somebody who has just opened it.
func (d *RunDir) Unlock() {
	_ = os.Remove(filepath.Join(d.path, pidFile))
	d.lock.Close()
}

// Running returns the pid of the control process that holds the lock of the
// run directory, 0 when there is none.
func Running(path string) (int, error) {
	lock, err := os.Open(filepath.Join(path, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("run directory: %w", err)
	}
	defer lock.Close()
	err = unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return 0, fmt.Errorf("run directory: lock %s: %w", lock.Name(), err)
	}
	return ReadPID(path)
}

// ReadPID reads the pid file.
func ReadPID(path string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(path, pidFile))
	if err != nil {
		return 0, fmt.Errorf("run directory: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("run directory: %s does not hold a pid", filepath.Join(path, pidFile))
	}
	return pid, nil
}

// write replaces a file of the directory in one step.
func (d *RunDir) write(name string, data []byte) error {
	tmp := filepath.Join(d.path, name+".new")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(d.path, name)); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return nil
}

// state is what a successor of the control process finds the data processes
// by.
type state struct {
	// Epoch is the highest number given to a data process.
	Epoch     uint64      `json:"epoch"`
	Processes []dataState `json:"processes"`
}

// Roles of a data process in the state file.
const (
	roleCurrent  = "current"
	roleStarting = "starting"
	roleDraining = "draining"
)

type dataState struct {
	PID int `json:"pid"`
	// Started is the kernel's start time of the process, so that a pid that
	// was given to another one is not taken for it.
	Started string `json:"started"`
	Epoch   uint64 `json:"epoch"`
	Role    string `json:"role"`
	Spec    Spec   `json:"spec"`
}

// alive tells whether the process still exists.
func (p *dataState) alive() bool {
	return p.PID > 1 && p.Started != "" && processStart(p.PID) == p.Started
}

func readState(dir string) (state, error) {
	var st state
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, fmt.Errorf("run directory: %w", err)
	}
	if err := json.Unmarshal(raw, &st); err != nil {
		return state{}, fmt.Errorf("run directory: %s: %w", stateFile, err)
	}
	return st, nil
}

// Orphans lists the data processes that run without their control process,
// by what the run directory knows.
func Orphans(path string) []int {
	st, err := readState(path)
	if err != nil {
		return nil
	}
	var pids []int
	for i := range st.Processes {
		if st.Processes[i].alive() {
			pids = append(pids, st.Processes[i].PID)
		}
	}
	return pids
}

// processStart is the 22nd field of /proc/PID/stat: the start time in ticks
// since boot. "" when there is no such process, or only its zombie.
func processStart(pid int) string {
	line := readLine(fmt.Sprintf("/proc/%d/stat", pid))
	// The second field is the name in parentheses and may contain anything.
	_, rest, ok := cutLast(line, ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return ""
	}
	return f[19]
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func dataSock(epoch uint64) string { return fmt.Sprintf("data-%d.sock", epoch) }

// maxSockPath is what fits into a unix socket address.
const maxSockPath = 107

// withSockAddr calls f with an address of the file name in dir, by way of the
// directory's descriptor when the path is too long for a socket address.
func withSockAddr(dir, name string, f func(*net.UnixAddr) error) error {
	path := filepath.Join(dir, name)
	if len(path) <= maxSockPath {
		return f(&net.UnixAddr{Name: path, Net: "unix"})
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(&net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name), Net: "unix"})
}

// listenSock makes a listening socket file that only this user can reach. A
// file left over from a dead process is replaced.
func listenSock(dir, name string) (*net.UnixListener, error) {
	_ = os.Remove(filepath.Join(dir, name))
	var ln *net.UnixListener
	err := withSockAddr(dir, name, func(addr *net.UnixAddr) (err error) {
		ln, err = net.ListenUnix("unix", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("run directory: socket %s: %w", name, err)
	}
	ln.SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("run directory: %w", err)
	}
	return ln, nil
}

func dialSock(dir, name string) (*net.UnixConn, error) {
	var conn *net.UnixConn
	err := withSockAddr(dir, name, func(addr *net.UnixAddr) (err error) {
		conn, err = net.DialUnix("unix", nil, addr)
		return err
	})
	return conn, err
}
