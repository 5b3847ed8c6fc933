package proc

import (
	"golang.org/x/sys/unix"
)

// memoryPlace stands in the place of a listen address for the descriptor of
// the memory that data processes share. It travels with the listening sockets,
// so that it outlives data processes and comes back from an adopted one.
const memoryPlace = -1

// noMemory says that there is none.
const noMemory = 0 // the descriptor of standard input, and never ours

// giveMemory lets the set have the memory that fits the spec: what it has
// already, or new one. Without memory the data process works with its own.
func (s *Supervisor) giveMemory(socks *Sockets, spec *Spec) {
	if s.opts.Memory == nil {
		return
	}
	fd, err := s.opts.Memory(spec, socks.memory)
	if err != nil {
		s.log.Error("no shared memory for the data process: its counters end with it", "error", err)
		return
	}
	socks.memory = fd
}

// splitMemory takes the memory's descriptor out of what a data process got.
func splitMemory(all []Socket) (socks []Socket, memory int) {
	memory = noMemory
	for _, s := range all {
		if s.Listen == memoryPlace {
			memory = s.FD
			continue
		}
		socks = append(socks, s)
	}
	return socks, memory
}

// takeMemory keeps the memory's descriptor that an adopted process gave back.
func (s *Sockets) takeMemory(fd int) {
	if s.memory != noMemory {
		unix.Close(fd)
		return
	}
	s.memory = fd
}
