package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on
// every architecture that Go supports.
const tick = 10 * time.Millisecond

// cpuTime is processor time spent by processes.
type cpuTime struct{ User, Sys time.Duration }

func (a cpuTime) sub(b cpuTime) cpuTime { return cpuTime{a.User - b.User, a.Sys - b.Sys} }

// cpuOf adds up the processes' times, ended threads included.
func cpuOf(pids []int) (cpuTime, error) {
	var sum cpuTime
	for _, pid := range pids {
		f, err := statFields(pid)
		if err != nil {
			return sum, err
		}
		user, err1 := strconv.ParseInt(f[11], 10, 64)
		sys, err2 := strconv.ParseInt(f[12], 10, 64)
		if err1 != nil || err2 != nil {
			return sum, fmt.Errorf("/proc/%d/stat: no times in %q", pid, f)
		}
		sum.User += time.Duration(user) * tick
		sum.Sys += time.Duration(sys) * tick
	}
	return sum, nil
}

// statFields returns what follows the command name in /proc/PID/stat; the
// first is the state.
func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("process %d has ended during the measurement: %w", pid, err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat reads %q", pid, b)
	}
	return f, nil
}

// family returns root and all its living descendants.
func family(root int) []int {
	parent := map[int]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		f, err := statFields(pid)
		if err != nil || f[0] == "Z" {
			continue
		}
		parent[pid], _ = strconv.Atoi(f[1])
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		for pid, up := range parent {
			if up == pids[i] {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// memoryOf adds up the processes' proportional resident memory in bytes:
// pages shared between a master and its workers count once.
func memoryOf(pids []int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				kib, err := strconv.ParseInt(f[1], 10, 64)
				if err != nil {
					return 0, err
				}
				sum += kib << 10
			}
		}
	}
	return sum, nil
}
