package proc

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loadCPU is the classic BPF offset of the current processor's number:
// SKF_AD_OFF (-0x1000) + SKF_AD_CPU (36) as the unsigned number of the
// instruction.
const loadCPU = 0xfffff000 + 36

// maxBPFSteps keeps the program below the kernel's 4096 instructions.
const maxBPFSteps = 1000

// steerProgram returns, for the processor that handles the packet, the index
// of the reuseport group's socket to use: that of the first loop on this
// processor, and any loop (processor modulo loops) for the processors without
// one.
func steerProgram(loops []LoopPlan) []unix.SockFilter {
	prog := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: loadCPU}}
	seen := make(map[int]bool, len(loops))
	for i, l := range loops {
		if l.CPU < 0 || seen[l.CPU] || len(seen) >= maxBPFSteps {
			continue
		}
		seen[l.CPU] = true
		prog = append(prog,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(l.CPU)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(i)})
	}
	return append(prog,
		unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(len(loops))},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A})
}

// steer attaches the program to the group that fd belongs to, replacing one
// that was attached before.
func steer(fd int, loops []LoopPlan) error {
	prog := steerProgram(loops)
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		uintptr(unsafe.Pointer(&fprog)), unsafe.Sizeof(fprog), 0)
	if errno != 0 {
		return fmt.Errorf("SO_ATTACH_REUSEPORT_CBPF: %w", errno)
	}
	return nil
}

// unsteer takes the program off. A group without one is no error.
func unsteer(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
}
