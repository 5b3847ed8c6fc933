package gateway

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// markVar names the environment variable that every process started for one
// Gateway inherits. Process groups and parents do not do: the data process
// outlives its parent and is adopted by another one.
const markVar = "GW_E2E_MARK"

// Process is a process of the gateway as /proc shows it.
type Process struct {
	PID int
	// Args is the command line.
	Args []string
}

// IsData tells whether p is the data process, the one that carries traffic.
func (p Process) IsData() bool {
	for _, a := range p.Args[min(1, len(p.Args)):] {
		if a == "data-process" {
			return true
		}
	}
	return false
}

// marked lists the living processes that carry the mark.
func marked(mark string) []Process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	want := []byte(markVar + "=" + mark + "\x00")
	var found []Process
	for _, d := range dirs {
		env, err := os.ReadFile(d + "/environ")
		if err != nil || !bytes.Contains(env, want) {
			continue
		}
		cmdline, err := os.ReadFile(d + "/cmdline")
		if err != nil || len(cmdline) == 0 || state(d) == 'Z' {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(d))
		found = append(found, Process{PID: pid, Args: strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")})
	}
	return found
}

func state(procDir string) byte {
	stat, err := os.ReadFile(procDir + "/stat")
	if err != nil {
		return 'Z'
	}
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 || i+2 >= len(stat) {
		return 'Z'
	}
	return stat[i+2]
}

// Alive tells whether the process exists and is no zombie.
func Alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil && state(fmt.Sprintf("/proc/%d", pid)) != 'Z'
}

// FDs returns how many descriptors the process holds open.
func FDs(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// Threads returns how many threads the process has.
func Threads(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(entries), err
}

// RSS returns the resident memory of the process in bytes.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, fmt.Errorf("statm of process %d reads %q", pid, b)
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
